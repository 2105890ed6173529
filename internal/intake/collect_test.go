package intake_test

import (
	"bytes"
	"context"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/segment-export/segment-export/internal/catalogue"
	"github.com/segment-export/segment-export/internal/intake"
	"github.com/segment-export/segment-export/internal/job"
	"github.com/segment-export/segment-export/internal/omnisend/omnisendtest"
	"github.com/segment-export/segment-export/internal/omnisend/sandbox"
	"github.com/segment-export/segment-export/internal/protocol"
	"github.com/segment-export/segment-export/internal/record"
	"github.com/segment-export/segment-export/internal/run"
	"github.com/segment-export/segment-export/internal/segment"
	"github.com/segment-export/segment-export/internal/store"
)

// limited is a source that makes each reader wait after two rows.
type limited struct {
	segment.Source
	cursors *[]segment.Cursor
}

func (l limited) Open(ctx context.Context, name string, fields []string, after segment.Cursor) (segment.Reader, error) {
	r, err := l.Source.Open(ctx, name, fields, after)
	return &limitedRows{Reader: r, left: 2, cursors: l.cursors}, err
}

type limitedRows struct {
	segment.Reader
	left    int
	cursors *[]segment.Cursor
}

func (l *limitedRows) Next() (segment.Row, error) {
	if l.left == 0 {
		*l.cursors = append(*l.cursors, l.Cursor())
		return segment.Row{}, &segment.BusyError{Reason: "too many requests", RetryAfter: time.Minute}
	}
	l.left--
	return l.Reader.Next()
}

// A source that lets two rows through at a time is read in the end, and the store
// does not show where it was interrupted.
func TestASourceThatMakesItsReadersWaitIsReadInTheEnd(t *testing.T) {
	s := newSteps(t, sandbox.Options{})
	s.Write("a@example.com,A", "b@example.com,B", "c@example.com,C", "d@example.com,D", "e@example.com,E")
	var cursors []segment.Cursor
	open := s.OpenSource
	s.OpenSource = func(c catalogue.Source, credential []byte) (segment.Source, error) {
		src, err := open(c, credential)
		return limited{src, &cursors}, err
	}
	ctx, id := t.Context(), uuid.NewString()
	require.NoError(t, s.Store.CreateRun(ctx, store.Run{ID: id, Export: "spring", Connection: "shop", Brand: omnisendtest.Brand,
		Status: string(run.Queued), Request: record.Encode(run.Request{})}))
	ticket, err := s.Ticket(job.RunTicket(id, "spring", false)...)
	require.NoError(t, err)
	taken := job.Execution{Workflow: protocol.WorkflowID("spring", false), First: "workflow of " + id}
	_, err = s.Intake.Preflight(ctx, intake.PreflightInput{RunID: id, Ticket: ticket}, taken)
	require.NoError(t, err)
	s.Reconcile(id)
	var read []int
	for {
		result, err := s.Intake.Collect(ctx, intake.CollectInput{RunID: id})
		require.NoError(t, err)
		read = append(read, result.Read)
		if result.Done {
			break
		}
		require.Equal(t, run.HaltWait, result.Halt.Kind)
		require.Equal(t, time.Minute, result.Halt.Wait)
		state, err := s.Store.StepState(ctx, id, job.CollectStep(0))
		require.NoError(t, err)
		kept, err := record.Decode[job.CollectState](state)
		require.NoError(t, err)
		last := cursors[len(cursors)-1]
		require.False(t, bytes.Contains(kept.Cursor, last), "encrypted")
		require.Less(t, len(read), 10)
	}
	require.Equal(t, []int{2, 4, 5}, read)
}
