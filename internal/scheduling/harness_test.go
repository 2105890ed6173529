package scheduling

import (
	"testing"

	"github.com/segment-export/segment-export/internal/delivery/deliverytest"
	"github.com/segment-export/segment-export/internal/omnisend/sandbox"
)

// steps goes through a run step by step, with a scheduler.
type steps struct {
	*deliverytest.Steps
	*Scheduler
}

func newSteps(t testing.TB, o sandbox.Options) *steps {
	t.Helper()
	s := deliverytest.New(t, o)
	scheduler := &Scheduler{Steps: s.Delivery}
	s.Workflows = scheduler
	return &steps{s, scheduler}
}
