// Command worker carries out exports for an existing Temporal. It does not
// contain a Temporal server; the program standalone does.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"slices"
	"syscall"
	"time"

	"github.com/urfave/cli/v2"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/contrib/envconfig"
	"go.temporal.io/sdk/log"

	"github.com/segment-export/segment-export/internal/localfile"
	"github.com/segment-export/segment-export/internal/logging"
	"github.com/segment-export/segment-export/internal/omnisend"
	"github.com/segment-export/segment-export/internal/secretref"
	"github.com/segment-export/segment-export/internal/store/sqlstore"
	"github.com/segment-export/segment-export/worker/service"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	if err := app().RunContext(ctx, os.Args); err != nil {
		fmt.Fprintln(os.Stderr, "worker:", err)
		os.Exit(1) //nolint:gocritic // nothing is left to stop
	}
}

func app() *cli.App {
	store := &cli.StringFlag{Name: "store-url", EnvVars: []string{"SEGMENT_EXPORT_STORE_URL"},
		Usage: "`URL` of the PostgreSQL store (default: a SQLite file in the data directory, for one worker)"}
	return service.ShortUsage(&cli.App{
		Name:  "worker",
		Usage: "runs segment exports for a Temporal cluster or Temporal Cloud",
		Description: "Finds Temporal through the standard client settings: TEMPORAL_ADDRESS, TEMPORAL_NAMESPACE,\n" +
			"TEMPORAL_API_KEY, TEMPORAL_TLS_*, TEMPORAL_PROFILE, temporal.toml.\n\n" +
			"Example:\n  TEMPORAL_ADDRESS=temporal:7233 worker run --files-root /data/segments",
		HideHelpCommand:    true,
		SliceFlagSeparator: service.RoleSeparator,
		Commands: []*cli.Command{
			{Name: "run", Usage: "start a worker, which runs until SIGTERM or Ctrl-C", Action: run,
				Description: "Example:\n  worker run --data-dir /var/lib/segment-export --files-root /data/segments",
				Flags: append([]cli.Flag{store,
					&cli.StringFlag{Name: "data-dir", EnvVars: []string{"SEGMENT_EXPORT_DATA_DIR"}, Usage: "`DIR` with the keyring, the identity and the SQLite store (default: the user's data directory)"},
					&cli.StringFlag{Name: "files-root", Value: ".", Usage: "`DIR` that holds the folders of file sources"},
					&cli.StringFlag{Name: "secrets-dir", Value: secretref.DefaultDir, Usage: "`DIR` with mounted secrets, which credentials name as file:NAME"},
					&cli.StringFlag{Name: "omnisend-url", Value: omnisend.DefaultURL, Usage: "base `URL` of Omnisend's API for new connections"},
					&cli.StringFlag{Name: "build-id", EnvVars: []string{"SEGMENT_EXPORT_BUILD_ID"},
						Usage: "`ID` of this build, if several builds run at once: runs stay with the build that started them (see docs/upgrading.md)"},
					&cli.StringFlag{Name: "deployment-name", EnvVars: []string{"SEGMENT_EXPORT_DEPLOYMENT_NAME"}, Value: "segment-export",
						Usage: "`NAME` of the Temporal worker deployment that --build-id belongs to"},
					&cli.StringFlag{Name: "metrics-address", EnvVars: []string{"SEGMENT_EXPORT_METRICS_ADDRESS"},
						Usage: "serve /metrics, /livez and /readyz at `HOST:PORT`, such as 127.0.0.1:9464 (default: not served)"},
					&cli.StringFlag{Name: "log-format", Value: "text", Usage: "text or json"},
					&cli.StringFlag{Name: "log-level", Value: "info", Usage: "debug, info, warn or error"},
				}, slices.Concat(service.IdentityFlags(), service.RetentionFlags())...)},
			service.KeyringCommand("worker", store),
			{Name: "migrate", Usage: "update the schema of the PostgreSQL store", Flags: []cli.Flag{store},
				Description: "Example:\n  SEGMENT_EXPORT_STORE_URL=postgres://… worker migrate",
				Action: func(c *cli.Context) error {
					if c.String("store-url") == "" {
						return fmt.Errorf("set --store-url or SEGMENT_EXPORT_STORE_URL; a SQLite store needs no command, it is migrated when a worker opens it")
					}
					if err := sqlstore.MigratePostgres(c.Context, c.String("store-url")); err != nil {
						return err
					}
					_, err := fmt.Fprintln(c.App.Writer, "the store's schema is up to date")
					return err
				}},
		},
	})
}

// softMemory is how much memory the worker holds itself to where it can, unless
// GOMEMLIMIT says otherwise: a million profiles take less than half of it at a
// time, the rest would be garbage waiting to be collected.
const softMemory = 160 << 20

func run(c *cli.Context) error {
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(softMemory)
	}
	logger, err := logging.New(os.Stderr, c.String("log-format"), c.String("log-level"))
	if err != nil {
		return err
	}
	dir := c.String("data-dir")
	if dir == "" {
		if dir, err = localfile.Default(); err != nil {
			return err
		}
	}
	options, err := envconfig.LoadDefaultClientOptions()
	if err != nil {
		return fmt.Errorf("temporal client settings: %w", err)
	}
	options.Logger = log.NewStructuredLogger(logger)
	identity, err := service.IdentityFrom(c)
	if err != nil {
		return err
	}
	telemetry, err := service.NewTelemetry()
	if err != nil {
		return err
	}
	options.MetricsHandler = telemetry.Handler
	dial, cancel := context.WithTimeout(c.Context, 10*time.Second)
	defer cancel()
	temporal, err := client.DialContext(dial, options)
	if err != nil {
		return fmt.Errorf("no Temporal at %s: %w", options.HostPort, err)
	}
	defer temporal.Close()
	if err := service.CheckSearchAttributes(dial, temporal, options.Namespace); err != nil {
		return err
	}
	retention, err := service.RetentionOf(c)
	if err != nil {
		return err
	}
	s, err := service.Open(c.Context, temporal, service.Options{DataDir: dir, Identity: identity, Retention: retention, Postgres: c.String("store-url"),
		FilesRoot: c.String("files-root"), SecretsDir: c.String("secrets-dir"), OmnisendURL: c.String("omnisend-url"), Log: logger, Telemetry: telemetry,
		BuildID: c.String("build-id"), Deployment: c.String("deployment-name")})
	if err != nil {
		return err
	}
	endpoint, err := serveEndpoint(c, s, telemetry)
	if err != nil {
		return errors.Join(err, s.Stop())
	}
	if err := s.Start(c.Context); err != nil {
		return errors.Join(err, endpoint.Close(), s.Stop())
	}
	logger.Info("ready", "temporal", options.HostPort, "namespace", options.Namespace, "data_dir", dir, "fingerprint", s.Fingerprint())
	var outgrown error
	select {
	case <-c.Done():
	case outgrown = <-s.Outgrown():
		logger.Error("this release must no longer use the store", "error", outgrown)
	}
	s.Drain()
	logger.Info("stopping: calls in flight finish, other workers do the rest")
	return errors.Join(outgrown, s.Stop(), endpoint.Close())
}

// serveEndpoint serves metrics and health where they are wanted. It is served
// until the very end, so that probes see a worker that drains.
func serveEndpoint(c *cli.Context, s *service.Service, t *service.Telemetry) (io.Closer, error) {
	address := c.String("metrics-address")
	if address == "" {
		return io.NopCloser(nil), nil
	}
	return s.Serve(c.Context, address, t)
}
