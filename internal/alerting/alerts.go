package alerting

import (
	"context"

	"github.com/segment-export/segment-export/internal/metrics"
	"github.com/segment-export/segment-export/internal/seal"
	"github.com/segment-export/segment-export/internal/store"
)

// Alerts finds out what to report of each export, and reports it.
type Alerts struct {
	Store   store.Store
	Keyring *seal.Keyring
	Work    *metrics.Work
	Roots   Roots // of mail servers and webhooks; nil is the system's
	// Start starts the delivery of a notice, once however often it is called for it.
	Start func(ctx context.Context, in AlertInput, summary string) error
}
