package console

import (
	"slices"
	"strings"
	"time"

	"github.com/segment-export/segment-export/internal/protocol"
	"github.com/segment-export/segment-export/internal/schedule"
)

// schedulesPerPage is how many exports are listed below the calendar.
const schedulesPerPage = 100

// mostStarts is how many starts a day of the calendar shows.
const mostStarts = 8

// calendarDays is how far the calendar looks ahead.
const calendarDays = 14

// schedulesView is the calendar of all exports.
type schedulesView struct {
	Days    []calendarDay
	Exports []protocol.ScheduleAnswer
	Pages   int
	Page    int
	Listed  []listedSchedule // of the exports on this page
	Refresh protocol.RefreshAnswer
	Zone    string
	Zones   []string
	Now     time.Time
}

// listedSchedule is an export's schedule with its next start.
type listedSchedule struct {
	protocol.ScheduleAnswer

	Start time.Time
}

// calendarDay is one day with its starts, in their order.
type calendarDay struct {
	Day    time.Time
	Today  bool
	Starts []start
	More   int // starts that are not shown
}

// start is one start of a run to come.
type start struct {
	At     time.Time
	Export string
	System bool // with the system refresh
}

// schedules shows the starts of the next days.
func (q *request) schedules() error {
	v := schedulesView{Now: q.Now()}
	if err := ask(q, Order{Name: protocol.ScheduleShow, Args: protocol.ScheduleShowArgs{Stored: true}}, &v.Exports); err != nil {
		return err
	}
	if err := ask(q, Order{Name: protocol.RefreshShow}, &v.Refresh); err != nil {
		return err
	}
	zone := q.zone()
	if name := q.r.URL.Query().Get("zone"); name != "" {
		chosen, err := schedule.Zone(name)
		if err != nil {
			return &invalid{err.Error()}
		}
		zone = chosen
	}
	v.Zone = zone.String()
	v.Zones = []string{v.Zone, "UTC"}
	for _, s := range v.Exports {
		if s.Zone != "" && !slices.Contains(v.Zones, s.Zone) {
			v.Zones = append(v.Zones, s.Zone)
		}
	}
	v.Days = calendar(&v, zone)
	var listed []protocol.ScheduleAnswer
	v.Page, v.Pages, listed = paged(v.Exports, q.r.URL.Query().Get("page"), schedulesPerPage)
	for _, s := range listed {
		one := listedSchedule{ScheduleAnswer: s}
		if s.Calendar != nil && s.Mode != protocol.ModeOff {
			one.Start = s.Calendar.Next(v.Now)
		}
		v.Listed = append(v.Listed, one)
	}
	return q.show("schedules", view{Title: q.texts.say("schedules.title"), Section: "schedules", Command: "starter schedule show", Content: v})
}

// calendar puts the starts of the next days under their days.
func calendar(v *schedulesView, zone *time.Location) []calendarDay {
	now := v.Now.In(zone)
	today := time.Date(now.Year(), now.Month(), now.Day(), 0, 0, 0, 0, zone)
	days := make([]calendarDay, calendarDays)
	for i := range days {
		days[i] = calendarDay{Day: today.AddDate(0, 0, i), Today: i == 0}
	}
	put := func(s start) {
		for i := range days {
			if !s.At.Before(days[i].Day) && s.At.Before(days[i].Day.AddDate(0, 0, 1)) {
				days[i].Starts = append(days[i].Starts, s)
			}
		}
	}
	end := today.AddDate(0, 0, calendarDays)
	for _, e := range v.Exports {
		if e.Mode != protocol.ModeSchedule || e.Calendar == nil {
			continue
		}
		for at := e.Calendar.Next(v.Now); !at.IsZero() && at.Before(end); at = e.Calendar.Next(at) {
			put(start{At: at.In(zone), Export: e.Export})
		}
	}
	if v.Refresh.On && v.Refresh.Calendar != nil {
		for at := v.Refresh.Calendar.Next(v.Now); !at.IsZero() && at.Before(end); at = v.Refresh.Calendar.Next(at) {
			for _, name := range v.Refresh.Exports {
				put(start{At: at.In(zone), Export: name, System: true})
			}
		}
	}
	for i := range days {
		slices.SortStableFunc(days[i].Starts, func(a, b start) int { return a.At.Compare(b.At) })
		if more := len(days[i].Starts) - mostStarts; more > 1 {
			days[i].Starts, days[i].More = days[i].Starts[:mostStarts], more
		}
	}
	return days
}

// calendarOf reads the fields of a schedule's form.
func (q *request) calendarOf() schedule.Calendar {
	form := q.r.PostForm
	c := schedule.Calendar{Every: strings.TrimSpace(form.Get("every")), Zone: strings.TrimSpace(form.Get("tz")), At: words(form.Get("at"))}
	if days := form["day"]; c.Every == "week" {
		c.Every = strings.Join(days, ",")
	}
	return c
}

// scheduleSet sets, switches or drops the schedule of an export.
func (q *request) scheduleSet() error {
	if err := q.form(); err != nil {
		return err
	}
	ref := protocol.ScheduleRef{Export: q.r.PostForm.Get("export")}
	do := Order{Args: ref, Object: ref.Export}
	switch q.r.PostForm.Get("do") {
	case "set":
		do.Name, do.Args = protocol.ScheduleSet, protocol.ScheduleSetArgs{ScheduleRef: ref, Calendar: q.calendarOf()}
	case "on":
		do.Name = protocol.ScheduleOn
	case "off":
		do.Name = protocol.ScheduleOff
	case "follow":
		do.Name = protocol.ScheduleFollow
	default:
		return &invalid{q.texts.say("form.unreadable")}
	}
	if err := act(q, do, &ignored{}); err != nil {
		return err
	}
	return q.done(address("exports", ref.Export), "schedule.done")
}

// refreshSet sets or switches the system refresh.
func (q *request) refreshSet() error {
	if err := q.form(); err != nil {
		return err
	}
	var do Order
	switch q.r.PostForm.Get("do") {
	case "set":
		c := q.calendarOf()
		do = Order{Name: protocol.RefreshSet, Args: protocol.RefreshSetArgs{Calendar: &c}}
	case "on":
		do = Order{Name: protocol.RefreshOn}
	case "off":
		do = Order{Name: protocol.RefreshOff}
	default:
		return &invalid{q.texts.say("form.unreadable")}
	}
	if err := act(q, do, &ignored{}); err != nil {
		return err
	}
	return q.done("/schedules", "schedule.done")
}
