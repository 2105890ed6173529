package admin

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/segment-export/segment-export/internal/catalogue"
	"github.com/segment-export/segment-export/internal/command"
	"github.com/segment-export/segment-export/internal/connect"
	"github.com/segment-export/segment-export/internal/omnisend"
	"github.com/segment-export/segment-export/internal/omnisend/sandbox"
	"github.com/segment-export/segment-export/internal/protocol"
	"github.com/segment-export/segment-export/internal/store"
)

// An absurd Retry-After pauses a brand for minutes, and an administrator can end
// the pause at once.
func TestThePauseOfABrandIsEnded(t *testing.T) {
	s := newSteps(t, sandbox.Options{})
	conn := catalogue.Connection{Meta: catalogue.Meta{Name: "limited"}, BrandID: "b", Share: 1, CallsPerMinute: 400}
	s.Put(catalogue.KindConnection, "limited", conn, nil)
	limit := store.Limit{Calls: conn.Limit()}
	left, err := s.Connect().Gate(conn).Pause(t.Context(), 1000*time.Hour)
	require.NoError(t, err)
	require.Equal(t, 5*time.Minute, left)
	s.Later(time.Minute)

	halt, err := connect.HaltOf(&omnisend.Error{Class: omnisend.Wait, RetryAfter: left}, "limited")
	require.NoError(t, err)
	require.LessOrEqual(t, halt.Wait, 30*time.Second, "it asks again before the pause is over")

	answer, err := s.connectionResume(t.Context(), command.Caller{}, protocol.Named{Name: "limited"})
	require.NoError(t, err)
	require.Equal(t, protocol.ConnectionResumed{Name: "limited", Paused: 240}, answer)
	state, err := s.Store.BudgetState(t.Context(), conn.Budget(), limit)
	require.NoError(t, err)
	require.Zero(t, state.Paused)

	answer, err = s.connectionResume(t.Context(), command.Caller{}, protocol.Named{Name: "limited"})
	require.NoError(t, err)
	require.Equal(t, protocol.ConnectionResumed{Name: "limited"}, answer)
	_, err = s.connectionResume(t.Context(), command.Caller{}, protocol.Named{Name: "nosuch"})
	require.Error(t, err)
}
