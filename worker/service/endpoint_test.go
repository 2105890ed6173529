package service

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/mock"
	"github.com/stretchr/testify/require"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/mocks"

	"github.com/segment-export/segment-export/internal/store/sqlstore"
)

// probed is a worker's service without its polling, with its endpoint.
type probed struct {
	t        *testing.T
	service  *Service
	temporal *mocks.Client
	url      string
}

func newProbed(t *testing.T) *probed {
	t.Helper()
	dir := t.TempDir()
	s := &Service{log: slog.New(slog.DiscardHandler)}
	var err error
	s.Store, err = sqlstore.OpenSQLite(t.Context(), filepath.Join(dir, "store.db"), sqlstore.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Store.Close()) })
	s.keyring, err = openKeyring(t.Context(), s.Store, filepath.Join(dir, "keyring.json"), slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	temporal := &mocks.Client{}
	s.temporal = temporal
	telemetry, err := NewTelemetry()
	require.NoError(t, err)
	temporal.On("ScheduleClient").Return(noSchedules{}).Maybe()
	work := s.count(telemetry)
	work.Sent("spring", 7)
	e, err := s.Serve(t.Context(), "127.0.0.1:0", telemetry)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, e.Close()) })
	return &probed{t: t, service: s, temporal: temporal, url: "http://" + e.Address()}
}

// noSchedules is a namespace without schedules.
type noSchedules struct{ client.ScheduleClient }

func (noSchedules) List(context.Context, client.ScheduleListOptions) (client.ScheduleListIterator, error) {
	return nil, errors.New("not asked")
}

func (p *probed) get(path string) (int, string) {
	p.t.Helper()
	r, err := http.Get(p.url + path)
	require.NoError(p.t, err)
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	require.NoError(p.t, err)
	return r.StatusCode, string(body)
}

func (p *probed) ready() (int, map[string]string) {
	p.t.Helper()
	code, body := p.get("/readyz")
	var a answer
	require.NoError(p.t, json.Unmarshal([]byte(body), &a))
	return code, a.Checks
}

func TestProbesTellTheTruth(t *testing.T) {
	p := newProbed(t)
	healthy := p.temporal.On("CheckHealth", mock.Anything, mock.Anything).Return(&client.CheckHealthResponse{}, nil)

	code, checks := p.ready()
	require.Equal(t, 503, code)
	require.Equal(t, map[string]string{"temporal": "ok", "store": "ok", "keyring": "ok", "worker": "not polling"}, checks)
	p.service.polling.Store(true)
	code, _ = p.ready()
	require.Equal(t, 200, code)

	// Temporal away: not ready, and a restart would not help.
	healthy.Unset()
	away := p.temporal.On("CheckHealth", mock.Anything, mock.Anything).Return(nil, serviceerror.NewUnavailable("away"))
	code, checks = p.ready()
	require.Equal(t, 503, code)
	require.Equal(t, "out of reach", checks["temporal"])
	code, _ = p.get("/livez")
	require.Equal(t, 200, code)
	away.Unset()
	p.temporal.On("CheckHealth", mock.Anything, mock.Anything).Return(&client.CheckHealthResponse{}, nil)

	// Another store under the same worker.
	known, err := p.service.Store.Object(t.Context(), metaKind, metaKeyring)
	require.NoError(t, err)
	other, err := openKeyring(t.Context(), emptyStore(t), filepath.Join(t.TempDir(), "keyring.json"), slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	known.Sealed, err = other.SealCheck()
	require.NoError(t, err)
	require.NoError(t, p.service.Store.UpdateObject(t.Context(), known))
	code, checks = p.ready()
	require.Equal(t, 503, code)
	require.Equal(t, "does not open the store: another keyring, or one that lacks the newest key", checks["keyring"])
	require.NoError(t, p.service.Store.DeleteObject(t.Context(), metaKind, metaKeyring, ""))
	_, checks = p.ready()
	require.Contains(t, checks["keyring"], "made without this keyring")

	// A worker that Temporal refused for good is started again.
	cause := errors.New("namespace not found")
	p.service.fatal.Store(&cause)
	code, body := p.get("/livez")
	require.Equal(t, 503, code)
	require.NotContains(t, body, cause.Error())
}

func TestAStoreThatIsGoneIsNotReady(t *testing.T) {
	p := newProbed(t)
	p.temporal.On("CheckHealth", mock.Anything, mock.Anything).Return(&client.CheckHealthResponse{}, nil)
	p.service.polling.Store(true)
	open := p.service.Store
	p.service.Store = emptyStore(t)
	require.NoError(t, p.service.Store.Close())
	code, checks := p.ready()
	require.Equal(t, 503, code)
	require.Equal(t, "out of reach", checks["store"])
	require.Equal(t, "unknown: the store is out of reach", checks["keyring"])
	p.service.Store = open
}

func emptyStore(t *testing.T) *sqlstore.Store {
	t.Helper()
	s, err := sqlstore.OpenSQLite(t.Context(), filepath.Join(t.TempDir(), "store.db"), sqlstore.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func TestMetricsAreServed(t *testing.T) {
	p := newProbed(t)
	code, body := p.get("/metrics")
	require.Equal(t, 200, code)
	require.Contains(t, body, `segment_export_contacts_sent_total{export="spring"} 7`)
	require.Contains(t, body, "segment_export_state_up")
	require.Contains(t, body, "go_goroutines")
	code, _ = p.get("/debug/pprof/")
	require.Equal(t, 404, code, "nothing else is served")
}
