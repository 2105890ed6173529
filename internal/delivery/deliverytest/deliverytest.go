// Package deliverytest lets tests go through a run step by step, without Temporal.
package deliverytest

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/segment-export/segment-export/internal/access"
	"github.com/segment-export/segment-export/internal/catalogue"
	"github.com/segment-export/segment-export/internal/connect"
	"github.com/segment-export/segment-export/internal/contact"
	"github.com/segment-export/segment-export/internal/delivery"
	"github.com/segment-export/segment-export/internal/intake"
	"github.com/segment-export/segment-export/internal/job"
	"github.com/segment-export/segment-export/internal/omnisend"
	"github.com/segment-export/segment-export/internal/omnisend/omnisendtest"
	"github.com/segment-export/segment-export/internal/omnisend/sandbox"
	"github.com/segment-export/segment-export/internal/protocol"
	"github.com/segment-export/segment-export/internal/record"
	"github.com/segment-export/segment-export/internal/run"
	"github.com/segment-export/segment-export/internal/seal"
	"github.com/segment-export/segment-export/internal/segment"
	"github.com/segment-export/segment-export/internal/segment/files"
	"github.com/segment-export/segment-export/internal/store"
	"github.com/segment-export/segment-export/internal/store/sqlstore"
)

// Steps lets a test go through a run step by step, without Temporal: a real
// store, real files, the real client and the sandbox behind it. What a workflow
// would do between the steps the test does.
type Steps struct {
	*job.Runs

	Intake   *intake.Steps
	Delivery *delivery.Steps

	T      testing.TB
	Dir    string
	Target *omnisendtest.Target
	Export catalogue.Export
	// StoreNow is the store's clock, which tests move.
	StoreNow *omnisendtest.Clock
}

// New serves a sandbox and defines an export of one segment.
func New(t testing.TB, o sandbox.Options) *Steps {
	t.Helper()
	return To(t, omnisendtest.Start(t, o))
}

// To is New with a sandbox that is there already.
func To(t testing.TB, target *omnisendtest.Target) *Steps {
	t.Helper()
	s := &Steps{T: t, Dir: t.TempDir(), Target: target, StoreNow: omnisendtest.NewClock()}
	st, err := sqlstore.OpenSQLite(t.Context(), filepath.Join(s.Dir, "store.db"), sqlstore.Options{RequestTimeout: 30 * time.Second, Now: s.StoreNow.Now})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, st.Close()) })
	keyring, _, err := seal.LoadOrCreateKeyring(filepath.Join(s.Dir, "keyring.json"))
	require.NoError(t, err)
	root, err := os.OpenRoot(s.Dir)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, root.Close()) })
	s.Runs = job.New(job.Dependencies{Store: st, Keyring: keyring, Log: slog.New(slog.DiscardHandler),
		Identity: &access.Identity{},
		OpenSource: func(c catalogue.Source, credential []byte) (segment.Source, error) {
			return files.New(root, files.Config{Path: c.Files.Path}, credential)
		},
		OpenAPI: func(endpoint, key string) (omnisend.API, error) {
			return omnisend.New(omnisend.Options{BaseURL: endpoint, Key: omnisend.Key(key), Timeout: 30 * time.Second})
		}})
	s.Intake, s.Delivery = &intake.Steps{Runs: s.Runs}, &delivery.Steps{Runs: s.Runs}
	conn := catalogue.Connection{Meta: catalogue.Meta{Name: "shop"}, Endpoint: s.Target.URL, BrandID: omnisendtest.Brand,
		Share: 1, MaxContacts: 1_000_000, Consent: &catalogue.Consent{By: "anna"}}
	sealed, err := keyring.Seal([]byte(omnisendtest.Key), connect.KeyContext(conn))
	require.NoError(t, err)
	s.Put(catalogue.KindConnection, "shop", conn, sealed)
	s.Put(catalogue.KindSource, "crm", catalogue.Source{Meta: catalogue.Meta{Name: "crm"}, Type: "files", Files: &catalogue.FilesSettings{Path: "."}}, nil)
	s.Export = catalogue.Export{Meta: catalogue.Meta{Name: "spring"}, Brand: omnisendtest.Brand, ExportSpec: catalogue.ExportSpec{Connection: "shop", Source: "crm", ID: "Id",
		Segments: []catalogue.ExportedSegment{{Segment: "buyers", Marker: "segment_buyers"}}, Leavers: catalogue.LeaversUnmark,
		Mapping: contact.Mapping{contact.Email: "Email", contact.FirstName: "Name"}}}
	s.Put(catalogue.KindExport, "spring", s.Export, nil)
	return s
}

// Put stores an object of the catalogue.
func (s *Steps) Put(kind catalogue.Kind, name string, body any, sealed []byte) {
	s.T.Helper()
	require.NoError(s.T, s.Store.CreateObject(s.T.Context(), store.Object{Kind: string(kind), Name: name, Body: record.Encode(body), Sealed: sealed}))
}

// Remap replaces what the export is.
func (s *Steps) Remap(spec catalogue.ExportSpec) {
	s.T.Helper()
	s.Export.ExportSpec = spec
	o, err := s.Store.Object(s.T.Context(), string(catalogue.KindExport), s.Export.Name)
	require.NoError(s.T, err)
	o.Body = record.Encode(s.Export)
	require.NoError(s.T, s.Store.UpdateObject(s.T.Context(), o))
}

// Write replaces the segment: an address and a name for each row.
func (s *Steps) Write(rows ...string) {
	s.T.Helper()
	content := bytes.NewBufferString("Id,Email,Name\n")
	for i, row := range rows {
		content.WriteString(string(rune('a'+i)) + "," + row + "\n")
	}
	require.NoError(s.T, os.WriteFile(filepath.Join(s.Dir, "new"), content.Bytes(), 0o600))
	require.NoError(s.T, os.Rename(filepath.Join(s.Dir, "new"), filepath.Join(s.Dir, "buyers.csv")))
}

// Begin takes a run up and reads and decides it.
func (s *Steps) Begin(request run.Request) *run.Report {
	s.T.Helper()
	return s.Decide(s.Read(s.Take(request)))
}

// Take begins a run, reconciles earlier ones and returns its report so far.
func (s *Steps) Take(request run.Request) *run.Report {
	s.T.Helper()
	r := s.Started(request)
	s.Reconcile(r.RunID)
	return r
}

// Started begins a run and returns its report so far.
func (s *Steps) Started(request run.Request) *run.Report {
	s.T.Helper()
	return s.takeUp(request, false)
}

// TakePlan begins a plan.
func (s *Steps) TakePlan() *run.Report {
	s.T.Helper()
	return s.takeUp(run.Request{}, true)
}

func (s *Steps) takeUp(request run.Request, plan bool) *run.Report {
	s.T.Helper()
	id := uuid.NewString()
	require.NoError(s.T, s.Store.CreateRun(s.T.Context(), store.Run{ID: id, Export: s.Export.Name, Connection: "shop", Brand: omnisendtest.Brand,
		Plan: plan, Status: string(run.Queued), Request: record.Encode(request)}))
	started := s.Preflight(id)
	require.Nil(s.T, started.Halt)
	return started.Report
}

// Preflight takes a run up in the name of its workflow.
func (s *Steps) Preflight(id string) *intake.PreflightResult {
	s.T.Helper()
	r, err := s.Store.Run(s.T.Context(), id)
	require.NoError(s.T, err)
	ticket, err := s.Ticket(job.RunTicket(id, r.Export, r.Plan)...)
	require.NoError(s.T, err)
	taken := job.Execution{Workflow: protocol.WorkflowID(r.Export, r.Plan), First: "workflow of " + id}
	started, err := s.Intake.Preflight(s.T.Context(), intake.PreflightInput{RunID: id, Ticket: ticket}, taken)
	require.NoError(s.T, err)
	return started
}

// Read reads a run's segments to their end.
func (s *Steps) Read(r *run.Report) *run.Report {
	s.T.Helper()
	for i := range r.Segments {
		for done := false; !done; {
			read, err := s.Intake.Collect(s.T.Context(), intake.CollectInput{RunID: r.RunID, Segment: i})
			require.NoError(s.T, err)
			require.Nil(s.T, read.Halt)
			r.Segments[i].Read, r.Segments[i].Invalid = read.Read, read.Invalid
			if done = read.Done; done {
				r.Read += read.Read
				r.Invalid += read.Invalid
				r.Notes = append(r.Notes, read.Notes...)
			}
		}
	}
	return r
}

// Decide compares what was read with the ledger.
func (s *Steps) Decide(r *run.Report) *run.Report {
	s.T.Helper()
	for {
		decided, err := s.Intake.Decide(s.T.Context(), job.RunInput{RunID: r.RunID})
		require.NoError(s.T, err)
		if decided.Done {
			return decided.Report
		}
	}
}

// Reconcile reconciles earlier runs; nothing of them may be left.
func (s *Steps) Reconcile(id string) {
	s.T.Helper()
	result, err := s.Delivery.Reconcile(s.T.Context(), job.RunInput{RunID: id})
	require.NoError(s.T, err)
	require.Nil(s.T, result.Halt)
	require.Zero(s.T, result.Totals.Unsettled)
}

// Upload sends the first batch of uploads and, when they are confirmed, that of
// leavers, where there are any.
func (s *Steps) Upload(r *run.Report) {
	s.T.Helper()
	send := func(batch int) {
		sent, err := s.Delivery.UploadBatch(s.T.Context(), delivery.UploadInput{RunID: r.RunID, Batch: batch})
		require.NoError(s.T, err)
		require.Nil(s.T, sent.Halt)
		require.True(s.T, sent.Done)
	}
	if r.ToSend > 0 {
		send(job.FirstUpload(0))
	}
	if r.LeaversDue > 0 {
		s.Sweep(r)
		send(job.FirstLeaver(0))
	}
}

// Sweep collects verdicts.
func (s *Steps) Sweep(r *run.Report) *delivery.SweepResult {
	s.T.Helper()
	swept, err := s.Delivery.Sweep(s.T.Context(), delivery.SweepInput{RunID: r.RunID, Whole: true})
	require.NoError(s.T, err)
	require.Nil(s.T, swept.Halt)
	return swept
}

// Finish ends a run: with no status when all went well.
func (s *Steps) Finish(r *run.Report, status run.Status) *run.Report {
	s.T.Helper()
	r.Status = status
	done, err := s.Delivery.Finish(s.T.Context(), delivery.FinishInput{RunID: r.RunID, Report: r})
	require.NoError(s.T, err)
	require.NoError(s.T, done.Check())
	return done
}

// Run is a whole run in which nothing goes wrong.
func (s *Steps) Run() *run.Report {
	s.T.Helper()
	r := s.Begin(run.Request{Yes: true})
	s.Upload(r)
	s.Sweep(r)
	return s.Finish(r, "")
}

// Later lets time pass, here and at Omnisend.
func (s *Steps) Later(d time.Duration) {
	s.Target.Clock.Advance(d)
	s.StoreNow.Advance(d)
}

// At returns a contact as the account has it.
func (s *Steps) At(address string) *sandbox.Contact {
	s.T.Helper()
	all := s.Target.Sandbox.Contacts(omnisendtest.Brand)
	c, ok := all[address]
	require.True(s.T, ok, "%s is not at the target", address)
	return &c
}

// Stored returns a run's report as the store has it.
func (s *Steps) Stored(id string) run.Report {
	s.T.Helper()
	r, err := s.Store.Run(context.WithoutCancel(s.T.Context()), id)
	require.NoError(s.T, err)
	var report run.Report
	require.NoError(s.T, json.Unmarshal(r.Report, &report))
	return report
}
