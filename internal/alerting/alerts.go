package alerting

import (
	"context"

	"github.com/segment-export/segment-export/internal/metrics"
	"github.com/segment-export/segment-export/internal/seal"
	"github.com/segment-export/segment-export/internal/store"
)

// Alerts finds out what is to be told of each export, and tells it.
type Alerts struct {
	Store   store.Store
	Keyring *seal.Keyring
	Work    *metrics.Work
	Roots   Roots // of mail servers and webhooks; nil is the system's
	// Start starts the delivery of a notice, once however often it is called for it.
	Start func(ctx context.Context, in AlertInput, summary string) error
}
