// Package connect opens the connections and sources of the catalogue with their
// secrets, and says what to do about one that cannot be used.
package connect

import (
	"log/slog"
	"time"

	"github.com/segment-export/segment-export/internal/catalogue"
	"github.com/segment-export/segment-export/internal/metrics"
	"github.com/segment-export/segment-export/internal/omnisend"
	"github.com/segment-export/segment-export/internal/seal"
	"github.com/segment-export/segment-export/internal/secretref"
	"github.com/segment-export/segment-export/internal/segment"
	"github.com/segment-export/segment-export/internal/store"
)

// Opener opens connections and sources.
type Opener struct {
	Store      store.Store
	Keyring    *seal.Keyring
	Log        *slog.Logger
	Work       *metrics.Work
	Secrets    secretref.Resolver
	OpenSource func(s catalogue.Source, credential []byte) (segment.Source, error)
	OpenAPI    func(endpoint, key string) (omnisend.API, error)

	Patience       time.Duration // longest wait for budget
	SourcePatience time.Duration // how long a source may give errors before a run parks
	SourceReady    time.Duration // how long a source may be busy before a run parks
}
