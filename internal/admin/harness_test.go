package admin

import (
	"testing"

	"github.com/segment-export/segment-export/internal/alerting"
	"github.com/segment-export/segment-export/internal/command"
	"github.com/segment-export/segment-export/internal/delivery/deliverytest"
	"github.com/segment-export/segment-export/internal/omnisend/sandbox"
	"github.com/segment-export/segment-export/internal/scheduling"
	"github.com/segment-export/segment-export/internal/store/postgrestest"
)

func TestMain(m *testing.M) { postgrestest.Main(m) }

// steps goes through a run step by step, with the commands.
type steps struct {
	*deliverytest.Steps
	*Commands
}

func newSteps(t testing.TB, o sandbox.Options) *steps {
	t.Helper()
	s := deliverytest.New(t, o)
	scheduler := &scheduling.Scheduler{Steps: s.Delivery}
	s.Workflows = scheduler
	alerts := &alerting.Alerts{Store: s.Store, Keyring: s.Keyring, Work: s.Work}
	return &steps{s, &Commands{Desk: command.New(scheduler, "7@shop"), Alerts: alerts, Endpoint: s.Target.URL}}
}
