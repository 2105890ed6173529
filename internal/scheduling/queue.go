package scheduling

import (
	"context"
	"slices"
	"strings"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	taskqueuepb "go.temporal.io/api/taskqueue/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/activity"

	"github.com/segment-export/segment-export/internal/protocol"
)

// asksAgain is how long a worker that is at work is not heard of at most: its
// question for work is answered within a minute. The server remembers for five
// minutes those that are gone.
const asksAgain = 75 * time.Second

// QueueStatus asks Temporal for the workers that poll and the work that waits.
func (a *Scheduler) QueueStatus(ctx context.Context, s *protocol.StatusAnswer) error {
	if !activity.IsActivity(ctx) {
		return nil // the namespace is not known
	}
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
