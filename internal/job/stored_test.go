package job_test

import (
	"testing"

	"github.com/segment-export/segment-export/internal/job"
	"github.com/segment-export/segment-export/internal/record/recordtest"
	"github.com/segment-export/segment-export/internal/run"
)

// What steps leave behind stays as the store has it.
func TestTheJSONOfSteps(t *testing.T) {
	recordtest.Golden(t, "testdata/stored.json", job.Job{}, job.CollectState{}, job.DecideState{}, job.AdoptState{}, job.AgainState{},
		run.Request{}, run.Report{})
}
