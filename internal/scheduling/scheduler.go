// Package scheduling starts runs: at a command, by their schedules and with the
// system refresh. It is the one package below activities that knows Temporal.
package scheduling

import (
	"go.temporal.io/sdk/client"

	"github.com/segment-export/segment-export/internal/delivery"
)

// Scheduler starts runs and finds out how their workflows stand.
type Scheduler struct {
	*delivery.Steps

	Temporal client.Client
}
