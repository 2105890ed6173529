package metrics

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/segment-export/segment-export/internal/omnisend"
)

// scripted answers CreateBatch as the test says; it has no other method.
type scripted struct {
	omnisend.API
	errors []error
}

func (s *scripted) CreateBatch(context.Context, string, [][]byte) (string, error) {
	next := s.errors[0]
	s.errors = s.errors[1:]
	return "id", next
}

func TestRequestsAreCountedByOutcome(t *testing.T) {
	registry := prometheus.NewPedanticRegistry()
	api := NewWork(registry).Counted(&scripted{errors: []error{nil, nil, &omnisend.Error{Class: omnisend.Wait}, context.Canceled}}).(*counted)
	now := time.Unix(0, 0)
	api.now = func() time.Time { now = now.Add(200 * time.Millisecond); return now }
	for range 4 {
		id, _ := api.CreateBatch(t.Context(), "", nil)
		require.Equal(t, "id", id)
	}
	require.NoError(t, testutil.GatherAndCompare(registry, strings.NewReader(`
# HELP segment_export_omnisend_requests_total Requests to Omnisend made by this worker, by outcome: ok, or the class of the failure.
# TYPE segment_export_omnisend_requests_total counter
segment_export_omnisend_requests_total{operation="create_batch",outcome="canceled"} 1
segment_export_omnisend_requests_total{operation="create_batch",outcome="ok"} 2
segment_export_omnisend_requests_total{operation="create_batch",outcome="wait"} 1
`), "segment_export_omnisend_requests_total"))
	require.Equal(t, 1, testutil.CollectAndCount(api.work.seconds))
}
