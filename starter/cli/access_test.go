package cli_test

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/segment-export/segment-export/internal/protocol"
)

// sealedArgs opens the sealed arguments of the nth command as the worker does.
func sealedArgs[T any](b *bench, n int) T {
	b.t.Helper()
	r := b.server.requests[n]
	require.Empty(b.t, r.Args)
	plain, err := b.keyring.OpenEnvelope(r.Sealed, protocol.Context(r.ID))
	require.NoError(b.t, err)
	var v T
	require.NoError(b.t, json.Unmarshal(plain, &v))
	return v
}

var entered = time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC)

func entry(id string) protocol.AuditAnswer {
	return protocol.AuditAnswer{ID: id, At: entered, Actor: "ann", Command: "connection edit", Object: "shop", Outcome: "done",
		Changes: []protocol.AuditChange{{Kind: "connection", Name: "shop", What: "changed", Secret: true, Fields: []protocol.AuditField{
			{Field: "share", Before: json.RawMessage("0.75"), After: json.RawMessage("0.5")}, {Field: "run_as", After: json.RawMessage(`"ann"`)}}}}}
}

func TestAudit(t *testing.T) {
	b := newBench(t)
	b.answers(sealedAnswer{protocol.AuditPage{Entries: []protocol.AuditAnswer{entry("2"), {ID: "1", At: entered, Command: "run", Object: "spring", Outcome: "not allowed"}}}})
	require.Equal(t, 0, b.run("audit", "--object", "shop", "--actor", "ann@example.com", "--command", "connection", "--since", "7d"), b.err.String())
	require.Equal(t, protocol.AuditArgs{Object: "shop", Actor: "ann@example.com", Command: "connection", Since: entered.AddDate(0, 0, -6).Add(time.Hour), Limit: 50}, sealedArgs[protocol.AuditArgs](b, 0))
	require.Equal(t, `2026-11-23 08:00:00 UTC  ann  connection edit shop: done
    connection shop changed, with a new secret
      share: 0.75 -> 0.5
      run_as: none -> "ann"
2026-11-23 08:00:00 UTC  unknown user  run spring: not allowed
`, b.out.String())
	raw, err := json.Marshal(b.server.requests)
	require.NoError(t, err)
	require.NotContains(t, string(raw), "ann@", "who is asked about does not pass through Temporal in clear")
}

func TestAuditIsPaged(t *testing.T) {
	b := newBench(t)
	var first []protocol.AuditAnswer
	for i := range 200 {
		first = append(first, entry(fmt.Sprint(300-i)))
	}
	b.answers(sealedAnswer{protocol.AuditPage{Entries: first, More: true}}, sealedAnswer{protocol.AuditPage{Entries: []protocol.AuditAnswer{entry("100")}, More: true}})
	require.Equal(t, 0, b.run("audit", "--limit", "201", "-o", "json"), b.err.String())
	require.Equal(t, "101", sealedArgs[protocol.AuditArgs](b, 1).Past)
	require.Equal(t, 1, sealedArgs[protocol.AuditArgs](b, 1).Limit)
	var all []protocol.AuditAnswer
	require.NoError(t, json.Unmarshal(b.out.Bytes(), &all))
	require.Len(t, all, 201)
	require.Contains(t, b.err.String(), "--past 100")
	for _, bad := range []string{"yesterday", "-3h", "3 d", "-2d"} {
		require.Equal(t, 2, b.run("audit", "--since", bad), bad)
	}
}

func TestAccess(t *testing.T) {
	b := newBench(t)
	people := []protocol.PersonAnswer{{Name: "ann", Role: "admin", Groups: []string{"ops"}, SeenAt: entered, RunsAs: []string{"spring"}}, {Name: "bob", Role: "nobody", Revoked: true}}
	b.answers(sealedAnswer{people})
	require.Equal(t, 0, b.run("access", "list"), b.err.String())
	require.Contains(t, b.out.String(), "revoked")
	require.Contains(t, b.out.String(), "spring")
	b.answers(sealedAnswer{protocol.PersonAnswer{Name: "ann", Revoked: true, RunsAs: []string{"spring"}}})
	require.Equal(t, 0, b.run("access", "revoke", "ann"), b.err.String())
	require.Equal(t, protocol.PersonArgs{Name: "ann"}, sealedArgs[protocol.PersonArgs](b, 1))
	require.Contains(t, b.out.String(), "skipped until another user edits them: spring")
	b.answers(sealedAnswer{protocol.PersonAnswer{Name: "ann"}})
	require.Equal(t, 0, b.run("access", "restore", "ann"), b.err.String())
}
