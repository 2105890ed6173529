package activities

import (
	"context"
	"reflect"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"
)

// slow are activities that end when they were heard of.
type slow struct {
	ticks chan time.Time
	heard chan struct{}
}

func (s *slow) Preflight(context.Context) error {
	s.ticks <- time.Time{} // twice a quarter of the timeout passes
	s.ticks <- time.Time{}
	<-s.heard
	return nil
}

func (s *slow) Collect(context.Context) error { return nil }

func TestBriefActivitiesAreHeardOf(t *testing.T) {
	s := &slow{ticks: make(chan time.Time), heard: make(chan struct{})}
	var every []time.Duration
	a := &alive{ticks: func(d time.Duration) (<-chan time.Time, func()) {
		every = append(every, d)
		return s.ticks, func() {}
	}}
	var suite testsuite.WorkflowTestSuite
	env := suite.NewTestWorkflowEnvironment()
	env.SetWorkerOptions(worker.Options{Interceptors: []interceptor.WorkerInterceptor{a}, DeadlockDetectionTimeout: time.Minute})
	env.RegisterActivity(s)
	var once sync.Once
	env.SetOnActivityHeartbeatListener(func(info *activity.Info, _ converter.EncodedValues) {
		once.Do(func() { close(s.heard) })
	})
	env.ExecuteWorkflow(func(ctx workflow.Context) error {
		ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{StartToCloseTimeout: time.Minute, HeartbeatTimeout: HeartbeatTimeout})
		if err := workflow.ExecuteActivity(ctx, s.Preflight).Get(ctx, nil); err != nil {
			return err
		}
		return workflow.ExecuteActivity(ctx, s.Collect).Get(ctx, nil) // says so itself
	})
	require.NoError(t, env.GetWorkflowError())
	require.Equal(t, []time.Duration{HeartbeatTimeout / 4}, every)
}

// The activities that are heartbeated for are there.
func TestBriefActivitiesAreActivities(t *testing.T) {
	for name := range brief {
		_, ok := reflect.TypeFor[*Activities]().MethodByName(name)
		require.True(t, ok, name)
	}
}
