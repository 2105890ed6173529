package intake_test

import (
	"testing"

	"github.com/segment-export/segment-export/internal/delivery/deliverytest"
	"github.com/segment-export/segment-export/internal/omnisend/sandbox"
)

// steps goes through a run step by step.
type steps struct{ *deliverytest.Steps }

func newSteps(t testing.TB, o sandbox.Options) *steps {
	t.Helper()
	return &steps{deliverytest.New(t, o)}
}
