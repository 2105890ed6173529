package console

import (
	"strconv"

	"github.com/segment-export/segment-export/internal/protocol"
)

// exports lists all exports by name.
func (q *request) exports() error {
	page, err := strconv.Atoi(q.r.URL.Query().Get("page"))
	if err != nil {
		page = 1
	}
	var a protocol.OverviewAnswer
	if err := ask(q, Order{Name: protocol.Overview, Args: protocol.OverviewArgs{Page: page}}, &a); err != nil {
		return err
	}
	return q.show("exports", view{Title: q.texts.say("exports.title"), Section: "exports", Command: "starter export list", Content: a})
}

// exportView is what an export's page shows.
type exportView struct {
	protocol.ExportAnswer

	Runs        []*protocol.RunAnswer
	Schedule    protocol.ScheduleAnswer
	Connections []string // it can be attached to
	MayEdit     bool
}

// export shows one export with its history and schedule.
func (q *request) export() error {
	name := q.r.PathValue("name")
	var v exportView
	if err := ask(q, Order{Name: protocol.ExportShow, Args: protocol.Named{Name: name}, Object: name}, &v.ExportAnswer); err != nil {
		return err
	}
	var page protocol.RunsPage
	if err := ask(q, Order{Name: protocol.RunsList, Args: protocol.RunsListArgs{Export: name, Limit: historyRuns, Plans: true}}, &page); err != nil {
		return err
	}
	v.Runs = page.Runs
	var schedules []protocol.ScheduleAnswer
	if err := ask(q, Order{Name: protocol.ScheduleShow, Args: protocol.ScheduleShowArgs{Export: name}, Object: name}, &schedules); err != nil {
		return err
	}
	if len(schedules) > 0 {
		v.Schedule = schedules[0]
	}
	v.MayEdit = v.Permissions == protocol.MayEdit
	if v.MayEdit && v.Connection == "" {
		var err error
		if v.Connections, err = q.connectionNames(); err != nil {
			return err
		}
	}
	return q.show("export", view{Title: name, Section: "exports", Command: "starter export show " + quoted(name), Content: v})
}

const historyRuns = 20

// exportDo carries out the button that was pressed on an export's page.
func (q *request) exportDo() error {
	if err := q.form(); err != nil {
		return err
	}
	name, form := q.r.PathValue("name"), q.r.PostForm
	here := address("exports", name)
	switch form.Get("do") {
	case "plan", "run":
		return q.start(name, form.Get("do"), form.Get("full") != "")
	case "duplicate":
		as := form.Get("as")
		if err := act(q, Order{Name: protocol.ExportDuplicate, Args: protocol.ExportDuplicateArgs{Name: name, As: as}, Object: name}, &ignored{}); err != nil {
			return err
		}
		return q.done(address("exports", as), "export.done.duplicate")
	case "detach":
		if err := act(q, Order{Name: protocol.ExportDetach, Args: protocol.Named{Name: name}, Object: name}, &ignored{}); err != nil {
			return err
		}
		return q.done(here, "export.done.detach")
	case "attach":
		args := protocol.ExportAttachArgs{Name: name, Connection: form.Get("connection")}
		if err := act(q, Order{Name: protocol.ExportAttach, Args: args, Object: name}, &ignored{}); err != nil {
			return err
		}
		return q.done(here, "export.done.attach")
	}
	return &invalid{q.texts.say("form.unreadable")}
}

// start begins a plan or a run and shows it.
func (q *request) start(export, what string, full bool) error {
	name := protocol.Run
	if what == "plan" {
		name = protocol.Plan
	}
	var started protocol.RunStarted
	if err := act(q, Order{Name: name, Args: protocol.RunArgs{Export: export, Full: full}, Object: export}, &started); err != nil {
		return err
	}
	return q.done(address("runs", started.RunID), "export.done."+what)
}

// exportRemove removes an export after its name was typed.
func (q *request) exportRemove() error {
	if err := q.form(); err != nil {
		return err
	}
	name := q.r.PathValue("name")
	if err := q.confirmed(name); err != nil {
		return err
	}
	args := protocol.ExportRemoveArgs{Named: protocol.Named{Name: name}, Markers: q.r.PostForm.Get("markers")}
	var removed protocol.ExportRemoved
	if err := act(q, Order{Name: protocol.ExportRemove, Args: args, Object: name}, &removed); err != nil {
		return err
	}
	if removed.Run != nil {
		return q.done(address("runs", removed.Run.RunID), "export.done.clearing")
	}
	return q.done("/exports", "export.done.remove", name)
}
