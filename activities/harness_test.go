package activities

import (
	"testing"

	"github.com/segment-export/segment-export/internal/delivery/deliverytest"
	"github.com/segment-export/segment-export/internal/omnisend/sandbox"
)

// steps goes through a run step by step.
type steps struct{ *deliverytest.Steps }

// activities are made of what the steps have now.
func (s *steps) activities() *Activities {
	return New(Dependencies{Dependencies: s.Dependencies, Worker: "7@shop"})
}

func newSteps(t testing.TB, o sandbox.Options) *steps {
	t.Helper()
	return &steps{deliverytest.New(t, o)}
}
