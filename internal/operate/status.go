package operate

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/segment-export/segment-export/internal/access"
	"github.com/segment-export/segment-export/internal/alerting"
	"github.com/segment-export/segment-export/internal/build"
	"github.com/segment-export/segment-export/internal/catalogue"
	"github.com/segment-export/segment-export/internal/command"
	"github.com/segment-export/segment-export/internal/job"
	"github.com/segment-export/segment-export/internal/protocol"
	"github.com/segment-export/segment-export/internal/reason"
	"github.com/segment-export/segment-export/internal/record"
	"github.com/segment-export/segment-export/internal/run"
	"github.com/segment-export/segment-export/internal/store"
)

// statusHandlers are the commands about the whole.
func (a *Commands) statusHandlers() map[string]command.Handler {
	return map[string]command.Handler{
		protocol.Status:   command.With(a.status),
		protocol.Overview: command.With(a.overview),
	}
}

// status returns the state of the whole system. What Temporal does not say is
// named as a problem and does not hide the rest.
func (a *Commands) status(ctx context.Context, c command.Caller, args protocol.StatusArgs) (any, error) {
	now, err := a.Store.Now(ctx)
	if err != nil {
		return nil, err
	}
	s := &protocol.StatusAnswer{At: now, Version: build.Version(), Workers: []protocol.WorkerStatus{}, Budgets: []protocol.BudgetStatus{},
		Exports: []protocol.ExportStatus{}, Next: []protocol.ScheduleStatus{}, Attend: []protocol.AttendStatus{}}
	if err := a.QueueStatus(ctx, s); err != nil {
		s.Problems = append(s.Problems, "Temporal does not tell about workers: "+err.Error())
	}
	if a.Disk != nil {
		if s.Disk, err = a.Disk(); err != nil {
			s.Problems = append(s.Problems, "The disk of the data directory cannot be measured: "+err.Error())
		}
	}
	if args.Brief {
		if err := a.storeStatus(ctx, c, s, newestRuns); err != nil {
			return nil, err
		}
		s.Exports = []protocol.ExportStatus{}
		return s, nil
	}
	schedules, err := a.Schedules(ctx)
	if err != nil {
		s.Problems = append(s.Problems, "Temporal does not tell about schedules: "+err.Error())
	}
	for _, x := range schedules {
		if !x.Next.IsZero() {
			s.Next = append(s.Next, protocol.ScheduleStatus{Schedule: x.Name, Next: x.Next, Lag: x.Lag})
		}
	}
	slices.SortFunc(s.Next, func(a, b protocol.ScheduleStatus) int { return a.Next.Compare(b.Next) })
	return s, a.storeStatus(ctx, c, s, job.LookBack)
}

// newestRuns is how many runs of an export are enough to find an open one and
// the last one that ended.
const newestRuns = 2

// storeStatus adds what the store knows: budgets, exports with their last runs,
// and what needs attention. runs is how many runs of each export are looked at.
func (a *Commands) storeStatus(ctx context.Context, c command.Caller, s *protocol.StatusAnswer, runs int) error {
	connections, err := record.List[catalogue.Connection](ctx, a.Store, catalogue.KindConnection)
	if err != nil {
		return err
	}
	for _, conn := range connections {
		if !access.May(c.Principal, access.OfConnection(conn)) {
			continue
		}
		if w := attendConnection(conn); w != nil {
			s.Attend = append(s.Attend, *w)
		}
		b := protocol.BudgetStatus{Connection: conn.Name}
		if conn.CallsPerMinute > 0 {
			state, err := a.Store.BudgetState(ctx, conn.Budget(), store.Limit{Calls: conn.Limit()})
			if err != nil {
				return err
			}
			b.Used, b.Limit, b.Paused = state.InWindow, state.Effective, state.Paused
		}
		s.Budgets = append(s.Budgets, b)
	}
	if err := a.undelivered(ctx, s); err != nil {
		return err
	}
	exports, err := record.List[catalogue.Export](ctx, a.Store, catalogue.KindExport)
	if err != nil {
		return err
	}
	for _, e := range exports {
		if err := a.exportStatus(ctx, s, e.Name, runs); err != nil {
			return err
		}
	}
	return nil
}

func (a *Commands) exportStatus(ctx context.Context, s *protocol.StatusAnswer, name string, most int) error {
	runs, err := a.Store.ListRuns(ctx, store.RunFilter{Export: name, Limit: most})
	if err != nil {
		return err
	}
	e := protocol.ExportStatus{Export: name}
	for _, r := range runs {
		answer, err := job.Answer(r)
		if err != nil {
			return err
		}
		switch {
		case r.EndedAt.IsZero():
			e.Open = answer
			if answer.Status == run.Parked || answer.Status == run.Paused {
				s.Attend = append(s.Attend, attend(answer))
			}
			a.tellStuck(ctx, s, r)
		case e.Last == nil:
			e.Last = answer
			skipped := answer.Status == run.Skipped && e.Open == nil
			if answer.Status == run.Failed || answer.Status == run.Expired || skipped {
				s.Attend = append(s.Attend, attend(answer))
			}
		}
		if e.LastSuccess.IsZero() && answer.Status.Complete() {
			e.LastSuccess = r.EndedAt
		}
	}
	s.Exports = append(s.Exports, e)
	return nil
}

// attendConnection says what keeps a connection from being used; nil for nothing.
func attendConnection(conn catalogue.Connection) *protocol.AttendStatus {
	w := &protocol.AttendStatus{Connection: conn.Name}
	switch {
	case conn.Stopped != nil:
		w.Reason = "stopped by " + conn.Stopped.By + "; no run of its exports starts"
		w.Action = fmt.Sprintf("start it: starter connection start %q", conn.Name)
	case conn.Consent == nil && conn.Withdrawn != nil:
		w.Reason = "the agreement to the transfer of personal data was withdrawn by " + conn.Withdrawn.By + "; no run of its exports starts"
		w.Action = fmt.Sprintf("agree again: starter connection edit %q --agree", conn.Name)
	case conn.Consent == nil:
		w.Reason = "there is no agreement to the transfer of personal data; no run of its exports starts"
		w.Action = fmt.Sprintf("agree: starter connection edit %q --agree", conn.Name)
	default:
		return nil
	}
	return w
}

// deliveryTime is how long the delivery of an alert usually takes at most.
const deliveryTime = time.Minute

// undelivered finds alerts with messages that did not arrive yet.
func (a *Commands) undelivered(ctx context.Context, s *protocol.StatusAnswer) error {
	states, err := a.Store.Objects(ctx, alerting.KindAlertState)
	if err != nil {
		return err
	}
	waiting := map[string]int{}
	for _, o := range states {
		state, err := record.Decode[alerting.Told](o.Body)
		if err != nil {
			return err
		}
		for _, n := range state.Pending {
			if s.At.Sub(n.At) > deliveryTime {
				waiting[n.Alert]++
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(waiting)) {
		s.Attend = append(s.Attend, protocol.AttendStatus{Alert: name,
			Reason: reason.Count(waiting[name], "message is", "messages are") + " not delivered; delivery is retried for 3 days",
			Action: fmt.Sprintf("find out why: starter alert test %q", name)})
	}
	return nil
}

// tellStuck tells of an open run that does not get on, whatever its status.
func (a *Commands) tellStuck(ctx context.Context, s *protocol.StatusAnswer, r store.Run) {
	w, err := a.Stuck(ctx, r, s.At, s.Workers)
	switch {
	case err != nil:
		s.Problems = append(s.Problems, fmt.Sprintf("Temporal does not tell about the run of %s: %v", r.Export, err))
	case w.Reason != "":
		w.Export, w.RunID, w.Status = r.Export, r.ID, run.Status(r.Status)
		s.Attend = append(s.Attend, w)
	}
}

// attend says what needs a person's attention, and what to do.
func attend(r *protocol.RunAnswer) protocol.AttendStatus {
	w := protocol.AttendStatus{Export: r.Export, RunID: r.RunID, Status: r.Status, Reason: string(r.Reason), Action: string(r.Action)}
	if w.Action == "" {
		w.Action = "see: starter runs show " + r.RunID
		if r.Status == run.Paused {
			w.Reason, w.Action = "an operator paused it", "continue with: starter runs resume "+r.RunID
		}
	}
	return w
}
