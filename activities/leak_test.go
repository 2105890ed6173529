package activities

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/temporal"

	"github.com/segment-export/segment-export/internal/reason"
	"github.com/segment-export/segment-export/internal/record"
	"github.com/segment-export/segment-export/internal/run"
)

// What an activity fails with is kept in Temporal: it is bounded there, whatever
// it is made of.
func TestErrorsOfActivitiesAreBounded(t *testing.T) {
	for name, err := range map[string]error{
		"any":         errors.New(strings.Repeat("x\n", 10_000)),
		"application": temporal.NewNonRetryableApplicationError(strings.Repeat("x\n", 10_000), "Kind", nil),
	} {
		t.Run(name, func(t *testing.T) {
			in := Faults(&Activities{}).InterceptActivity(t.Context(), &failing{err: err})
			_, got := in.ExecuteActivity(t.Context(), &interceptor.ExecuteActivityInput{})
			require.LessOrEqual(t, len(got.Error()), reason.MaxBytes+100)
			require.NotContains(t, got.Error(), "\n")
			if app, ok := errors.AsType[*temporal.ApplicationError](got); ok {
				require.Equal(t, "Kind", app.Type())
				require.True(t, app.NonRetryable())
			}
		})
	}
	require.LessOrEqual(t, len(record.Encode(&run.Halt{Reason: reason.Text(strings.Repeat("x", 1<<20)), Action: reason.Text(fmt.Sprint(strings.Repeat("y", 1<<20)))})), 2*reason.MaxBytes+200)
}

type failing struct {
	interceptor.ActivityInboundInterceptorBase
	err error
}

func (f *failing) ExecuteActivity(context.Context, *interceptor.ExecuteActivityInput) (any, error) {
	return nil, f.err
}
