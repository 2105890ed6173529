package activities

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
	"github.com/segment-export/segment-export/internal/contact"
	"github.com/segment-export/segment-export/internal/omnisend"
	"github.com/segment-export/segment-export/internal/omnisend/omnisendtest"
	"github.com/segment-export/segment-export/internal/omnisend/sandbox"
	"github.com/segment-export/segment-export/internal/protocol"
	"github.com/segment-export/segment-export/internal/run"
	"github.com/segment-export/segment-export/internal/seal"
	"github.com/segment-export/segment-export/internal/segment"
	"github.com/segment-export/segment-export/internal/segment/files"
	"github.com/segment-export/segment-export/internal/store"
	"github.com/segment-export/segment-export/internal/store/sqlstore"
)

// steps lets a test go through a run step by step, without Temporal: a real
// store, real files, the real client and the sandbox behind it. What a workflow
// would do between the steps the test does.
type steps struct {
	*Activities
	t      testing.TB
	dir    string
	target *omnisendtest.Target
	export catalogue.Export
	// storeNow is the store's clock, which tests move.
	storeNow *omnisendtest.Clock
}

// newSteps serves a sandbox and defines an export of one segment.
func newSteps(t testing.TB, o sandbox.Options) *steps {
	t.Helper()
	return stepsTo(t, omnisendtest.Start(t, o))
}

func stepsTo(t testing.TB, target *omnisendtest.Target) *steps {
	t.Helper()
	s := &steps{t: t, dir: t.TempDir(), target: target, storeNow: omnisendtest.NewClock()}
	st, err := sqlstore.OpenSQLite(t.Context(), filepath.Join(s.dir, "store.db"), sqlstore.Options{RequestTimeout: 30 * time.Second, Now: s.storeNow.Now})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, st.Close()) })
	keyring, _, err := seal.LoadOrCreateKeyring(filepath.Join(s.dir, "keyring.json"))
	require.NoError(t, err)
	root, err := os.OpenRoot(s.dir)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, root.Close()) })
	s.Activities = New(Dependencies{Store: st, Keyring: keyring, Log: slog.New(slog.DiscardHandler), Endpoint: s.target.URL,
		Identity: &access.Identity{},
		OpenSource: func(c catalogue.Source, credential []byte) (segment.Source, error) {
			return files.New(root, files.Config{Path: c.Files.Path}, credential)
		},
		OpenAPI: func(endpoint, key string) (omnisend.API, error) {
			return omnisend.New(omnisend.Options{BaseURL: endpoint, Key: omnisend.Key(key), Timeout: 30 * time.Second})
		}})
	conn := catalogue.Connection{Meta: catalogue.Meta{Name: "shop"}, Endpoint: s.target.URL, BrandID: omnisendtest.Brand,
		Share: 1, MaxContacts: 1000, Consent: &catalogue.Consent{By: "anna"}}
	sealed, err := keyring.Seal([]byte(omnisendtest.Key), keyContext(conn))
	require.NoError(t, err)
	s.put(catalogue.KindConnection, "shop", conn, sealed)
	s.put(catalogue.KindSource, "crm", catalogue.Source{Meta: catalogue.Meta{Name: "crm"}, Type: "files", Files: &catalogue.FilesSettings{Path: "."}}, nil)
	s.export = catalogue.Export{Meta: catalogue.Meta{Name: "spring"}, Brand: omnisendtest.Brand, ExportSpec: catalogue.ExportSpec{Connection: "shop", Source: "crm", ID: "Id",
		Segments: []catalogue.ExportedSegment{{Segment: "buyers", Marker: "segment_buyers"}}, Leavers: catalogue.LeaversUnmark,
		Mapping: contact.Mapping{contact.Email: "Email", contact.FirstName: "Name"}}}
	s.put(catalogue.KindExport, "spring", s.export, nil)
	return s
}

func (s *steps) put(kind catalogue.Kind, name string, body any, sealed []byte) {
	s.t.Helper()
	require.NoError(s.t, s.Store.CreateObject(s.t.Context(), store.Object{Kind: string(kind), Name: name, Body: encode(body), Sealed: sealed}))
}

// remap replaces what the export is.
func (s *steps) remap(spec catalogue.ExportSpec) {
	s.t.Helper()
	s.export.ExportSpec = spec
	o, err := s.Store.Object(s.t.Context(), string(catalogue.KindExport), s.export.Name)
	require.NoError(s.t, err)
	o.Body = encode(s.export)
	require.NoError(s.t, s.Store.UpdateObject(s.t.Context(), o))
}

// write replaces the segment: an address and a name for each row.
func (s *steps) write(rows ...string) {
	s.t.Helper()
	content := bytes.NewBufferString("Id,Email,Name\n")
	for i, row := range rows {
		content.WriteString(string(rune('a'+i)) + "," + row + "\n")
	}
	require.NoError(s.t, os.WriteFile(filepath.Join(s.dir, "new"), content.Bytes(), 0o600))
	require.NoError(s.t, os.Rename(filepath.Join(s.dir, "new"), filepath.Join(s.dir, "buyers.csv")))
}

// begin takes a run up and reads and decides it.
func (s *steps) begin(request run.Request) *run.Report {
	s.t.Helper()
	return s.decide(s.read(s.take(request)))
}

// take begins a run, reconciles earlier ones and returns its report so far.
func (s *steps) take(request run.Request) *run.Report {
	s.t.Helper()
	r := s.started(request)
	s.reconcile(r.RunID)
	return r
}

// started begins a run and returns its report so far.
func (s *steps) started(request run.Request) *run.Report {
	s.t.Helper()
	return s.takeUp(request, false)
}

// takePlan begins a plan.
func (s *steps) takePlan() *run.Report {
	s.t.Helper()
	return s.takeUp(run.Request{}, true)
}

func (s *steps) takeUp(request run.Request, plan bool) *run.Report {
	s.t.Helper()
	id := uuid.NewString()
	require.NoError(s.t, s.Store.CreateRun(s.t.Context(), store.Run{ID: id, Export: s.export.Name, Connection: "shop", Brand: omnisendtest.Brand,
		Plan: plan, Status: string(run.Queued), Request: encode(request)}))
	begun := s.preflight(id)
	require.Nil(s.t, begun.Halt)
	return begun.Report
}

// preflight takes a run up in the name of its workflow.
func (s *steps) preflight(id string) *PreflightResult {
	s.t.Helper()
	r, err := s.Store.Run(s.t.Context(), id)
	require.NoError(s.t, err)
	ticket, err := s.ticket(runTicket(id, r.Export, r.Plan)...)
	require.NoError(s.t, err)
	taken := context.WithValue(s.t.Context(), executionKey{}, execution{workflow: protocol.WorkflowID(r.Export, r.Plan), first: "workflow of " + id})
	begun, err := s.Preflight(taken, PreflightInput{RunID: id, Ticket: ticket})
	require.NoError(s.t, err)
	return begun
}

// read reads a run's segments to their end.
func (s *steps) read(r *run.Report) *run.Report {
	s.t.Helper()
	for i := range r.Segments {
		for done := false; !done; {
			read, err := s.Collect(s.t.Context(), CollectInput{RunID: r.RunID, Segment: i})
			require.NoError(s.t, err)
			require.Nil(s.t, read.Halt)
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

// decide compares what was read with the ledger.
func (s *steps) decide(r *run.Report) *run.Report {
	s.t.Helper()
	for {
		decided, err := s.Decide(s.t.Context(), RunInput{RunID: r.RunID})
		require.NoError(s.t, err)
		if decided.Done {
			return decided.Report
		}
	}
}

func (s *steps) reconcile(id string) {
	s.t.Helper()
	result, err := s.Reconcile(s.t.Context(), RunInput{RunID: id})
	require.NoError(s.t, err)
	require.Nil(s.t, result.Halt)
	require.Zero(s.t, result.Totals.Unsettled)
}

// upload sends the first batch of uploads and, when they are confirmed, that of
// leavers, where there are any.
func (s *steps) upload(r *run.Report) {
	s.t.Helper()
	send := func(batch int) {
		sent, err := s.UploadBatch(s.t.Context(), UploadInput{RunID: r.RunID, Batch: batch})
		require.NoError(s.t, err)
		require.Nil(s.t, sent.Halt)
		require.True(s.t, sent.Done)
	}
	if r.ToSend > 0 {
		send(FirstUpload(0))
	}
	if r.LeaversDue > 0 {
		s.sweep(r)
		send(FirstLeaver(0))
	}
}

func (s *steps) sweep(r *run.Report) *SweepResult {
	s.t.Helper()
	swept, err := s.Sweep(s.t.Context(), SweepInput{RunID: r.RunID, Whole: true})
	require.NoError(s.t, err)
	require.Nil(s.t, swept.Halt)
	return swept
}

// finish ends a run: with no status when all went well.
func (s *steps) finish(r *run.Report, status run.Status) *run.Report {
	s.t.Helper()
	r.Status = status
	done, err := s.Finish(s.t.Context(), FinishInput{RunID: r.RunID, Report: r})
	require.NoError(s.t, err)
	require.NoError(s.t, done.Check())
	return done
}

// run is a whole run in which nothing goes wrong.
func (s *steps) run() *run.Report {
	s.t.Helper()
	r := s.begin(run.Request{Yes: true})
	s.upload(r)
	s.sweep(r)
	return s.finish(r, "")
}

// later lets time pass, here and at Omnisend.
func (s *steps) later(d time.Duration) {
	s.target.Clock.Advance(d)
	s.storeNow.Advance(d)
}

// at returns a contact as the account has it.
func (s *steps) at(address string) *sandbox.Contact {
	s.t.Helper()
	all := s.target.Sandbox.Contacts(omnisendtest.Brand)
	c, ok := all[address]
	require.True(s.t, ok, "%s is not at the target", address)
	return &c
}

// stored returns a run's report as the store has it.
func (s *steps) stored(id string) run.Report {
	s.t.Helper()
	r, err := s.Store.Run(context.WithoutCancel(s.t.Context()), id)
	require.NoError(s.t, err)
	var report run.Report
	require.NoError(s.t, json.Unmarshal(r.Report, &report))
	return report
}
