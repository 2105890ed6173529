package scheduling

import (
	"context"
	"errors"
	"maps"
	"slices"

	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"

	"github.com/segment-export/segment-export/internal/record"
)

// fakeTemporal keeps workflows and schedules as a Temporal server does: an id
// runs once, and what is not there is not found. What tests do not need panics.
type fakeTemporal struct {
	client.Client

	running map[string]client.StartWorkflowOptions // by workflow id
	started []string                               // workflow ids, in order
	signals []string                               // workflow ids
	fails   error                                  // of the next start

	schedules map[string]*client.Schedule
	changes   []string // what was done to schedules
}

func newFake() *fakeTemporal {
	return &fakeTemporal{running: map[string]client.StartWorkflowOptions{}, schedules: map[string]*client.Schedule{}}
}

func (f *fakeTemporal) ExecuteWorkflow(_ context.Context, o client.StartWorkflowOptions, _ any, _ ...any) (client.WorkflowRun, error) {
	if err := f.fails; err != nil {
		f.fails = nil
		return nil, err
	}
	if _, there := f.running[o.ID]; there {
		return nil, serviceerror.NewWorkflowExecutionAlreadyStarted("", "", "")
	}
	f.running[o.ID] = o
	f.started = append(f.started, o.ID)
	return nil, nil
}

func (f *fakeTemporal) DescribeWorkflowExecution(_ context.Context, id, _ string) (*workflowservice.DescribeWorkflowExecutionResponse, error) {
	o, there := f.running[id]
	if !there {
		return nil, serviceerror.NewNotFound("no such workflow")
	}
	memo := map[string]*commonpb.Payload{}
	for name, v := range o.Memo {
		memo[name] = &commonpb.Payload{Data: record.Encode(v)}
	}
	return &workflowservice.DescribeWorkflowExecutionResponse{WorkflowExecutionInfo: &workflowpb.WorkflowExecutionInfo{
		Status: enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING, Memo: &commonpb.Memo{Fields: memo}}}, nil
}

func (f *fakeTemporal) SignalWorkflow(_ context.Context, id, _, _ string, _ any) error {
	if _, there := f.running[id]; !there {
		return serviceerror.NewNotFound("no such workflow")
	}
	f.signals = append(f.signals, id)
	return nil
}

func (f *fakeTemporal) ScheduleClient() client.ScheduleClient { return fakeSchedules{f: f} }

type fakeSchedules struct {
	client.ScheduleClient

	f *fakeTemporal
}

func (s fakeSchedules) Create(_ context.Context, o client.ScheduleOptions) (client.ScheduleHandle, error) {
	if _, there := s.f.schedules[o.ID]; there {
		return nil, temporal.ErrScheduleAlreadyRunning
	}
	s.f.schedules[o.ID] = &client.Schedule{Spec: &o.Spec, Action: o.Action, State: &client.ScheduleState{Paused: o.Paused, Note: o.Note},
		Policy: &client.SchedulePolicies{CatchupWindow: o.CatchupWindow, Overlap: o.Overlap}}
	s.f.changes = append(s.f.changes, "made "+o.ID)
	return nil, nil
}

func (s fakeSchedules) List(context.Context, client.ScheduleListOptions) (client.ScheduleListIterator, error) {
	l := &fakeList{}
	for _, id := range slices.Sorted(maps.Keys(s.f.schedules)) {
		e := &client.ScheduleListEntry{ID: id}
		if a, ok := s.f.schedules[id].Action.(*client.ScheduleWorkflowAction); ok {
			e.WorkflowType.Name, _ = a.Workflow.(string)
		}
		l.entries = append(l.entries, e)
	}
	return l, nil
}

func (s fakeSchedules) GetHandle(_ context.Context, id string) client.ScheduleHandle {
	return fakeHandle{f: s.f, id: id}
}

type fakeList struct{ entries []*client.ScheduleListEntry }

func (l *fakeList) HasNext() bool { return len(l.entries) > 0 }

func (l *fakeList) Next() (*client.ScheduleListEntry, error) {
	if len(l.entries) == 0 {
		return nil, errors.New("no more")
	}
	e := l.entries[0]
	l.entries = l.entries[1:]
	return e, nil
}

type fakeHandle struct {
	client.ScheduleHandle

	f  *fakeTemporal
	id string
}

func (h fakeHandle) Update(_ context.Context, o client.ScheduleUpdateOptions) error {
	there, ok := h.f.schedules[h.id]
	if !ok {
		return serviceerror.NewNotFound("no such schedule")
	}
	spec, state := *there.Spec, *there.State // a description is a copy
	copied := *there
	copied.Spec, copied.State = &spec, &state
	update, err := o.DoUpdate(client.ScheduleUpdateInput{Description: client.ScheduleDescription{Schedule: copied}})
	if errors.Is(err, temporal.ErrSkipScheduleUpdate) {
		return nil
	}
	if err != nil {
		return err
	}
	h.f.schedules[h.id] = update.Schedule
	h.f.changes = append(h.f.changes, "changed "+h.id)
	return nil
}

func (h fakeHandle) Delete(context.Context) error {
	if _, ok := h.f.schedules[h.id]; !ok {
		return serviceerror.NewNotFound("no such schedule")
	}
	delete(h.f.schedules, h.id)
	h.f.changes = append(h.f.changes, "removed "+h.id)
	return nil
}
