package activities

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	taskqueuepb "go.temporal.io/api/taskqueue/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/activity"

	"github.com/segment-export/segment-export/internal/access"
	"github.com/segment-export/segment-export/internal/build"
	"github.com/segment-export/segment-export/internal/catalogue"
	"github.com/segment-export/segment-export/internal/protocol"
	"github.com/segment-export/segment-export/internal/reason"
	"github.com/segment-export/segment-export/internal/run"
	"github.com/segment-export/segment-export/internal/store"
)

// statusHandlers are the commands about the whole.
var statusHandlers = map[string]handler{
	protocol.Status: without((*Activities).status),
}

// lookBack is how many of an export's newest runs are looked at for the last
// complete one.
const lookBack = 50

// status tells how everything stands. What Temporal does not tell is named as
// a problem and does not hide the rest.
func (a *Activities) status(ctx context.Context, c caller) (any, error) {
	now, err := a.Store.Now(ctx)
	if err != nil {
		return nil, err
	}
	s := &protocol.StatusAnswer{At: now, Version: build.Version(), Workers: []protocol.WorkerStatus{}, Budgets: []protocol.BudgetStatus{},
		Exports: []protocol.ExportStatus{}, Next: []protocol.ScheduleStatus{}, Attend: []protocol.AttendStatus{}}
	if err := a.queueStatus(ctx, s); err != nil {
		s.Problems = append(s.Problems, "Temporal does not tell about workers: "+err.Error())
	}
	schedules, err := Schedules(ctx, a.Temporal)
	if err != nil {
		s.Problems = append(s.Problems, "Temporal does not tell about schedules: "+err.Error())
	}
	for _, x := range schedules {
		if !x.Next.IsZero() {
			s.Next = append(s.Next, protocol.ScheduleStatus{Schedule: x.Name, Next: x.Next, Lag: x.Lag})
		}
	}
	slices.SortFunc(s.Next, func(a, b protocol.ScheduleStatus) int { return a.Next.Compare(b.Next) })
	return s, a.storeStatus(ctx, c, s)
}

// storeStatus adds what the store knows: budgets, exports with their last runs,
// and what needs attention.
func (a *Activities) storeStatus(ctx context.Context, c caller, s *protocol.StatusAnswer) error {
	connections, err := list[catalogue.Connection](ctx, a, catalogue.KindConnection)
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
	exports, err := list[catalogue.Export](ctx, a, catalogue.KindExport)
	if err != nil {
		return err
	}
	for _, e := range exports {
		if err := a.exportStatus(ctx, s, e.Name); err != nil {
			return err
		}
	}
	return nil
}

func (a *Activities) exportStatus(ctx context.Context, s *protocol.StatusAnswer, name string) error {
	runs, err := a.Store.ListRuns(ctx, store.RunFilter{Export: name, Limit: lookBack})
	if err != nil {
		return err
	}
	e := protocol.ExportStatus{Export: name}
	for _, r := range runs {
		answer, err := runAnswer(r)
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
func (a *Activities) undelivered(ctx context.Context, s *protocol.StatusAnswer) error {
	states, err := a.Store.Objects(ctx, kindAlertState)
	if err != nil {
		return err
	}
	waiting := map[string]int{}
	for _, o := range states {
		state, err := decode[alertState](o.Body)
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
func (a *Activities) tellStuck(ctx context.Context, s *protocol.StatusAnswer, r store.Run) {
	w, err := a.stuck(ctx, r, s.At, s.Workers)
	switch {
	case err != nil:
		s.Problems = append(s.Problems, fmt.Sprintf("Temporal does not tell about the run of %s: %v", r.Export, err))
	case w.Reason != "":
		w.Export, w.RunID, w.Status = r.Export, r.ID, run.Status(r.Status)
		s.Attend = append(s.Attend, w)
	}
}

// attend says what waits for somebody, and what that one can do.
func attend(r *protocol.RunAnswer) protocol.AttendStatus {
	w := protocol.AttendStatus{Export: r.Export, RunID: r.RunID, Status: r.Status, Reason: r.Reason, Action: r.Action}
	if w.Action == "" {
		w.Action = "see: starter runs show " + r.RunID
		if r.Status == run.Paused {
			w.Reason, w.Action = "an operator paused it", "go on with: starter runs resume "+r.RunID
		}
	}
	return w
}

// asksAgain is how long a worker that is at work is not heard of at most: its
// question for work is answered within a minute. The server remembers for five
// minutes those that are gone.
const asksAgain = 75 * time.Second

// queueStatus asks Temporal for the workers that poll and the work that waits.
func (a *Activities) queueStatus(ctx context.Context, s *protocol.StatusAnswer) error {
	seen := map[string]protocol.WorkerStatus{}
	for _, kind := range []enumspb.TaskQueueType{enumspb.TASK_QUEUE_TYPE_WORKFLOW, enumspb.TASK_QUEUE_TYPE_ACTIVITY} {
		d, err := a.Temporal.WorkflowService().DescribeTaskQueue(ctx, &workflowservice.DescribeTaskQueueRequest{
			Namespace: activity.GetInfo(ctx).Namespace, TaskQueue: &taskqueuepb.TaskQueue{Name: protocol.TaskQueue, Kind: enumspb.TASK_QUEUE_KIND_NORMAL},
			TaskQueueType: kind, ReportStats: true})
		if err != nil {
			return err
		}
		for _, p := range d.GetPollers() {
			at := p.GetLastAccessTime().AsTime()
			if w, ok := seen[p.GetIdentity()]; !ok || at.After(w.LastSeen) {
				seen[p.GetIdentity()] = protocol.WorkerStatus{Identity: p.GetIdentity(), LastSeen: at, Build: p.GetDeploymentOptions().GetBuildId()}
			}
		}
		s.Backlog.Tasks += int(d.GetStats().GetApproximateBacklogCount())
		s.Backlog.Age = max(s.Backlog.Age, d.GetStats().GetApproximateBacklogAge().AsDuration())
	}
	var newest time.Time // the worker that carries this out was there a moment ago
	for _, w := range seen {
		if w.LastSeen.After(newest) {
			newest = w.LastSeen
		}
	}
	for _, w := range seen {
		if newest.Sub(w.LastSeen) <= asksAgain {
			s.Workers = append(s.Workers, w)
		}
	}
	slices.SortFunc(s.Workers, func(a, b protocol.WorkerStatus) int { return strings.Compare(a.Identity, b.Identity) })
	return nil
}
