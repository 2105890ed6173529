package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"

	"github.com/segment-export/segment-export/internal/access"
	"github.com/segment-export/segment-export/internal/access/oidc"
	"github.com/segment-export/segment-export/internal/access/oidc/oidctest"
	"github.com/segment-export/segment-export/internal/omnisend/omnisendtest"
	"github.com/segment-export/segment-export/internal/omnisend/sandbox"
	"github.com/segment-export/segment-export/internal/protocol"
	"github.com/segment-export/segment-export/internal/run"
	"github.com/segment-export/segment-export/starter/cli"
	"github.com/segment-export/segment-export/worker/service"
)

// staff is a shop whose worker knows people by tokens.
type staff struct {
	*shop
	provider *oidctest.Provider
	pin      string
}

func newStaff(t *testing.T, s *shop) *staff {
	t.Helper()
	p := &staff{shop: s, provider: oidctest.New(t)}
	s.serve()
	w, err := service.Open(t.Context(), s.client, service.Options{DataDir: s.path("data"), FilesRoot: s.dir, OmnisendURL: s.omnisend,
		Log: slog.New(slog.DiscardHandler), Identity: service.Identity{Kind: "oidc", OIDC: oidc.Options{Issuer: p.provider.URL, Audience: oidctest.Audience,
			Roles: map[string]access.Role{"ops": access.Admin, "marketing": access.Contributor, "board": access.Viewer}}}})
	require.NoError(t, err)
	require.NoError(t, w.Start(t.Context()))
	t.Cleanup(func() { require.NoError(t, w.Stop()) })
	p.pin = w.Fingerprint()
	return p
}

// groups are those of the people in the tests.
var groups = map[string]string{"anna-admin": "ops", "carl-contributor": "marketing", "vera-viewer": "board", "nick-nobody": "kitchen"}

// as runs a command line with a person's token.
func (p *staff) as(name string, args ...string) (code int, stdout, stderr string) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), patience)
	defer cancel()
	token := p.provider.Token(p.provider.Of(name, time.Now(), groups[name]))
	var out, errs bytes.Buffer
	o := cli.FromSystem(args, environment{"TEMPORAL_ADDRESS": p.temporal, "HOME": p.path("home"),
		"SEGMENT_EXPORT_TOKEN": token, "SEGMENT_EXPORT_WORKER_FINGERPRINT": p.pin, "SEGMENT_EXPORT_FAIL_ON": "rejects"})
	o.In, o.Out, o.Err = strings.NewReader(""), &out, &errs
	o.InTerminal, o.OutTerminal, o.ErrTerminal = false, false, false
	code = cli.Run(ctx, o)
	return code, out.String(), errs.String()
}

func (p *staff) can(name string, args ...string) string {
	p.t.Helper()
	code, out, errs := p.as(name, args...)
	require.Contains(p.t, []int{0, 3}, code, "%v: %s%s", args, out, errs)
	return out
}

// cannot is refused, and told who can help.
func (p *staff) cannot(name, says string, args ...string) {
	p.t.Helper()
	code, out, errs := p.as(name, args...)
	require.Equal(p.t, 5, code, "%v: %s%s", args, out, errs)
	require.Contains(p.t, errs, says)
	require.Contains(p.t, errs, "ask ")
	require.NotContains(p.t, errs, name)
}

func TestPeopleWithTokens(t *testing.T) {
	t.Parallel()
	p := newStaff(t, newShop(t, 300, sandbox.Options{Seed: 5}))
	require.NoFileExists(t, p.path("data", access.IdentityFile), "nobody is admin by a file")
	const anna, carl, vera, nick = "anna-admin", "carl-contributor", "vera-viewer", "nick-nobody"
	require.Equal(t, carl+", contributor\n", p.can(carl, "whoami"))
	p.cannot(nick, "none of its groups has a role", "whoami")

	// An administrator defines; a contributor uses what is shared.
	p.can(anna, "source", "add", "crm", "--kind", "files", "--path", "segments")
	p.can(anna, "connection", "add", "Board shop", "--api-key-file", p.path("key.txt"), "--agree", "--calls-per-minute", "0")
	add := append([]string{"export", "add", "spring", "--connection", "Board shop", "--source", "crm", "--segment", "spring_buyers"}, mapping...)
	p.cannot(carl, "is for administrators only", add...)
	require.JSONEq(t, `[]`, p.can(carl, "connection", "list", "-o", "json"))
	p.can(anna, "connection", "share", "Board shop", "--with", "admins-and-contributors")
	p.cannot(carl, "is for administrators only", add...)
	p.can(anna, "source", "share", "crm", "--with", "admins-and-contributors")
	p.can(carl, add...)
	var seen []map[string]any
	require.NoError(t, json.Unmarshal([]byte(p.can(carl, "connection", "list", "-o", "json")), &seen))
	require.Equal(t, "Board shop", seen[0]["name"])
	require.NotContains(t, seen[0]["brand_id"], "brand")

	p.can(vera, "export", "show", "spring")
	p.cannot(vera, `"run" needs a contributor`, "run", "spring")
	p.cannot(vera, `"connection show" needs a contributor`, "connection", "show", "Board shop")
	p.can(carl, "run", "spring", "--yes")
	require.Equal(t, carl, p.report(carl).Actor)
	p.cannot(vera, `"runs rejects" needs a contributor`, "runs", "rejects", "spring")
	p.can(carl, "runs", "rejects", "spring")

	// Without access, or without access to the connection, nobody has runs continue in
	// their name.
	p.can(anna, "access", "revoke", carl)
	p.cannot(carl, "access was revoked", "runs", "list")
	code, out, errs := p.as(anna, "run", "spring", "--yes")
	require.Equal(t, 6, code, "%s%s", out, errs)
	require.Equal(t, run.Skipped, p.report(anna).Status)
	require.Contains(t, p.report(anna).Reason, "an administrator revoked it")
	p.can(anna, "access", "restore", carl)
	p.can(carl, "run", "spring", "--yes")
	p.can(anna, "connection", "share", "Board shop", "--with", "admins")
	p.cannot(carl, "for administrators only", "run", "spring")
	p.cannot(carl, "for administrators only", "runs", "rejects", "spring")
	p.cannot(carl, "for administrators only", "export", "remove", "spring")
	code, _, _ = p.as(anna, "run", "spring", "--yes")
	require.Equal(t, 6, code)
	require.Contains(t, p.report(anna).Reason, `may not use the connection "Board shop" any more`)

	var audit []protocol.AuditAnswer
	require.NoError(t, json.Unmarshal([]byte(p.can(anna, "audit", "--object", "Board shop", "-o", "json")), &audit))
	require.Equal(t, "connection share", audit[0].Command)
	require.Equal(t, anna, audit[0].Actor)
	require.Equal(t, []protocol.AuditField{{Field: "shared", Before: json.RawMessage(`"admins-and-contributors"`), After: json.RawMessage(`"admins"`)}}, audit[0].Changes[0].Fields)
	p.cannot(carl, `"audit" needs an admin`, "audit")
	require.NoError(t, json.Unmarshal([]byte(p.can(anna, "audit", "--actor", carl, "-o", "json")), &audit))
	require.Equal(t, "not allowed", audit[0].Outcome, "attempts are in it too")

	p.nothingGivenAgain()
	p.nothingInClear(anna, carl, vera, nick)
}

// nothingGivenAgain copies every command that was ever given from its history,
// and gives it again: as it was, under a new id, and as another command.
func (p *staff) nothingGivenAgain() {
	p.t.Helper()
	page, err := p.client.ListWorkflow(p.t.Context(), &workflowservice.ListWorkflowExecutionsRequest{
		Query: "WorkflowType IN ('" + protocol.CommandWorkflowType + "', '" + protocol.ReadWorkflowType + "')", PageSize: 1000})
	require.NoError(p.t, err)
	tried := 0
	for _, w := range page.GetExecutions() {
		event, err := p.client.GetWorkflowHistory(p.t.Context(), w.GetExecution().GetWorkflowId(), w.GetExecution().GetRunId(), false, 1).Next()
		require.NoError(p.t, err)
		var given protocol.Request
		require.NoError(p.t, converter.GetDefaultDataConverter().FromPayloads(event.GetWorkflowExecutionStartedEventAttributes().GetInput(), &given))
		if given.Name == protocol.Hello {
			continue
		}
		require.NotEmpty(p.t, given.Credential)
		another, renamed := given, given
		another.ID, renamed.Name, renamed.Args = uuid.NewString(), protocol.RunsCancel, json.RawMessage(`{"run":"spring"}`)
		for _, request := range []protocol.Request{given, another, renamed} {
			err := p.byHand("command/again/"+uuid.NewString(), protocol.CommandWorkflowType, request)
			var refused *temporal.ApplicationError
			require.ErrorAs(p.t, err, &refused, given.Name)
			require.Contains(p.t, []string{protocol.ErrNotAllowed, protocol.ErrRepeated}, refused.Type(), "%s: %v", given.Name, err)
		}
		if tried++; tried == 10 {
			break
		}
	}
	require.Equal(p.t, 10, tried)
}

// report is the newest run's, for a person.
func (p *staff) report(name string) run.Report {
	p.t.Helper()
	var r run.Report
	require.NoError(p.t, json.Unmarshal([]byte(p.can(name, "runs", "show", "spring", "-o", "json")), &r))
	return r
}

// nothingInClear searches every history for the API key, for parts of tokens and
// for who a person is; and the store for the key and tokens.
func (p *staff) nothingInClear(people ...string) {
	p.t.Helper()
	secrets := append([]string{omnisendtest.Key, "eyJhbGciOi", "sub-", p.provider.URL + "#"}, people...)
	workflows := 0
	for next := []byte(nil); ; {
		page, err := p.client.ListWorkflow(p.t.Context(), &workflowservice.ListWorkflowExecutionsRequest{NextPageToken: next})
		require.NoError(p.t, err)
		for _, w := range page.GetExecutions() {
			workflows++
			history := p.client.GetWorkflowHistory(p.t.Context(), w.GetExecution().GetWorkflowId(), w.GetExecution().GetRunId(), false, 1)
			for history.HasNext() {
				event, err := history.Next()
				require.NoError(p.t, err)
				for _, secret := range secrets {
					require.NotContains(p.t, event.String(), secret, "%s: %s", w.GetExecution().GetWorkflowId(), event.GetEventType())
				}
			}
		}
		if next = page.GetNextPageToken(); len(next) == 0 {
			break
		}
	}
	require.Greater(p.t, workflows, 20)
	for _, file := range []string{"store.db", "store.db-wal"} {
		content, err := os.ReadFile(filepath.Join(p.path("data"), file))
		if os.IsNotExist(err) {
			continue
		}
		require.NoError(p.t, err)
		for _, secret := range secrets[:2] {
			require.False(p.t, bytes.Contains(content, []byte(secret)), "%s holds %s", file, secret)
		}
	}
}
