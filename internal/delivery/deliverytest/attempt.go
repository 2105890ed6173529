package deliverytest

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/segment-export/segment-export/internal/catalogue"
	"github.com/segment-export/segment-export/internal/delivery"
	"github.com/segment-export/segment-export/internal/intake"
	"github.com/segment-export/segment-export/internal/job"
	"github.com/segment-export/segment-export/internal/omnisend/omnisendtest"
	"github.com/segment-export/segment-export/internal/record"
	"github.com/segment-export/segment-export/internal/run"
	"github.com/segment-export/segment-export/internal/segment"
	"github.com/segment-export/segment-export/internal/segment/postgres"
	"github.com/segment-export/segment-export/internal/store"
	"github.com/segment-export/segment-export/internal/store/postgrestest"
)

// noWorkflows is a Temporal that knows no workflow.
type noWorkflows struct{}

func (noWorkflows) IsOpen(context.Context, store.Run) (bool, error) { return false, nil }

func (noWorkflows) RemoveSchedule(context.Context, string, string) error { return nil }

// Lost lets Temporal know no workflow.
func (s *Steps) Lost() { s.Workflows = noWorkflows{} }

// People writes a segment of numbered people; name makes each one's name.
func (s *Steps) People(segment string, from, to int, name func(int) string) {
	s.T.Helper()
	var content strings.Builder
	content.WriteString("Id,Email,Name\n")
	for i := from; i < to; i++ {
		fmt.Fprintf(&content, "%d,person%d@example.com,%s\n", i, i, name(i))
	}
	require.NoError(s.T, os.WriteFile(filepath.Join(s.Dir, "new"), []byte(content.String()), 0o600))
	require.NoError(s.T, os.Rename(filepath.Join(s.Dir, "new"), filepath.Join(s.Dir, segment+".csv")))
}

// PlainName is the name of a numbered person.
func PlainName(i int) string { return fmt.Sprintf("Person %d", i) }

// TwoSegments makes the export one of buyers and of readers.
func (s *Steps) TwoSegments() {
	s.T.Helper()
	spec := s.Export.ExportSpec
	spec.Segments = append(spec.Segments, catalogue.ExportedSegment{Segment: "readers", Marker: "segment_readers"})
	s.Remap(spec)
}

// RefusedByStore says that an activity ended for good because of what the store
// holds.
func RefusedByStore(t *testing.T, err error) {
	t.Helper()
	var final *job.FinalError
	require.ErrorAs(t, err, &final)
}

// Untouched says that the account got nothing.
func (s *Steps) Untouched() {
	s.T.Helper()
	require.Empty(s.T, s.Target.Sandbox.Contacts(omnisendtest.Brand))
}

// Approve is an operator's answer to a guard.
func (s *Steps) Approve(id string, guards ...catalogue.Guard) {
	s.T.Helper()
	require.NoError(s.T, s.ControlRun(s.T.Context(), id, func(c *run.Control) error {
		c.Approved = map[catalogue.Guard]string{}
		for _, g := range guards {
			c.Approved[g] = "anna"
		}
		return nil
	}))
}

// TryUpload tries to deliver a batch, which must not be delivered.
func (s *Steps) TryUpload(id string, batch int) error {
	s.T.Helper()
	sent, err := s.Delivery.UploadBatch(s.T.Context(), delivery.UploadInput{RunID: id, Batch: batch})
	if err == nil {
		require.NotNil(s.T, sent.Halt, "batch %d was delivered", batch)
	}
	return err
}

// RelayedRows is how many rows Relayed makes.
const RelayedRows = 40_000

// Relayed reads the export's segment from a PostgreSQL behind a relay: so many
// rows that a connection never holds them all.
func (s *Steps) Relayed() (*postgrestest.Relay, *pgx.Conn) {
	s.T.Helper()
	dsn := postgrestest.Database(s.T)
	admin, err := pgx.Connect(s.T.Context(), dsn)
	require.NoError(s.T, err)
	s.T.Cleanup(func() { require.NoError(s.T, admin.Close(context.Background())) })
	_, err = admin.Exec(s.T.Context(), `CREATE TABLE buyers AS SELECT i AS "Id", 'p' || i || '@example.com' AS "Email", repeat('Ann ', 100) AS "Name" FROM generate_series(1, 40000) i`)
	require.NoError(s.T, err)
	relay := postgrestest.NewRelay(s.T, dsn)
	s.OpenSource = func(catalogue.Source, []byte) (segment.Source, error) {
		return postgres.New(postgres.Config{Host: relay.Host, Port: relay.Port, Database: admin.Config().Database, User: admin.Config().User, ID: "Id"}, nil)
	}
	s.Tuning.PartRows = 1_000
	return relay, admin
}

// Taken takes a run up and leaves it before it is read.
func (s *Steps) Taken() string {
	s.T.Helper()
	ctx, id := s.T.Context(), uuid.NewString()
	require.NoError(s.T, s.Store.CreateRun(ctx, store.Run{ID: id, Export: "spring", Connection: "shop", Brand: omnisendtest.Brand,
		Status: string(run.Queued), Request: record.Encode(run.Request{})}))
	return id
}

// Collect reads for a while.
func (s *Steps) Collect(id string) *job.CollectResult {
	s.T.Helper()
	result, err := s.Intake.Collect(s.T.Context(), intake.CollectInput{RunID: id})
	require.NoError(s.T, err)
	return result
}
