package workflows

import (
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/segment-export/segment-export/activities"
)

// VerifyExport compares a sample of an export's ledger with the account. Its
// result holds numbers only; whom it found is in the store, encrypted.
func VerifyExport(ctx workflow.Context, in activities.VerifyInput) (*activities.VerifyResult, error) {
	for {
		var result activities.VerifyResult
		if err := workflow.ExecuteActivity(long(ctx, "look a sample up in the account"), acts.Verify, in).Get(ctx, &result); err != nil {
			return nil, err
		}
		workflow.SetCurrentDetails(ctx, "Compared: "+count(result.Checked)+", differences: "+count(result.Differences))
		switch {
		case result.Done:
			return &result, nil
		case result.Halt == nil:
		case result.Halt.Kind == activities.HaltWait:
			if err := workflow.Sleep(ctx, max(result.Halt.Wait, time.Second)); err != nil {
				return nil, err
			}
		default:
			return nil, temporal.NewNonRetryableApplicationError(string(result.Halt.Reason), activities.ErrorFail, nil)
		}
	}
}
