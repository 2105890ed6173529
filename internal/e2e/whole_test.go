package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/api/workflowservice/v1"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/segment-export/segment-export/activities"
	"github.com/segment-export/segment-export/internal/omnisend/omnisendtest"
	"github.com/segment-export/segment-export/internal/omnisend/sandbox"
	"github.com/segment-export/segment-export/internal/protocol"
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

	s.record("first_run", protocol.ExportWorkflowType, enumspb.WORKFLOW_EXECUTION_STATUS_COMPLETED)
	code, r = s.run()
	require.Equal(t, 3, code, "the invalid rows are still invalid")
	require.Equal(t, e.Contacts, r.Unchanged)
	require.Zero(t, r.Calls)
	s.record("nothing_changed", protocol.ExportWorkflowType, enumspb.WORKFLOW_EXECUTION_STATUS_COMPLETED)
}

// A run whose history grows long continues as new, more than once, and loses
// nothing on the way; the last two parts are on record for the replay tests.
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
	s.record("continues_as_new", protocol.ExportWorkflowType, enumspb.WORKFLOW_EXECUTION_STATUS_CONTINUED_AS_NEW)
	s.record("continued_as_new", protocol.ExportWorkflowType, enumspb.WORKFLOW_EXECUTION_STATUS_COMPLETED)
}

// identity is where a history names process and machine.
var identity = regexp.MustCompile(`"identity":\s*"[^"]*"`)

// record writes the history of the newest workflow of a type and status into the folder
// that SEGMENT_EXPORT_RECORD_DIR names, for the replay tests of the workflows;
// without it nothing is recorded.
func (s *shop) record(name, workflowType string, status enumspb.WorkflowExecutionStatus) {
	s.t.Helper()
	dir := os.Getenv("SEGMENT_EXPORT_RECORD_DIR")
	if dir == "" {
		return
	}
	var newest *commonpb.WorkflowExecution
	s.eventually("a workflow of type "+workflowType+" can be found", func() bool {
		found, err := s.client.ListWorkflow(s.t.Context(), &workflowservice.ListWorkflowExecutionsRequest{
			Query: fmt.Sprintf("WorkflowType = '%s' AND ExecutionStatus = '%s'", workflowType, status)})
		require.NoError(s.t, err)
		if len(found.GetExecutions()) == 0 {
			return false
		}
		newest = found.GetExecutions()[0].GetExecution()
		return true
	})
	var h historypb.History
	events := s.client.GetWorkflowHistory(s.t.Context(), newest.GetWorkflowId(), newest.GetRunId(), false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
	for events.HasNext() {
		e, err := events.Next()
		require.NoError(s.t, err)
		h.Events = append(h.Events, e)
	}
	data, err := protojson.MarshalOptions{}.Marshal(&h)
	require.NoError(s.t, err)
	data = identity.ReplaceAll(data, []byte(`"identity":"worker"`))
	require.NoError(s.t, os.WriteFile(filepath.Join(dir, name+".json"), data, 0o600))
}
