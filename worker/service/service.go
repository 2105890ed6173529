// Package service wires a worker together: store, keyring, sources, the client
// of Omnisend, activities and workflows. The programs worker and standalone
// differ only in where Temporal is.
package service

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/segment-export/segment-export/activities"
	"github.com/segment-export/segment-export/internal/access"
	"github.com/segment-export/segment-export/internal/alerting"
	"github.com/segment-export/segment-export/internal/fault"
	"github.com/segment-export/segment-export/internal/job"
	"github.com/segment-export/segment-export/internal/localfile"
	"github.com/segment-export/segment-export/internal/metrics"
	"github.com/segment-export/segment-export/internal/omnisend"
	"github.com/segment-export/segment-export/internal/protocol"
	"github.com/segment-export/segment-export/internal/scheduling"
	"github.com/segment-export/segment-export/internal/seal"
	"github.com/segment-export/segment-export/internal/secretref"
	"github.com/segment-export/segment-export/internal/store"
	"github.com/segment-export/segment-export/internal/store/sqlstore"
	"github.com/segment-export/segment-export/workflows"
)

// RequestTimeout is the longest time that one request to Omnisend may take.
const RequestTimeout = 30 * time.Second

// Options say where a worker keeps and finds things.
type Options struct {
	DataDir     string // keyring, identity, and the store unless it is PostgreSQL; made if missing
	Postgres    string // the store's connection string; empty: SQLite in DataDir
	Identity    Identity
	FilesRoot   string // paths of sources are below it
	SecretsDir  string // secrets that are named file:NAME are in it; empty: there are none
	OmnisendURL string // new connections are bound to it
	Log         *slog.Logger
	Retention   Retention
	Telemetry   *Telemetry     // nil: nothing is counted
	AlertRoots  alerting.Roots // authorities of mail servers and webhooks; nil: the system's
	Tuning      activities.Tuning
	// BuildID names this build in Deployment where builds coexist: runs stay with
	// the build that began them. Empty: any worker takes any run.
	BuildID    string
	Deployment string
}

// versioning pins runs to the build that began them where builds coexist.
func (o *Options) versioning() worker.DeploymentOptions {
	if o.BuildID == "" {
		return worker.DeploymentOptions{}
	}
	return worker.DeploymentOptions{UseVersioning: true, DefaultVersioningBehavior: workflow.VersioningBehaviorPinned,
		Version: worker.WorkerDeploymentVersion{DeploymentName: o.Deployment, BuildID: o.BuildID}}
}

// Service is a worker with everything it needs, ready to be started.
type Service struct {
	Store      store.Store
	activities *activities.Activities
	worker     worker.Worker
	temporal   client.Client
	keyring    *seal.Keyring
	changed    chan struct{} // a run's status was stored
	outgrown   chan error    // has room for the one that is sent
	polling    atomic.Bool
	stopping   chan struct{} // closed by Drain
	drained    sync.Once
	fatal      atomic.Pointer[error] // why the worker gave up
	retention  Retention
	log        *slog.Logger
	root       *os.Root
	stop       context.CancelFunc
	beside     sync.WaitGroup // what is done beside the activities
}

// Open opens the store and the keyring and makes the worker, without starting
// it. The client stays the caller's.
func Open(ctx context.Context, temporal client.Client, o Options) (*Service, error) {
	if err := os.MkdirAll(o.DataDir, 0o700); err != nil {
		return nil, fmt.Errorf("data directory: %w", err)
	}
	if err := localfile.CheckWhole(o.DataDir); err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(o.FilesRoot)
	if err != nil {
		return nil, fmt.Errorf("--files-root: %w", err)
	}
	s := &Service{changed: make(chan struct{}, 1), outgrown: make(chan error, 1), stopping: make(chan struct{}), log: o.Log, retention: o.Retention.filled(), root: root, temporal: temporal}
	if s.Store, err = openStore(ctx, o); err != nil {
		return nil, errors.Join(err, root.Close())
	}
	keyringPath := filepath.Join(o.DataDir, keyringFile)
	keyring, err := openKeyring(ctx, s.Store, keyringPath, o.Log)
	var identity access.Identifier
	if err == nil {
		identity, err = o.Identity.identifier(filepath.Join(o.DataDir, access.IdentityFile), keyring)
	}
	if err != nil {
		return nil, errors.Join(err, s.Store.Close(), root.Close())
	}
	s.keyring = keyring
	work := s.count(o.Telemetry)
	s.activities = activities.New(activities.Dependencies{Temporal: temporal, Worker: workerName(), Endpoint: o.OmnisendURL, AlertRoots: o.AlertRoots,
		Disk: func() (*protocol.DiskStatus, error) { return disk(o.DataDir) }, Dependencies: job.Dependencies{
			Store: s.Store, Keyring: keyring, Identity: identity, Log: o.Log, Work: work, Stopping: s.stopping,
			Secrets: secretref.Resolver{Dir: o.SecretsDir}, OpenSource: s.openSource, Changed: s.nudge, Tuning: o.Tuning,
			OpenAPI: func(endpoint, key string) (omnisend.API, error) {
				api, err := omnisend.New(omnisend.Options{BaseURL: endpoint, Key: omnisend.Key(key), Timeout: RequestTimeout})
				if err != nil {
					return nil, err
				}
				return work.Counted(api), nil
			},
		}})
	s.worker = worker.New(temporal, protocol.TaskQueue, worker.Options{
		// What is in flight when the worker stops may end: a call to
		// Omnisend takes at most RequestTimeout.
		WorkerStopTimeout: RequestTimeout + 5*time.Second,
		// Otherwise the SDK passes a heartbeat on every 8 s, which leaves 2 s to
		// the timeout on a busy machine.
		MaxHeartbeatThrottleInterval: 2 * time.Second,
		Identity:                     workerName(),
		DeploymentOptions:            o.versioning(),
		Interceptors:                 []interceptor.WorkerInterceptor{&naming{}, activities.Faults(s.activities), activities.Alive(), activities.Admission(s.activities)},
		OnFatalError: func(err error) {
			s.fatal.Store(&err)
			s.log.Error("worker rejected permanently; stopped", "error", err)
		},
	})
	workflows.Register(s.worker, s.activities)
	return s, nil
}

// workerName is what this worker is called in Temporal: its process and machine.
func workerName() string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return fmt.Sprintf("%d@%s", os.Getpid(), host)
}

// guarded does something beside the activities. A fault of this program in it
// is logged, and ends nothing else.
func (s *Service) guarded(ctx context.Context, do func(context.Context) error) error {
	err := fault.Guard(func() error { return do(ctx) })
	if f, ok := errors.AsType[*fault.Error](err); ok {
		activities.NoteFault(ctx, s.activities, f)
	}
	return err
}

// count registers this worker's metrics and returns its counters.
func (s *Service) count(t *Telemetry) *metrics.Work {
	if t == nil {
		return metrics.NewWork(nil)
	}
	t.registry.MustRegister(&metrics.State{Store: s.Store, Log: s.log,
		Schedules: func(ctx context.Context) ([]metrics.Schedule, error) { return scheduling.Schedules(ctx, s.temporal) }})
	return t.work
}

// storeFile is the SQLite store in a data directory.
const storeFile = "store.db"

func openStore(ctx context.Context, o Options) (store.Store, error) {
	opts := sqlstore.Options{RequestTimeout: RequestTimeout}
	if o.Postgres != "" {
		return sqlstore.OpenPostgres(ctx, o.Postgres, opts)
	}
	return sqlstore.OpenSQLite(ctx, filepath.Join(o.DataDir, storeFile), opts)
}

// The object of the catalogue by which a store knows its keyring.
const (
	metaKind    = "meta"
	metaKeyring = "keyring"
)

// openKeyring loads the store's keyring, or makes one for a store that has none
// yet. A worker with another keyring could read nothing and would write what
// nobody else can read, so it does not start. That a store without a keyring met
// a keyring that is not new is logged: it may be in place of one that was lost.
func openKeyring(ctx context.Context, s store.Store, path string, log *slog.Logger) (*seal.Keyring, error) {
	known, err := s.Object(ctx, metaKind, metaKeyring)
	if err == nil {
		return checkedKeyring(path, known.Sealed)
	}
	if !errors.Is(err, store.ErrNotFound) {
		return nil, err
	}
	k, created, err := seal.LoadOrCreateKeyring(path)
	if err != nil {
		return nil, err
	}
	check, err := k.SealCheck()
	if err != nil {
		return nil, err
	}
	err = s.CreateObject(ctx, store.Object{Kind: metaKind, Name: metaKeyring, Body: []byte(`{}`), Sealed: check})
	if errors.Is(err, store.ErrExists) { // another worker was faster
		known, err := s.Object(ctx, metaKind, metaKeyring)
		if err != nil {
			return nil, err
		}
		return checkedKeyring(path, known.Sealed)
	}
	if err == nil && !created {
		log.WarnContext(ctx, "the store is new, but the keyring is older. This is right for a first start with your own keyring. If the store was lost, "+
			"stop and restore it from a backup: without it there are no exports, connections and ledgers, and nothing is sent until you define them again", "keyring", path)
	}
	return k, err
}

func checkedKeyring(path string, check []byte) (*seal.Keyring, error) {
	k, err := seal.LoadKeyring(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("the keyring of this store is missing: restore it from a backup (docs/keyring.md says what is lost without it): %w", err)
	}
	if err != nil {
		return nil, err
	}
	return k, k.OpenCheck(check)
}

// Fingerprint identifies the key that secrets to this worker are sealed to, for
// starters that pin it.
func (s *Service) Fingerprint() string { return s.keyring.PublicKey().Fingerprint() }

// Start begins to poll for work and to clean up, and returns.
func (s *Service) Start(ctx context.Context) error {
	if err := s.worker.Start(); err != nil {
		return fmt.Errorf("start the worker: %w", err)
	}
	s.polling.Store(true)
	ctx, s.stop = context.WithCancel(context.WithoutCancel(ctx))
	s.beside.Go(func() { s.watch(ctx) })
	s.beside.Go(func() { s.watchSchema(ctx, schemaEvery) })
	s.beside.Go(func() { s.cleanUp(ctx) })
	return nil
}

// Drain keeps work in progress from starting another call, read or write. It returns
// at once, may be called before Stop so that this can be announced first, and may
// be called again.
func (s *Service) Drain() { s.drained.Do(func() { close(s.stopping) }) }

// Stop stops polling, lets calls in flight end, hands the rest over, and closes
// the store. It is called once.
func (s *Service) Stop() error {
	s.Drain()
	s.polling.Store(false)
	if s.stop != nil {
		s.stop()
		s.worker.Stop()
		s.beside.Wait()
	}
	return errors.Join(s.Store.Close(), s.root.Close())
}
