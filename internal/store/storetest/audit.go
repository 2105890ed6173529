package storetest

import (
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/segment-export/segment-export/internal/store"
)

var auditTests = map[string]func(t *testing.T, f fixture){
	"a command is entered once": func(t *testing.T, f fixture) {
		for range 2 {
			require.NoError(t, f.BeginCommand(t.Context(), "c1", "a"))
		}
		require.ErrorIs(t, f.BeginCommand(t.Context(), "c1", "b"), store.ErrExists)
		require.NoError(t, f.BeginCommand(t.Context(), "c2", "b"))
	},
	"of many who use an id, one may": func(t *testing.T, f fixture) {
		errs := race(8, func(i int) error { return f.BeginCommand(t.Context(), "c", fmt.Sprint(i)) })
		require.Equal(t, 1, count(errs, succeeded))
		require.Equal(t, 7, count(errs, func(err error) bool { return errors.Is(err, store.ErrExists) }))
	},
	"entries, newest first": func(t *testing.T, f fixture) {
		entries, err := f.AuditEntries(t.Context(), time.Time{}, 10)
		require.NoError(t, err)
		require.Empty(t, entries)
		var want []store.AuditEntry
		for i := range 5 {
			e := store.AuditEntry{
				ID: fmt.Sprint(i), Actor: odd[i], Command: "connection add", Object: odd[i+1], Outcome: "done",
				Detail: json.RawMessage(`{"old": null}`),
			}
			require.NoError(t, f.AddAudit(t.Context(), e))
			e.At = f.clock.Now()
			want = append([]store.AuditEntry{e}, want...)
			f.clock.Advance(time.Second)
		}
		entries, err = f.AuditEntries(t.Context(), time.Time{}, 10)
		require.NoError(t, err)
		require.Equal(t, want, entries)
		entries, err = f.AuditEntries(t.Context(), want[1].At, 2)
		require.NoError(t, err)
		require.Equal(t, want[2:4], entries)
	},
	"an entry is replaced in its place": func(t *testing.T, f fixture) {
		first := store.AuditEntry{ID: "1", At: time.Unix(5, 0), Actor: "ana"}
		require.NoError(t, f.AddAudit(t.Context(), first))
		first.At = f.clock.Now()
		f.clock.Advance(time.Second)
		second := store.AuditEntry{ID: "2"}
		require.NoError(t, f.AddAudit(t.Context(), second))
		second.At = f.clock.Now()
		f.clock.Advance(time.Second)
		first.Outcome, first.Detail = "refused", json.RawMessage(`1`)
		require.NoError(t, f.AddAudit(t.Context(), first))
		entries, err := f.AuditEntries(t.Context(), time.Time{}, 10)
		require.NoError(t, err)
		require.Equal(t, []store.AuditEntry{second, first}, entries)
	},
	"fifty unless told": func(t *testing.T, f fixture) {
		for i := range 51 {
			require.NoError(t, f.AddAudit(t.Context(), store.AuditEntry{ID: fmt.Sprint(i)}))
		}
		entries, err := f.AuditEntries(t.Context(), time.Time{}, 0)
		require.NoError(t, err)
		require.Len(t, entries, 50)
	},
}
