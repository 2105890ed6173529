// Package embedded runs a real Temporal server, kept in one SQLite file, and the real Temporal Web UI inside this
// process. It suits a laptop and a small shop's single machine. Anyone who can reach its ports can do everything a
// Temporal client can: there is no authentication, so it belongs on the loopback address.
package embedded

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	sdklog "go.temporal.io/sdk/log"
	"go.temporal.io/server/common/authorization"
	"go.temporal.io/server/common/config"
	"go.temporal.io/server/temporal"

	uiserver "github.com/temporalio/ui-server/v2/server"
	uioptions "github.com/temporalio/ui-server/v2/server/server_options"
)

const (
	databaseFile = "temporal.db"
	lockFile     = "temporal.lock"

	defaultRetention = 30 * 24 * time.Hour
	pollInterval     = 10 * time.Millisecond
)

// Options say where the server keeps its files and where it listens. The zero value is a server in memory, on free
// ports, with the Web UI.
type Options struct {
	// Dir holds temporal.db and the lock beside it. It is created with mode 0700 when missing. Empty keeps everything
	// in memory, for tests.
	Dir string
	// Host is the IP address, or "localhost", on which the frontend and the Web UI listen; 127.0.0.1 when empty.
	Host string
	// FrontendPort is the port of the gRPC frontend; 0 takes any free one.
	FrontendPort int
	// UIPort is the port of the Web UI; 0 takes any free one, -1 starts no Web UI.
	UIPort int
	// Namespace is made when missing; "default" when empty.
	Namespace string
	// Retention is how long closed workflows are kept; 30 days when zero. A namespace that exists is changed to it.
	Retention time.Duration
	// SearchAttributes are added to the namespace. SQLite has 10 places for Keyword and 3 for every other type.
	// Attributes that are there already and not named here stay.
	SearchAttributes map[string]enumspb.IndexedValueType
	// Logger gets the server's lines of level warn and above; slog.Default() when nil.
	Logger *slog.Logger
}

// Server is a running Temporal server. Its methods may be called from several goroutines.
type Server struct {
	address string
	uiURL   string

	closers  []func() error // run last to first
	stopping atomic.Bool
	stopOnce sync.Once
	stopErr  error
}

// Start starts the server and returns when its frontend serves the namespace, its search attributes can be used in
// the next request, and the Web UI answers. A server whose process was killed is started again with the same Dir and
// carries on.
//
// It returns ErrInUse when another process (or another Server of this one) has the Dir, ErrNewerFile when a newer
// program wrote it, and an error naming the address when a given port is taken. A context that ends while starting
// stops what was started. Once Start has returned, the context has no effect.
func Start(ctx context.Context, o Options) (*Server, error) {
	if o.Host == "" || o.Host == "localhost" {
		o.Host = loopback
	}
	if o.Namespace == "" {
		o.Namespace = "default"
	}
	if o.Retention == 0 {
		o.Retention = defaultRetention
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	o.SearchAttributes = maps.Clone(o.SearchAttributes)

	s := &Server{}
	if err := s.start(ctx, o); err != nil {
		return nil, errors.Join(fmt.Errorf("starting the embedded Temporal server: %w", err), s.Stop())
	}
	return s, nil
}

func (s *Server) start(ctx context.Context, o Options) error {
	database := ""
	if o.Dir != "" {
		if err := os.MkdirAll(o.Dir, 0o700); err != nil {
			return err
		}
		unlock, err := lock(filepath.Join(o.Dir, lockFile))
		if err != nil {
			return err
		}
		s.closers = append(s.closers, unlock)

		// The server's pool of connections is keyed by the path and lives as long as the process: one spelling only.
		if database, err = filepath.Abs(filepath.Join(o.Dir, databaseFile)); err != nil {
			return err
		}
		if err := migrate(ctx, database); err != nil {
			return fmt.Errorf("%s: %w", database, err)
		}
	}

	ports, err := choosePorts(o)
	if err != nil {
		return err
	}
	cfg := serverConfig(o, database, ports)
	if err := ensureNamespace(ctx, cfg.Persistence.DataStores[storeName].SQL, o); err != nil {
		return fmt.Errorf("namespace %s: %w", o.Namespace, err)
	}
	server, err := temporal.NewServer(
		temporal.ForServices(temporal.DefaultServices),
		temporal.WithConfig(cfg),
		temporal.WithStaticHosts(ports.hosts()),
		temporal.WithDynamicConfigClient(dynamicConfig()),
		temporal.WithAuthorizer(authorization.NewNoopAuthorizer()),
		temporal.WithClaimMapper(func(*config.Config) authorization.ClaimMapper { return authorization.NewNoopClaimMapper() }),
		temporal.WithLogger(serverLogger{o.Logger, &s.stopping}),
	)
	if err != nil {
		return err
	}
	s.closers = append(s.closers, server.Stop)
	if err := server.Start(); err != nil {
		return err
	}
	s.address = ports.address
	if err := awaitNamespace(ctx, s.address, o); err != nil {
		return err
	}
	if o.UIPort < 0 {
		return nil
	}

	ui := uiserver.NewServer(uioptions.WithConfigProvider(uiConfig(o, ports)))
	s.closers = append(s.closers, func() error { ui.Stop(); return nil })
	go func() { _ = ui.Start() }() // nil in every case: it ends the process when it can't listen
	if err := awaitOK(ctx, ports.uiURL+"/healthz"); err != nil {
		return err
	}
	s.uiURL = ports.uiURL
	return nil
}

// Address is the frontend's host:port, for client.Options.HostPort.
func (s *Server) Address() string { return s.address }

// UIURL is the Web UI's address, http://host:port, or "" when there is none.
func (s *Server) UIURL() string { return s.uiURL }

// Stop stops the Web UI and the server, which takes about a second, and gives the Dir free. Workflows keep their
// state and continue at the next Start. It may be called twice; later calls wait for the first and return its error.
// Stop the clients and workers of this server first, or they log that it has gone.
func (s *Server) Stop() error {
	s.stopOnce.Do(func() {
		s.stopping.Store(true)
		for i := len(s.closers) - 1; i >= 0; i-- {
			s.stopErr = errors.Join(s.stopErr, s.closers[i]())
		}
	})
	return s.stopErr
}

// awaitNamespace returns when the frontend serves the namespace: server.Start returns a moment before.
func awaitNamespace(ctx context.Context, address string, o Options) error {
	c, err := client.NewLazyClient(client.Options{
		HostPort: address, Namespace: o.Namespace, Logger: sdklog.NewStructuredLogger(o.Logger),
	})
	if err != nil {
		return err
	}
	defer c.Close()
	return poll(ctx, func() error {
		_, err := c.WorkflowService().DescribeNamespace(ctx, &workflowservice.DescribeNamespaceRequest{Namespace: o.Namespace})
		return err
	})
}

func awaitOK(ctx context.Context, url string) error {
	c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}} // and no proxy
	return poll(ctx, func() error {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		resp, err := c.Do(req)
		if err != nil {
			return err
		}
		defer func() { _ = resp.Body.Close() }()
		if resp.StatusCode != http.StatusOK {
			return fmt.Errorf("%s: %s", url, resp.Status)
		}
		return nil
	})
}

// poll calls check until it returns nil or the context ends, and then tells what was missing.
func poll(ctx context.Context, check func() error) error {
	for {
		err := check()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", context.Cause(ctx), err)
		case <-time.After(pollInterval):
		}
	}
}
