package activities

import (
	"context"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/interceptor"
)

// brief are the activities that work under no lease. Their time is bounded by
// the workflow; that they are alive says only that their worker is.
var brief = map[string]bool{"Preflight": true, "Control": true, "Record": true, "TakeTurn": true, "YieldTurn": true}

// Alive returns the interceptor that heartbeats for the brief activities, so
// that the work of a killed worker continues elsewhere within HeartbeatTimeout
// and not only when the activity's whole time is over. Every
// worker has it.
func Alive() interceptor.WorkerInterceptor {
	return &alive{ticks: func(every time.Duration) (<-chan time.Time, func()) {
		t := time.NewTicker(every)
		return t.C, t.Stop
	}}
}

type alive struct {
	interceptor.WorkerInterceptorBase
	ticks func(every time.Duration) (ticks <-chan time.Time, stop func())
}

// InterceptActivity stands around an activity.
func (a *alive) InterceptActivity(_ context.Context, next interceptor.ActivityInboundInterceptor) interceptor.ActivityInboundInterceptor {
	i := &aliveInbound{alive: a}
	i.Next = next
	return i
}

type aliveInbound struct {
	interceptor.ActivityInboundInterceptorBase
	alive *alive
}

// ExecuteActivity carries an activity out.
func (i *aliveInbound) ExecuteActivity(ctx context.Context, in *interceptor.ExecuteActivityInput) (any, error) {
	info := activity.GetInfo(ctx)
	// Without a timeout an earlier build has scheduled it.
	if !brief[info.ActivityType.Name] || info.HeartbeatTimeout == 0 {
		return i.Next.ExecuteActivity(ctx, in)
	}
	ticks, stop := i.alive.ticks(info.HeartbeatTimeout / 4)
	defer stop()
	ended, silent := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(silent)
		for {
			select {
			case <-ended:
				return
			case <-ticks:
				activity.RecordHeartbeat(ctx)
			}
		}
	}()
	defer func() {
		close(ended)
		<-silent // nothing is recorded for an activity that has ended
	}()
	return i.Next.ExecuteActivity(ctx, in)
}
