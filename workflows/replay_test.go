package workflows

import (
	"io/fs"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"
)

// Runs that began under an earlier build go on under this one: the histories
// in testdata/replay were recorded from real runs (see TestRunArrivesThroughFaults
// in deployments/standalone) and must not be recorded anew to make this pass,
// unless no run of the build they are from can be open any more.
func TestRecordedHistoriesReplay(t *testing.T) {
	var histories []string // of this build, and of each release in a directory of its own
	require.NoError(t, filepath.WalkDir("testdata/replay", func(path string, _ fs.DirEntry, err error) error {
		if filepath.Ext(path) == ".json" {
			histories = append(histories, path)
		}
		return err
	}))
	require.NotEmpty(t, histories)
	for _, h := range histories {
		t.Run(h, func(t *testing.T) {
			replayer := worker.NewWorkflowReplayer()
			replayer.RegisterWorkflowWithOptions(SegmentExport, workflow.RegisterOptions{Name: ExportWorkflowType})
			require.NoError(t, replayer.ReplayWorkflowHistoryFromJSONFile(nil, h))
		})
	}
}
