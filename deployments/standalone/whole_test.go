package main

import (
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/api/workflowservice/v1"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/segment-export/segment-export/activities"
	"github.com/segment-export/segment-export/internal/omnisend/omnisendtest"
	"github.com/segment-export/segment-export/internal/omnisend/sandbox"
	"github.com/segment-export/segment-export/internal/run"
)

func TestRunArrivesThroughFaults(t *testing.T) {
	t.Parallel()
	s := newShop(t, 5000, sandbox.Options{CallsPerMinute: 400, BatchDelay: 300 * time.Millisecond, Seed: 3,
		Faults: sandbox.Faults{Rates: map[sandbox.Fault]float64{sandbox.ServerError: 0.10, sandbox.BreakAfter: 0.05, sandbox.TooMany: 0.05}}})
	s.open(activities.Tuning{BatchSize: 500})
	s.define()
	known := s.known()
	code, r := s.run("--yes")
	require.Equal(t, 3, code)
	require.Equal(t, run.CompletedWithRejects, r.Status)
	e := s.expected
	require.Equal(t, []int{e.Rows, e.Invalid, e.Duplicate, e.Contacts, e.Contacts}, []int{r.Read, r.Invalid, r.Duplicate, r.Contacts, r.New})
	require.Equal(t, e.Subscribed, r.Consent.Subscribed)
	require.Equal(t, e.Unsubscribed, r.Consent.Unsubscribed)

	stats := s.sandbox.Stats(omnisendtest.Brand)
	require.Zero(t, stats.Welcomes)
	require.Zero(t, stats.TagsReplaced)
	require.Zero(t, stats.Resubscribed)
	s.arrivedAsMapped(known)

	s.record(os.Getenv("SEGMENT_EXPORT_RECORD_FIRST"))
	code, r = s.run()
	require.Equal(t, 3, code, "the invalid rows are still invalid")
	require.Equal(t, e.Contacts, r.Unchanged)
	require.Zero(t, r.Calls)
	s.record(os.Getenv("SEGMENT_EXPORT_RECORD_HISTORY"))
}

// A run whose history grows long continues as new, more than once, and loses
// nothing on the way; the last part is on record for the replay tests.
func TestRunContinuesAsNew(t *testing.T) {
	t.Parallel()
	s := newShop(t, 3000, sandbox.Options{BatchDelay: 50 * time.Millisecond, Seed: 4})
	s.open(activities.Tuning{BatchSize: 100, MaxEvents: 60})
	s.define("--calls-per-minute", "0")
	code, r := s.run("--yes")
	require.Equal(t, 3, code)
	require.Equal(t, s.expected.Contacts, r.New)
	s.arrivedAsMapped(nil)
	parts, err := s.client.ListWorkflow(t.Context(), &workflowservice.ListWorkflowExecutionsRequest{Query: `WorkflowId = "export/spring"`})
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(parts.GetExecutions()), 3)
	s.record(os.Getenv("SEGMENT_EXPORT_RECORD_CONTINUED"))
}

// record writes the history of the newest run to a file, for the replay tests
// of the workflows; no file, no record.
func (s *shop) record(file string) {
	s.t.Helper()
	if file == "" {
		return
	}
	var h historypb.History
	events := s.client.GetWorkflowHistory(s.t.Context(), "export/spring", "", false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
	for events.HasNext() {
		e, err := events.Next()
		require.NoError(s.t, err)
		h.Events = append(h.Events, e)
	}
	data, err := protojson.MarshalOptions{}.Marshal(&h)
	require.NoError(s.t, err)
	require.NoError(s.t, os.WriteFile(file, data, 0o600))
}
