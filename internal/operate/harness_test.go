package operate

import (
	"testing"

	"github.com/segment-export/segment-export/internal/admin"
	"github.com/segment-export/segment-export/internal/alerting"
	"github.com/segment-export/segment-export/internal/command"
	"github.com/segment-export/segment-export/internal/delivery/deliverytest"
	"github.com/segment-export/segment-export/internal/omnisend/sandbox"
	"github.com/segment-export/segment-export/internal/scheduling"
)

// steps goes through a run step by step, with all commands.
type steps struct {
	*deliverytest.Steps
	*Commands
}

func newSteps(t testing.TB, o sandbox.Options) *steps {
	t.Helper()
	s := deliverytest.New(t, o)
	scheduler := &scheduling.Scheduler{Steps: s.Delivery}
	s.Workflows = scheduler
	desk := command.New(scheduler, "7@shop")
	commands := &Commands{Desk: desk}
	desk.Add(commands.Handlers())
	alerts := &alerting.Alerts{Store: s.Store, Keyring: s.Keyring, Work: s.Work}
	desk.Add((&admin.Commands{Desk: desk, Alerts: alerts, Endpoint: s.Target.URL}).Handlers())
	return &steps{s, commands}
}
