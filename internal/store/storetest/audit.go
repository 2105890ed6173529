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
		entries, err := f.AuditEntries(t.Context(), store.AuditFilter{Limit: 10})
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
		entries, err = f.AuditEntries(t.Context(), store.AuditFilter{Limit: 10})
		require.NoError(t, err)
		require.Equal(t, want, entries)
		entries, err = f.AuditEntries(t.Context(), store.AuditFilter{Past: want[1].ID, Limit: 2})
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
		entries, err := f.AuditEntries(t.Context(), store.AuditFilter{Limit: 10})
		require.NoError(t, err)
		require.Equal(t, []store.AuditEntry{second, first}, entries)
	},
	"fifty unless told": func(t *testing.T, f fixture) {
		for i := range 51 {
			require.NoError(t, f.AddAudit(t.Context(), store.AuditEntry{ID: fmt.Sprint(i)}))
		}
		entries, err := f.AuditEntries(t.Context(), store.AuditFilter{})
		require.NoError(t, err)
		require.Len(t, entries, 50)
	},
	"entries of the same moment are paged": func(t *testing.T, f fixture) {
		for i := range 5 {
			require.NoError(t, f.AddAudit(t.Context(), store.AuditEntry{ID: fmt.Sprint(i)}))
		}
		var ids []string
		past := ""
		for {
			entries, err := f.AuditEntries(t.Context(), store.AuditFilter{Past: past, Limit: 2})
			require.NoError(t, err)
			if len(entries) == 0 {
				break
			}
			for _, e := range entries {
				ids = append(ids, e.ID)
			}
			past = ids[len(ids)-1]
		}
		require.Equal(t, []string{"4", "3", "2", "1", "0"}, ids)
		_, err := f.AuditEntries(t.Context(), store.AuditFilter{Past: "never"})
		require.ErrorIs(t, err, store.ErrNotFound)
	},
	"entries are filtered": func(t *testing.T, f fixture) {
		add := func(id, actor, command, object string) {
			require.NoError(t, f.AddAudit(t.Context(), store.AuditEntry{ID: id, Actor: actor, Command: command, Object: object}))
			f.clock.Advance(time.Second)
		}
		add("1", "ana", "connection add", "shop")
		since := f.clock.Now()
		add("2", "bob", "connections", "shop_") // no command of the group "connection"
		add("3", "ana", "run", "spring")
		o := object("export", "shop")
		o.Command = "3"
		require.NoError(t, f.CreateObject(t.Context(), o))
		for _, c := range []struct {
			filter store.AuditFilter
			want   []string
		}{
			{store.AuditFilter{Actor: "ana"}, []string{"3", "1"}},
			{store.AuditFilter{Command: "connection"}, []string{"1"}},
			{store.AuditFilter{Command: "run"}, []string{"3"}},
			{store.AuditFilter{Object: "shop"}, []string{"3", "1"}},
			{store.AuditFilter{Since: since}, []string{"3", "2"}},
			{store.AuditFilter{Since: since, Actor: "ana", Object: "spring"}, []string{"3"}},
			{store.AuditFilter{Actor: "eve"}, nil},
		} {
			entries, err := f.AuditEntries(t.Context(), c.filter)
			require.NoError(t, err)
			var got []string
			for _, e := range entries {
				got = append(got, e.ID)
			}
			require.Equal(t, c.want, got, "%+v", c.filter)
		}
	},
	"what a command changed is kept with it": func(t *testing.T, f fixture) {
		body := func(s string) json.RawMessage { return json.RawMessage(`{"v":` + s + `}`) }
		changes := func(id string) []store.AuditChange {
			require.NoError(t, f.AddAudit(t.Context(), store.AuditEntry{ID: id}))
			entries, err := f.AuditEntries(t.Context(), store.AuditFilter{Limit: 1})
			require.NoError(t, err)
			require.Equal(t, id, entries[0].ID)
			f.clock.Advance(time.Second)
			return entries[0].Changes
		}
		o := store.Object{Kind: "connection", Name: "shop", Body: body("1"), Sealed: []byte("s"), Command: "1"}
		require.NoError(t, f.CreateObject(t.Context(), o))
		require.Equal(t, []store.AuditChange{{Kind: "connection", Name: "shop", After: body("1"), Secret: true}}, changes("1"))

		o = store.Object{Kind: "connection", Name: "shop", Version: 1, Body: body("2"), Command: "2"}
		require.NoError(t, f.UpdateObject(t.Context(), o))
		o.Version, o.Body = 2, body("3") // another attempt at the same command
		require.NoError(t, f.UpdateObject(t.Context(), o))
		require.Equal(t, []store.AuditChange{{Kind: "connection", Name: "shop", Before: body("1"), After: body("3")}}, changes("2"))

		o.Version, o.Command = 1, "3" // a conflict changes nothing
		require.ErrorIs(t, f.UpdateObject(t.Context(), o), store.ErrConflict)
		require.Empty(t, changes("3"))

		o.Version, o.Command = 3, "" // no command, no entry
		require.NoError(t, f.UpdateObject(t.Context(), o))
		require.NoError(t, f.CreateObject(t.Context(), store.Object{Kind: "a", Name: "b", Command: "4"}))
		require.NoError(t, f.DeleteObject(t.Context(), "connection", "shop", "4"))
		require.Equal(t, []store.AuditChange{{Kind: "a", Name: "b"}, {Kind: "connection", Name: "shop", Before: body("3")}}, changes("4"))
	},
}
