package alertingtest

import (
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/segment-export/segment-export/internal/alerting"
)

// Receiver takes webhooks whose signature is right, over HTTPS.
type Receiver struct {
	URL   string
	Roots alerting.Roots
	// Away, while it is set, makes it answer 503.
	Away atomic.Bool

	mu     sync.Mutex
	bodies []string
	ids    []string
	tries  atomic.Int32
}

// NewReceiver returns a receiver that knows the signing key.
func NewReceiver(t *testing.T, key string) *Receiver {
	t.Helper()
	r := &Receiver{}
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		r.tries.Add(1)
		if r.Away.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		body, err := io.ReadAll(q.Body)
		if err != nil || q.Header.Get(alerting.HeaderSignature) != alerting.Sign(key, q.Header.Get(alerting.HeaderTimestamp), body) {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		r.bodies, r.ids = append(r.bodies, string(body)), append(r.ids, q.Header.Get(alerting.HeaderID))
	}))
	t.Cleanup(server.Close)
	r.URL = server.URL + "/services/T000/SECRET"
	transport, ok := server.Client().Transport.(*http.Transport)
	require.True(t, ok)
	r.Roots = transport.TLSClientConfig.RootCAs
	return r
}

// Bodies returns what has arrived, and the ids of it.
func (r *Receiver) Bodies() (bodies, ids []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]string(nil), r.bodies...), append([]string(nil), r.ids...)
}

// Tries is how often something was sent to it.
func (r *Receiver) Tries() int { return int(r.tries.Load()) }
