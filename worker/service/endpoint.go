package service

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.temporal.io/sdk/client"

	"github.com/segment-export/segment-export/internal/seal"
	"github.com/segment-export/segment-export/internal/store"
	"github.com/segment-export/segment-export/internal/store/sqlstore"
)

// Endpoint serves /metrics, /livez and /readyz. It tells names of exports and
// connections, nothing personal and no secret, and has no password: keep it on
// this machine or on a network of your own.
type Endpoint struct {
	server   *http.Server
	listener net.Listener
	log      *slog.Logger
}

// probeTimeout is shorter than the patience of common probes, so that the
// answer says what is wrong.
const probeTimeout = 900 * time.Millisecond

// Serve begins to serve the endpoint at that address.
func (s *Service) Serve(ctx context.Context, address string, t *Telemetry) (*Endpoint, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("--metrics-address: %w; choose another one, or none", err)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(t.registry, promhttp.HandlerOpts{
		ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelWarn), ErrorHandling: promhttp.ContinueOnError}))
	mux.HandleFunc("GET /livez", s.live)
	mux.HandleFunc("GET /readyz", s.ready)
	e := &Endpoint{listener: listener, log: s.log, server: &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second,
		WriteTimeout: 30 * time.Second, ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelWarn)}}
	go func() {
		if err := e.server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			s.log.Error("metrics and health checks have stopped", "error", err)
		}
	}()
	return e, nil
}

// Address is where it listens.
func (e *Endpoint) Address() string { return e.listener.Addr().String() }

// Close ends it.
func (e *Endpoint) Close() error { return e.server.Close() }

// answer is what a probe gets.
type answer struct {
	Status string            `json:"status"`
	Checks map[string]string `json:"checks,omitempty"`
}

const (
	statusOK     = "ok"
	statusFailed = "failed"
)

// live tells that this process can still work: starting it again would not
// help when Temporal or the store is away, so neither is asked.
func (s *Service) live(w http.ResponseWriter, _ *http.Request) {
	if err := s.fatal.Load(); err != nil {
		writeAnswer(w, answer{Status: statusFailed, Checks: map[string]string{"worker": "stopped: Temporal refused it for good; see the log"}})
		return
	}
	writeAnswer(w, answer{Status: statusOK})
}

// ready tells that work given to this worker now would be done.
func (s *Service) ready(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), probeTimeout)
	defer cancel()
	checks := map[string]func(context.Context) (string, error){
		"temporal": s.checkTemporal, "store": s.checkStore, "keyring": s.checkKeyring, "worker": s.checkWorker,
	}
	type result struct{ name, text string }
	results := make(chan result, len(checks))
	for name, check := range checks {
		go func() {
			text, err := check(ctx)
			if err != nil {
				s.log.WarnContext(ctx, "not ready", "check", name, "error", err)
			} else {
				text = statusOK
			}
			results <- result{name, text}
		}()
	}
	a := answer{Status: statusOK, Checks: map[string]string{}}
	for range checks {
		r := <-results
		a.Checks[r.name] = r.text
		if r.text != statusOK {
			a.Status = statusFailed
		}
	}
	writeAnswer(w, a)
}

func (s *Service) checkTemporal(ctx context.Context) (string, error) {
	_, err := s.temporal.CheckHealth(ctx, &client.CheckHealthRequest{})
	return "out of reach", err
}

func (s *Service) checkStore(ctx context.Context) (string, error) {
	err := s.Store.Ping(ctx)
	if e, ok := errors.AsType[*sqlstore.SchemaError](err); ok {
		return e.Error(), err
	}
	return "out of reach", err
}

// checkKeyring finds a store that was exchanged under the worker, or that its
// keyring does not open.
func (s *Service) checkKeyring(ctx context.Context) (string, error) {
	known, err := s.Store.Object(ctx, metaKind, metaKeyring)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return "the store was made without this keyring: it records none", err
	case err != nil:
		return "unknown: the store is out of reach", err
	}
	err = s.keyring.OpenCheck(known.Sealed)
	if errors.Is(err, seal.ErrWrongKeyring) {
		return "does not open the store: another keyring, or one that lacks the newest key", err
	}
	return "does not open the store", err
}

func (s *Service) checkWorker(context.Context) (string, error) {
	if err := s.fatal.Load(); err != nil {
		return "stopped: Temporal refused it for good; see the log", *err
	}
	if !s.polling.Load() {
		return "not polling", errors.New("the worker is stopping, or was not yet started")
	}
	return "", nil
}

func writeAnswer(w http.ResponseWriter, a answer) {
	w.Header().Set("Content-Type", "application/json")
	if a.Status != statusOK {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	_ = json.NewEncoder(w).Encode(a) // the client has gone
}
