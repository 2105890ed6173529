package intake_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/segment-export/segment-export/internal/catalogue"
	"github.com/segment-export/segment-export/internal/connect"
	"github.com/segment-export/segment-export/internal/job"
	"github.com/segment-export/segment-export/internal/omnisend/sandbox"
	"github.com/segment-export/segment-export/internal/record"
	"github.com/segment-export/segment-export/internal/run"
	"github.com/segment-export/segment-export/internal/segment"
	"github.com/segment-export/segment-export/internal/segment/postgres"
	"github.com/segment-export/segment-export/internal/store/postgrestest"
)

func TestMain(m *testing.M) { postgrestest.Main(m) }

// broken is a source that returns an error at a row, on demand.
type broken struct {
	segment.Source

	err *error
	at  int
}

func (b broken) Open(ctx context.Context, name string, fields []string, after segment.Cursor) (segment.Reader, error) {
	if *b.err != nil && b.at == 0 {
		return nil, *b.err
	}
	r, err := b.Source.Open(ctx, name, fields, after)
	return &brokenReader{r, b, 0}, err
}

type brokenReader struct {
	segment.Reader

	source broken
	rows   int
}

func (r *brokenReader) Next() (segment.Row, error) {
	if *r.source.err != nil && r.rows == r.source.at {
		return segment.Row{}, *r.source.err
	}
	r.rows++
	return r.Reader.Next()
}

// brokenWhole is one whose view ends with its reader.
type brokenWhole struct{ broken }

func (brokenWhole) ReadsWhole() {}

// What a source says decides whether a run waits, parks or fails; an error that
// lasts is no passing one.
func TestWhatASourceSaysDecides(t *testing.T) {
	s := newSteps(t, sandbox.Options{})
	s.Write("ann@example.com,Ann", "ben@example.com,Ben")
	var fault error
	open := s.OpenSource
	s.OpenSource = func(c catalogue.Source, credential []byte) (segment.Source, error) {
		src, err := open(c, credential)
		return broken{src, &fault, 0}, err
	}
	id := s.Taken()
	refused := &segment.AccessError{Message: "the secret has expired", Action: "make a new one"}
	busy := &segment.BusyError{Reason: "a refresh is running", RetryAfter: 3 * time.Minute}
	network := errors.New("no route to host")
	steps := map[string]func() *run.Halt{
		"preflight": func() *run.Halt { return s.Preflight(id).Halt },
		"collect":   func() *run.Halt { return s.Collect(id).Halt },
	}
	for _, step := range []string{"preflight", "collect"} {
		fault = refused
		require.Equal(t, &run.Halt{Kind: run.HaltPark, Reason: `source "crm": the secret has expired`, Action: "make a new one; then resume"}, steps[step](), step)
		fault = busy
		for range 3 {
			require.Equal(t, &run.Halt{Kind: run.HaltWait, Reason: `source "crm": a refresh is running`, Wait: 3 * time.Minute}, steps[step](), step)
			s.StoreNow.Advance(3*time.Hour + 59*time.Minute)
		}
		s.StoreNow.Advance(3 * time.Minute)
		require.Equal(t, &run.Halt{Kind: run.HaltPark, Reason: `source "crm" could not be read for 12h0m0s: a refresh is running`,
			Action: `see what keeps it (starter source test "crm"; in Customer Insights, Settings > System > Status), then resume`}, steps[step](), "a refresh that never ends")
		require.Equal(t, run.HaltWait, steps[step]().Kind, "from now on, once it was resumed")
		fault = network
		for try := range 3 {
			h := steps[step]()
			require.Equal(t, run.HaltWait, h.Kind, step)
			require.EqualValues(t, `source "crm": no route to host; it is tried again`, h.Reason)
			require.Equal(t, time.Second<<(try+1), h.Wait)
		}
		s.StoreNow.Advance(11 * time.Minute)
		h := steps[step]()
		require.Equal(t, run.HaltPark, h.Kind, step)
		require.EqualValues(t, `source "crm" could not be read for 11m0s, in 4 tries: no route to host`, h.Reason)
		require.Contains(t, h.Action, `starter source test "crm"`)
		require.Equal(t, run.HaltWait, steps[step]().Kind, "resumed, it has as long again")
		fault = fmt.Errorf("buyers: %w", segment.ErrMalformed)
		require.Equal(t, run.HaltFail, steps[step]().Kind, step)
		fault = nil
		require.Nil(t, steps[step](), step)
	}
	require.Equal(t, 2, s.Collect(id).Read)
}

// A credential that cannot be found or opened parks, and the next attempt takes
// what is there by then.
func TestCredentialsAreTakenAnew(t *testing.T) {
	s := newSteps(t, sandbox.Options{})
	env := map[string]string{}
	s.Secrets.LookupEnv = func(name string) (string, bool) { v, ok := env[name]; return v, ok }
	src, o, err := record.Object[catalogue.Source](t.Context(), s.Store, catalogue.KindSource, "crm")
	require.NoError(t, err)
	put := func(change func(*catalogue.Source), sealed []byte) {
		change(&src)
		o.Body, o.Sealed = record.Encode(src), sealed
		require.NoError(t, s.Store.UpdateObject(t.Context(), o))
		o.Version++
	}
	var got []byte
	open := s.OpenSource
	s.OpenSource = func(c catalogue.Source, credential []byte) (segment.Source, error) {
		got = credential
		return open(c, nil)
	}
	try := func() error {
		_, _, err := s.Connect().Source(t.Context(), "crm")
		return err
	}
	put(func(c *catalogue.Source) { c.Credential = "env:SOURCE_CRM" }, nil)
	require.ErrorIs(t, try(), segment.ErrAccess)
	require.ErrorContains(t, try(), "the variable SOURCE_CRM is not set")
	env["SOURCE_CRM"] = "first"
	require.NoError(t, try())
	env["SOURCE_CRM"] = "second"
	require.NoError(t, try())
	require.Equal(t, "second", string(got))

	sealed, err := s.Keyring.Seal([]byte("kept"), connect.CredentialContext(&src))
	require.NoError(t, err)
	put(func(c *catalogue.Source) { c.Credential = catalogue.CredentialStored }, sealed)
	require.NoError(t, try())
	require.Equal(t, "kept", string(got))
	put(func(c *catalogue.Source) { c.Files = &catalogue.FilesSettings{URL: "s3://elsewhere"} }, nil)
	require.ErrorIs(t, try(), segment.ErrAccess, "it opens for no other place than it was given for")
	require.ErrorContains(t, try(), "starter source edit")
}

// An interrupted read of PostgreSQL starts again and says so: nothing is lost
// and nothing is there twice.
func TestABrokenReadOfPostgreSQLBeginsAnew(t *testing.T) {
	s := newSteps(t, sandbox.Options{})
	s.Tuning.PartRows, s.Tuning.Slice = 100, time.Nanosecond
	conn, err := pgx.Connect(t.Context(), postgrestest.Database(t))
	require.NoError(t, err)
	defer func() { require.NoError(t, conn.Close(context.Background())) }()
	_, err = conn.Exec(t.Context(), `CREATE TABLE buyers AS SELECT i AS "Id", 'p' || i || '@example.com' AS "Email", 'Ann' AS "Name" FROM generate_series(1, 1000) i`)
	require.NoError(t, err)
	c := conn.Config()
	fault := errors.New("the connection was cut")
	s.OpenSource = func(catalogue.Source, []byte) (segment.Source, error) {
		src, err := postgres.New(postgres.Config{Host: c.Host, Database: c.Database, User: c.User, ID: "Id"}, nil)
		return brokenWhole{broken{src, &fault, 550}}, err
	}
	id := s.Taken()
	require.Nil(t, s.Preflight(id).Halt)
	h := s.Collect(id).Halt
	require.Equal(t, run.HaltWait, h.Kind)
	require.Contains(t, h.Reason, "the connection was cut; it is tried again")
	fault = nil
	result := s.Collect(id) // finds that its view is gone
	require.False(t, result.Done)
	require.Zero(t, result.Read)
	result = s.Collect(id)
	require.True(t, result.Done, "read in one go, however short a slice is")
	require.Equal(t, 1000, result.Read)
	require.Equal(t, []string{`segment "buyers" was read again from the start because the read was interrupted, and its view of the data ended with the transaction in PostgreSQL`}, result.Notes)

	s.Tuning.Slice = time.Minute
	decided, err := s.Intake.Decide(t.Context(), job.RunInput{RunID: id})
	require.NoError(t, err)
	require.True(t, decided.Done)
	require.Equal(t, 1000, decided.Report.Contacts)
	require.Zero(t, decided.Report.Segments[0].Duplicate, "nothing is there twice")
}
