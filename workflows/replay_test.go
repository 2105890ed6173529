package workflows

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/worker"
)

// Runs that started under an earlier build continue under this one: the histories
// in testdata/replay were recorded from real runs (by the tests that call record
// in internal/e2e) and must not be recorded again to make this pass,
// unless no run of the build they are from can be open any more.
func TestRecordedHistoriesReplay(t *testing.T) {
	var histories []string // of this build, and of each release in a directory of its own
	require.NoError(t, filepath.WalkDir("testdata/replay", func(path string, _ fs.DirEntry, err error) error {
		if filepath.Ext(path) == ".json" {
			histories = append(histories, path)
		}
		return err
	}))
	lacking := maps.Clone(registered)
	for _, h := range histories {
		t.Run(h, func(t *testing.T) {
			replayer, err := worker.NewWorkflowReplayerWithOptions(worker.WorkflowReplayerOptions{DisableDeadlockDetection: true}) // a busy machine is none
			require.NoError(t, err)
			registerWorkflows(replayer)
			require.NoError(t, replayer.ReplayWorkflowHistoryFromJSONFile(nil, h))
			file, err := os.Open(h)
			require.NoError(t, err)
			history, err := client.HistoryFromJSON(file, client.HistoryJSONOptions{})
			require.NoError(t, errors.Join(err, file.Close()))
			delete(lacking, history.GetEvents()[0].GetWorkflowExecutionStartedEventAttributes().GetWorkflowType().GetName())
		})
	}
	require.Empty(t, slices.Collect(maps.Keys(lacking)), "every workflow may be under way when a worker is replaced")
}
