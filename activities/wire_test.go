package activities

import (
	"testing"

	"github.com/segment-export/segment-export/internal/protocol"
	"github.com/segment-export/segment-export/internal/record/recordtest"
	"github.com/segment-export/segment-export/internal/run"
)

// What goes into activities and comes out of them stays as the histories of
// workflows have it.
func TestTheJSONOfActivities(t *testing.T) {
	recordtest.Golden(t, "testdata/wire.json", RunInput{}, run.Control{}, PreflightInput{}, PreflightResult{}, CollectInput{}, CollectResult{},
		DecideResult{}, AdoptResult{}, UploadInput{}, UploadResult{}, SweepInput{}, SweepResult{}, RecordInput{}, FinishInput{},
		VerifyInput{}, VerifyResult{}, TickInput{}, TickResult{}, AlertInput{}, protocol.Request{}, protocol.Response{})
}
