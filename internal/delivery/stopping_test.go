package delivery_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/segment-export/segment-export/internal/delivery"
	"github.com/segment-export/segment-export/internal/job"
	"github.com/segment-export/segment-export/internal/lease"
	"github.com/segment-export/segment-export/internal/omnisend"
	"github.com/segment-export/segment-export/internal/omnisend/sandbox"
	"github.com/segment-export/segment-export/internal/run"
)

// stopAt is a client during whose first upload the worker is asked to stop.
type stopAt struct {
	omnisend.API
	stop func()
}

func (s stopAt) CreateBatch(ctx context.Context, origin string, items [][]byte) (string, error) {
	s.stop()
	return s.API.CreateBatch(ctx, origin, items)
}

func TestStoppingWorkerBeginsNothing(t *testing.T) {
	t.Parallel()
	s := newSteps(t, sandbox.Options{Seed: 1})
	another := &delivery.Steps{Runs: job.New(s.Dependencies)}
	stopping := make(chan struct{})
	s.Stopping = stopping
	var rows []string
	for i := range 250 {
		rows = append(rows, fmt.Sprintf("person%d@example.com,Ada", i))
	}
	s.Write(rows...)
	r := s.Begin(run.Request{Yes: true})
	require.Equal(t, 250, r.ToSend)
	in := delivery.UploadInput{RunID: r.RunID, Batch: job.FirstUpload(0)}
	open := s.OpenAPI
	s.OpenAPI = func(endpoint, key string) (omnisend.API, error) {
		api, err := open(endpoint, key)
		return stopAt{API: api, stop: func() { close(stopping) }}, err
	}

	sent, err := s.Delivery.UploadBatch(t.Context(), in)
	require.NoError(t, err)
	require.Equal(t, &delivery.UploadResult{Calls: 1, Contacts: 100}, sent, "the call in flight ends and is kept, no other starts")

	if sent, err = s.Delivery.UploadBatch(t.Context(), in); err != nil { // which of both depends on how far it came
		require.ErrorIs(t, err, lease.ErrStopping)
	}
	require.Equal(t, &delivery.UploadResult{}, sent, "nor in a step that comes later")

	_, err = s.Store.AcquireLease(t.Context(), fmt.Sprintf("run/%s/batch/%d", in.RunID, in.Batch), time.Minute)
	require.NoError(t, err)
	_, err = s.Delivery.UploadBatch(t.Context(), in)
	require.ErrorIs(t, err, lease.ErrStopping, "nor does it wait for another attempt")

	s.StoreNow.Advance(2 * time.Hour)
	sent, err = another.UploadBatch(t.Context(), in)
	require.NoError(t, err)
	require.Equal(t, &delivery.UploadResult{Done: true, Calls: 2, Contacts: 150}, sent, "what is left is another's")
}

// A decision to send nothing more counts from the next call on, before the
// workflow has asked anybody to stop.
func TestDecisionsCountFromTheNextCallOn(t *testing.T) {
	t.Parallel()
	for name, decide := range map[string]func(*run.Control){
		"paused":   func(c *run.Control) { c.Paused = true },
		"canceled": func(c *run.Control) { c.Canceled = true },
	} {
		t.Run(name, func(t *testing.T) {
			s := newSteps(t, sandbox.Options{Seed: 1})
			var rows []string
			for i := range 250 {
				rows = append(rows, fmt.Sprintf("person%d@example.com,Ada", i))
			}
			s.Write(rows...)
			r := s.Begin(run.Request{Yes: true})
			in := delivery.UploadInput{RunID: r.RunID, Batch: job.FirstUpload(0)}
			say := func(change func(*run.Control)) {
				require.NoError(t, s.ControlRun(t.Context(), r.RunID, func(c *run.Control) error { change(c); return nil }))
			}
			open := s.OpenAPI
			s.OpenAPI = func(endpoint, key string) (omnisend.API, error) {
				api, err := open(endpoint, key)
				return stopAt{API: api, stop: func() { say(decide) }}, err
			}
			wait := &run.Halt{Kind: run.HaltWait, Wait: delivery.UntilTold}
			sent, err := s.Delivery.UploadBatch(t.Context(), in)
			require.NoError(t, err)
			require.Equal(t, &delivery.UploadResult{Calls: 1, Contacts: 100, Halt: wait}, sent, "the call in flight ends and is kept")
			sent, err = s.Delivery.UploadBatch(t.Context(), in)
			require.NoError(t, err)
			require.Equal(t, &delivery.UploadResult{Halt: wait}, sent)

			s.OpenAPI = open
			say(func(c *run.Control) { *c = run.Control{} })
			sent, err = s.Delivery.UploadBatch(t.Context(), in)
			require.NoError(t, err)
			require.Equal(t, &delivery.UploadResult{Done: true, Calls: 2, Contacts: 150}, sent)
		})
	}
}
