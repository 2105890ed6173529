package service

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/urfave/cli/v2"

	"github.com/segment-export/segment-export/internal/store"
	"github.com/segment-export/segment-export/internal/store/sqlstore"
)

// What is older than it is kept goes, and nothing else.
func TestExpiry(t *testing.T) {
	now := time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC)
	s := &Service{retention: Retention{Rejects: 10 * day}.filled()}
	var err error
	s.Store, err = sqlstore.OpenSQLite(t.Context(), filepath.Join(t.TempDir(), "store.db"), sqlstore.Options{Now: func() time.Time { return now }})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Store.Close()) })
	ctx := t.Context()
	for _, id := range []string{"old", "newest"} {
		require.NoError(t, s.Store.CreateRun(ctx, store.Run{ID: id, Export: "spring", Brand: "b", Status: "queued"}))
		require.NoError(t, s.Store.CommitStep(ctx, store.Step{Run: id, Blobs: []store.Blob{{Kind: store.BlobReject}, {Kind: store.BlobBatch}}}))
		require.NoError(t, s.Store.SaveRun(ctx, id, "completed", nil, true))
		now = now.Add(time.Second)
	}
	require.NoError(t, s.Store.BeginCommand(ctx, "c", "w"))
	require.NoError(t, s.Store.AddAudit(ctx, store.AuditEntry{ID: "c"}))
	kept := func() []int {
		require.NoError(t, s.expire(ctx))
		runs, err := s.Store.ListRuns(ctx, store.RunFilter{})
		require.NoError(t, err)
		rejects, err := s.Store.RunsWith(ctx, store.BlobReject)
		require.NoError(t, err)
		batches, err := s.Store.RunsWith(ctx, store.BlobBatch)
		require.NoError(t, err)
		audit, err := s.Store.AuditEntries(ctx, store.AuditFilter{})
		require.NoError(t, err)
		return []int{len(runs), len(rejects), len(batches), len(audit)}
	}
	for _, step := range []struct {
		days int
		want []int
	}{{7, []int{2, 2, 2, 1}}, {9, []int{2, 2, 0, 1}}, {11, []int{2, 0, 0, 1}}, {399, []int{2, 0, 0, 1}}, {401, []int{1, 0, 0, 1}}, {731, []int{1, 0, 0, 0}}} {
		now = time.Date(2026, 11, 24, 9, 1, 0, 0, time.UTC).Add(time.Duration(step.days) * day)
		require.Equal(t, step.want, kept(), "after %d days", step.days)
	}
}

func TestRetentionOptions(t *testing.T) {
	var got Retention
	app := &cli.App{Flags: RetentionFlags(), Action: func(c *cli.Context) error {
		var err error
		got, err = RetentionOf(c)
		return err
	}}
	require.NoError(t, app.Run([]string{"worker", "--keep-rejects", "7"}))
	require.Equal(t, Retention{Rejects: 7 * day, Calls: 30 * day, Runs: 400 * day, Commands: 30 * day, Audit: 730 * day}, got)
	require.ErrorContains(t, app.Run([]string{"worker", "--keep-audit", "0"}), "must be at least 1")
}
