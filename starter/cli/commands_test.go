package cli_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/segment-export/segment-export/internal/access"
	"github.com/segment-export/segment-export/internal/catalogue"
	"github.com/segment-export/segment-export/internal/contact"
	"github.com/segment-export/segment-export/internal/protocol"
	"github.com/segment-export/segment-export/internal/run"
	"github.com/segment-export/segment-export/starter/cli"
)

func TestRequests(t *testing.T) {
	for _, c := range []struct {
		line    string // words separated by |
		name    string
		args    string
		summary string
	}{
		{"source|add|crm|--kind|files|--path|./segments", "source add", `{"name":"crm","kind":"files","files":{"path":"./segments"}}`, "source add crm"},
		{"source|add|crm|--path|.|--columns|Id, Email,\"Name, full\"|--quote-escape|backslash|--sheet|People", "source add",
			`{"name":"crm","kind":"files","files":{"path":".","columns":["Id","Email","Name, full"],"quote_escape":"backslash","sheet":"People"}}`, "source add crm"},
		{"source|add|--path=./segments|crm", "source add", `{"name":"crm","kind":"files","files":{"path":"./segments"}}`, "source add crm"},
		{"source|list", "source list", ``, "source list"},
		{"--output|json|source|show|crm", "source show", `{"name":"crm","rows":true}`, "source show crm"},
		{"source|show|help", "source show", `{"name":"help","rows":true}`, "source show help"},
		{"source|remove|--|--odd", "source remove", `{"name":"--odd"}`, "source remove --odd"},
		{"connection|list", "connection list", ``, "connection list"},
		{"connection|show|Spring shop", "connection show", `{"name":"Spring shop"}`, "connection show Spring shop"},
		{"connection|edit|Spring shop|--share|0.5", "connection edit", `{"name":"Spring shop","share":0.5}`, "connection edit Spring shop"},
		{"connection|edit|--calls-per-minute|0|Spring shop", "connection edit", `{"name":"Spring shop","calls_per_minute":0}`, "connection edit Spring shop"},
		{"connection|edit|Spring shop|--name|Shop|--who-can-use|admins|--max-contacts|5|--version|3", "connection edit",
			`{"name":"Spring shop","rename":"Shop","shared":"admins","max_contacts":5,"version":3}`, "connection edit Spring shop"},
		{"connection|add|Spring shop|--agree|--api-key-ref|env:OMNISEND_SHOP", "connection add", `{"name":"Spring shop","agree":true,"api_key":"env:OMNISEND_SHOP"}`, "connection add Spring shop"},
		{"connection|rotate-key|Spring shop|--api-key-ref|file:shop", "connection rotate-key", `{"name":"Spring shop","api_key":"file:shop"}`, "connection rotate-key Spring shop"},
		{"connection|edit|Spring shop|--agree", "connection edit", `{"name":"Spring shop","agree":true}`, "connection edit Spring shop"},
		{"connection|edit|Spring shop|--withdraw-consent|--running|finish", "connection edit", `{"name":"Spring shop","withdraw":true,"running":"finish"}`, "connection edit Spring shop"},
		{"connection|share|Spring shop|--with|admins-and-contributors", "connection share", `{"name":"Spring shop","with":"admins-and-contributors"}`, "connection share Spring shop"},
		{"connection|test|Spring shop", "connection test", `{"name":"Spring shop"}`, "connection test Spring shop"},
		{"connection|resume|Spring shop", "connection resume", `{"name":"Spring shop"}`, "connection resume Spring shop"},
		{"connection|stop|Spring shop", "connection stop", `{"name":"Spring shop"}`, "connection stop Spring shop"},
		{"connection|start|Spring shop", "connection start", `{"name":"Spring shop"}`, "connection start Spring shop"},
		{"connection|remove|Spring shop", "connection remove", `{"name":"Spring shop"}`, "connection remove Spring shop"},
		{"connection|remove|Spring shop|--detach|--yes", "connection remove", `{"name":"Spring shop","exports":"detach"}`, "connection remove Spring shop"},
		{"connection|remove|Spring shop|--remove-exports|-y", "connection remove", `{"name":"Spring shop","exports":"remove"}`, "connection remove Spring shop"},
		{"export|attach|spring|--connection|c", "export attach", `{"name":"spring","connection":"c"}`, "export attach spring"},
		{"export|detach|spring", "export detach", `{"name":"spring"}`, "export detach spring"},
		{"export|duplicate|spring|--as|summer|--marker|a=b=c", "export duplicate", `{"name":"spring","as":"summer","markers":{"a=b":"c"}}`, "export duplicate spring"},
		{"export|add|spring|--connection|Spring shop|--source|crm|--segment|a,b|--segment|c|--id|Id|--map|email=E=Mail|--map|consent=C" +
			"|--marker|a,b=m_1|--consent-value|ja|--opt-out-value|nein|--leavers|keep", "export add",
			`{"name":"spring","connection":"Spring shop","source":"crm","segments":[{"segment":"a,b","marker":"m_1"},{"segment":"c"}],"id":"Id",
			"mapping":{"email":"E=Mail","consent":"C"},"consent_rule":{"consent":["ja"],"opt_out":["nein"]},"leavers":"keep"}`, "export add spring"},
		{"export|list", "export list", ``, "export list"},
		{"export|show|spring", "export show", `{"name":"spring"}`, "export show spring"},
		{"export|remove|spring", "export remove", `{"name":"spring"}`, "export remove spring"},
		{"export|add|spring|--connection|c|--source|s|--segment|g|--map|email=E|--full-every|30", "export add",
			`{"name":"spring","connection":"c","source":"s","segments":[{"segment":"g"}],"mapping":{"email":"E"},"full_every":30}`, "export add spring"},
		{"export|edit|spring|--reset-ledger", "export reset-ledger", `{"name":"spring"}`, "export reset-ledger spring"},
		{"export|remove|spring|--markers|keep", "export remove", `{"name":"spring","markers":"keep"}`, "export remove spring"},
		{"run|spring|--limit|10|--detach", "run", `{"export":"spring","limit":10}`, "run spring"},
		{"run|spring|--adopt|--detach", "run", `{"export":"spring","adopt":true}`, "run spring"},
		{"runs|retry-rejects|spring|--detach", "runs retry-rejects", `{"run":"spring"}`, "runs retry-rejects spring"},
		{"run|spring|--yes|--full|--detach", "run", `{"export":"spring","yes":true,"full":true}`, "run spring"},
		{"run|--detach|-y|spring|-o|yaml", "run", `{"export":"spring","yes":true}`, "run spring"},
		{"runs|list|--export|spring|--status|failed|--limit|3", "runs list", `{"export":"spring","status":"failed","limit":3}`, "runs list"},
		{"runs|list|--since|7d|--before|2026-11-20|--plans|--page|abc", "runs list",
			`{"since":"2026-11-17T09:00:00Z","before":"2026-11-20T00:00:00Z","plans":true,"limit":20,"page":"abc"}`, "runs list"},
		{"runs|list|--since|90m|--limit|1000", "runs list", `{"since":"2026-11-24T07:30:00Z","limit":100}`, "runs list"},
		{"runs|show", "runs show", `{"run":""}`, "runs show"},
		{"runs|pause|spring", "runs pause", `{"run":"spring"}`, "runs pause"},
		{"runs|resume|spring", "runs resume", `{"run":"spring"}`, "runs resume"},
		{"runs|cancel|run-1", "runs cancel", `{"run":"run-1"}`, "runs cancel"},
		{"runs|abandon|run-1", "runs abandon", `{"run":"run-1"}`, "runs abandon"},
		{"runs|approve|run-1|--guard|shrunk|--remember", "runs approve", `{"run":"run-1","guard":"shrunk","remember":true}`, "runs approve"},
		{"status", "status", ``, "status"},
		{"whoami", "whoami", ``, "whoami"},
	} {
		t.Run(c.line, func(t *testing.T) {
			b := newBench(t)
			b.answers(json.RawMessage(emptyAnswer(c.name)))
			require.Equal(t, 0, b.run(strings.Split(c.line, "|")...), b.err.String())
			require.Equal(t, []string{c.name}, b.names())
			require.Equal(t, []string{c.summary}, b.server.summaries)
			r := b.server.requests[0]
			if c.args == "" {
				require.Empty(t, r.Args)
			} else {
				require.JSONEq(t, c.args, string(r.Args))
			}
			require.Empty(t, r.Sealed)
			// Names of columns may be values, of a file without a header.
			sealed := strings.HasPrefix(c.name, "source ") && slices.Contains([]string{"add", "show", "test"}, strings.Fields(c.name)[1]) && !strings.Contains(c.args, "stored")
			require.Equal(t, sealed, r.ReplyTo != "")
			require.NoError(t, access.Verify(b.identity.Secret, r.Claim(), r.Proof, b.clock.Now()))
			require.True(t, b.server.closed)
		})
	}
}

func emptyAnswer(name string) string {
	switch {
	case name == protocol.RunsList:
		return `{"runs":[]}`
	case strings.HasSuffix(name, " list"):
		return "[]"
	case name == protocol.RunsShow:
		return `{"status":"completed"}`
	}
	return "{}"
}

func TestUsage(t *testing.T) {
	for _, c := range []struct{ line, want string }{
		{"sorce|list", `did you mean "source"`},
		{"source|lst", `did you mean "source list"`},
		{"frobnicate", "there are: init, source, connection"},
		{"runs", "needs one of: list, show"},
		{"run|--ful|spring", "did you mean --full"},
		{"--yes|run|spring", "options of a command follow"},
		{"run", "EXPORT is missing; usage: starter run EXPORT"},
		{"run|", "EXPORT is empty"},
		{"run|a|b", `unexpected argument "b" (names with spaces need quotes)`},
		{"source|list|x", "unexpected argument"},
		{"source|add|crm", "--path is missing"},
		{"source|add|crm|--path", "--path needs a value"},
		{"source|add|crm|--path|--kind|files", "--path needs a value"},
		{"run|spring|--output|xml", "must be text, json, yaml or jsonl"},
		{"connection|edit|x", "nothing to change"},
		{"alert|edit|ops", "nothing to change"},
		{"connection|edit|x|--share|much", "share"},
		{"export|add|x|--source|s|--segment|g|--map|email=E", "--connection is missing"},
		{"export|add|x|--connection|c|--source|s|--segment|g|--map|email", "not ATTRIBUTE=FIELD"},
		{"export|add|x|--connection|c|--source|s|--segment|g|--map|email=A|--map|email=B", "mapped twice"},
		{"export|add|x|--connection|c|--source|s|--segment|g|--map|email=A|--marker|m", "not SEGMENT=PROPERTY"},
		{"runs|list|--since|lately", "invalid --since \"lately\""},
		{"run|spring|--limit|0", "must be at least 1"},
		{"run|spring|--only-email|me", "must be one email address"},
		{"export|edit|spring", "nothing to change"},
		{"export|edit|spring|--reset-ledger|--full-every|3", "given alone"},
		{"export|remove|spring|--markers|burn", "neither keep nor clear"},
		{"export|add|x|--connection|c|--source|s|--segment|g|--map|email=A|--marker|h=m", "which the export does not have"},
		{"export|add|x|--connection|c|--source|s|--segment|g|--map|email=A|--guard|shrunk=2", "not GUARD=PART"},
		{"export|edit|x", "nothing to change"},
		{"export|edit|x|--reset-ledger|--id|I", "given alone"},
		{"export|duplicate|x", "--as is missing"},
		{"export|attach|x", "--connection is missing"},
		{"export|list|--sort|lastrun", `did you mean "last-run"`},
		{"connection|edit|x|--running|cancel", "nothing to change"},
		{"connection|edit|x|--agree|--running|cancel", "goes with --withdraw-consent"},
		{"connection|share|x", "--with is missing"},
		{"connection|rotate-key|x|--api-key-ref|env:A|--api-key-file|k", "not both"},
		{"connection|remove|x|--detach|--remove-exports", "not both"},
		{"connection|remove|x|--detach", "give --yes"},
		{"runs|approve|x", "--guard is missing"},
		{"runs|approve|--guard|shrunk", "RUN|EXPORT is missing"},
		{"runs|approve|x|--guard|shrink", "the guards are: first-run"},
		{"runs|list|--limit|0", "--limit 0"},
		{"connection|add|x|--api-key-file|k", "agree with --agree"},
	} {
		t.Run(c.line, func(t *testing.T) {
			b := newBench(t)
			require.Equal(t, 2, b.run(strings.Split(c.line, "|")...))
			require.Contains(t, b.err.String(), c.want)
			require.Empty(t, b.out.String())
			require.Empty(t, b.server.requests, "nothing is given to a worker")
		})
	}
}

func TestHelp(t *testing.T) {
	b := newBench(t)
	for _, line := range []string{"", "--help", "help"} {
		require.Equal(t, 0, b.run(strings.Fields(line)...))
		require.Contains(t, b.out.String(), "130 interrupted")
	}
	for _, line := range []string{"run --help", "help run", "-h run spring"} {
		require.Equal(t, 0, b.run(strings.Fields(line)...))
		require.Contains(t, b.out.String(), "Example:\n      starter run spring")
	}
	require.Empty(t, b.server.requests)
}

func TestFailures(t *testing.T) {
	for _, c := range []struct {
		class string
		code  int
	}{
		{protocol.ErrUsage, 2}, {protocol.ErrNotFound, 1}, {protocol.ErrExists, 1}, {protocol.ErrConflict, 1},
		{protocol.ErrNotAllowed, 5}, {protocol.ErrRepeated, 5}, {protocol.ErrFailed, 1}, {"no server", 7}, {"no worker", 7}, {"interrupted", 130},
	} {
		t.Run(c.class, func(t *testing.T) {
			b := newBench(t)
			b.answers(cli.Fail(c.class, "it \x1b[31mbroke"))
			require.Equal(t, c.code, b.run("source", "list"))
			require.Empty(t, b.out.String())
			require.Equal(t, "starter: it \uFFFD[31mbroke\n", b.err.String(), "the terminal is not steered")

			b.answers(cli.Fail(c.class, "it broke"))
			require.Equal(t, c.code, b.run("source", "list", "--output", "json"))
			require.Equal(t, `{"error":{"class":"`+c.class+`","message":"it broke"}}`+"\n", b.out.String())
			require.Equal(t, "starter: it broke\n", b.err.String())
		})
	}
	b := newBench(t)
	require.Equal(t, 2, b.run("--output=json", "run"))
	require.Contains(t, b.out.String(), `{"error":{"class":"usage"`)
	b.answers(errors.New("plain"))
	require.Equal(t, 1, b.run("source", "list", "-o", "yaml"))
	require.Equal(t, "error:\n  class: failed\n  message: plain\n", b.out.String())
}

func TestInterrupted(t *testing.T) {
	b := newBench(t)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	b.answers(ctx.Err())
	require.Equal(t, 130, b.runIn(ctx, "source", "list"))
}

func TestNoServer(t *testing.T) {
	b := newBench(t)
	b.options.Env = env{"SEGMENT_EXPORT_DATA_DIR": t.TempDir()} // no identity either: the server is the greater need
	b.options.Connect = func(context.Context, bool) (cli.Server, error) { return nil, cli.Fail("no server", "nobody there") }
	require.Equal(t, 7, b.run("source", "list"))
}

func TestIdentity(t *testing.T) {
	b := newBench(t)
	dir := b.options.Env.(env)["SEGMENT_EXPORT_DATA_DIR"]

	b.options.Env = env{"SEGMENT_EXPORT_DATA_DIR": filepath.Join(dir, "elsewhere")}
	require.Equal(t, 5, b.run("whoami"))
	require.Contains(t, b.err.String(), filepath.Join(dir, "elsewhere", "identity.json"))

	b.options.Env = env{"SEGMENT_EXPORT_DATA_DIR": dir, "SEGMENT_EXPORT_WORKER_FINGERPRINT": "0000"}
	require.Equal(t, 5, b.run("whoami"))
	require.Contains(t, b.err.String(), b.identity.PublicKey.Fingerprint())

	b.options.Env = env{"SEGMENT_EXPORT_DATA_DIR": dir, "SEGMENT_EXPORT_WORKER_FINGERPRINT": strings.ToUpper(b.identity.PublicKey.Fingerprint())}
	b.answers(protocol.WhoAmIAnswer{Name: "ann", Role: "admin"})
	require.Equal(t, 0, b.run("whoami"))
	require.Equal(t, "ann, admin\n", b.out.String())

	require.NoError(t, os.Chmod(filepath.Join(dir, access.IdentityFile), 0o644))
	require.Equal(t, 5, b.run("whoami"))
	require.Contains(t, b.err.String(), "chmod 600")
}

func TestOutputKeepsNamesAndOrder(t *testing.T) {
	b := newBench(t)
	raw := json.RawMessage(`{"name":"crm","version":12,"kind":"files","path":"true","segments":[{"name":"ärzte","bytes":150,"fields":[]},{"name":"multi\nline","bytes":0,"fields":["007",null]}],"later":{}}`)
	b.answers(raw, raw)
	require.Equal(t, 0, b.run("source", "show", "crm", "-o", "json"))
	require.Equal(t, string(raw)+"\n", b.out.String(), "as it came, fields of a newer worker included")
	require.Equal(t, 0, b.run("whoami", "-o", "yaml"))
	require.True(t, strings.HasPrefix(b.out.String(), "name: crm\nversion: 12\nkind: files\npath: \"true\"\n"), b.out.String())
	var back any
	require.NoError(t, yaml.Unmarshal(b.out.Bytes(), &back))
	again, err := json.Marshal(back)
	require.NoError(t, err)
	require.JSONEq(t, string(raw), string(again))
}

func TestTables(t *testing.T) {
	b := newBench(t)
	at := time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC)
	answer := protocol.SourceAnswer{
		Source: catalogue.Source{Meta: catalogue.Meta{Name: "crm", CreatedBy: "ann", CreatedAt: at}, Type: "files", Files: &catalogue.FilesSettings{Path: "segments"}},
		SegmentList: []protocol.SegmentAnswer{
			{Name: "buyers", Bytes: 1234567, Fields: []string{"Id", "Email"}},
			{Name: "bad", Error: "line 3: \x1b]0;quote\a never closed"},
		},
	}
	b.answers(answer, answer)
	require.Equal(t, 0, b.run("source", "show", "crm"))
	require.Equal(t, `name     crm
kind     files
path     segments
created  2026-11-24 09:00:00 UTC by ann

SEGMENT      BYTES  FIELDS
buyers   1,234,567  Id, Email
bad              0  cannot be read: line 3: `+"\uFFFD]0;quote\uFFFD never closed\n", b.out.String())
}

// On a terminal tables are wrapped to its width between words; elsewhere a row
// stays on its line.
func TestTablesFitTheTerminal(t *testing.T) {
	b := newBench(t)
	rejects := finished(run.CompletedWithRejects)
	rejects.RunID, rejects.Export = "0b9fa5a2-9e4e-4d56-8a8c-1f6f0f4a7d11", "spring-newsletter"
	rejects.Adopted = 1_000_000
	b.options.Width = func() int { return 80 }
	b.answers(protocol.RunsPage{Runs: []*protocol.RunAnswer{&rejects}}, protocol.RunsPage{Runs: []*protocol.RunAnswer{&rejects}})
	require.Equal(t, 0, b.run("runs", "list"))
	require.Equal(t, `RUN       EXPORT             STATUS                            STARTED            TOOK   DELIVERED  REJECTS
0b9fa5a2  spring-newsletter  completed with rejects (adopted)  2026-11-24 09:00Z  1m30s      1,000       45
`, b.out.String())
	b.terminal("")
	require.Equal(t, 0, b.run("runs", "list"))
	for line := range strings.Lines(b.out.String()) {
		require.LessOrEqual(t, len(strings.TrimRight(line, "\n")), 84, b.out.String())
	}
	require.Equal(t, `RUN       EXPORT             STATUS     STARTED            TOOK   DELIVERED  REJECTS
0b9fa5a2  spring-newsletter  completed  2026-11-24 09:00Z  1m30s      1,000       45
                             with
                             rejects
                             (adopted)
`, b.out.String(), "as narrow as its words are")
	rejects.Export = "spring"
	b.answers(protocol.RunsPage{Runs: []*protocol.RunAnswer{&rejects}})
	require.Equal(t, 0, b.run("runs", "list"))
	require.Equal(t, `RUN       EXPORT  STATUS            STARTED            TOOK   DELIVERED  REJECTS
0b9fa5a2  spring  completed with    2026-11-24 09:00Z  1m30s      1,000       45
                  rejects
                  (adopted)
`, b.out.String())
}

func TestTimesInUTC(t *testing.T) {
	b := newBench(t)
	b.options.Zone = time.FixedZone("CET", 3600)
	answer := finished(run.Completed)
	b.answers(answer, answer, protocol.RunsPage{Runs: []*protocol.RunAnswer{&answer}})
	require.Equal(t, 0, b.run("runs", "show", "spring"))
	require.Contains(t, b.out.String(), "2026-11-24 10:00:00 CET to 2026-11-24 10:01:30 CET")
	require.Equal(t, 0, b.run("--utc", "runs", "show", "spring"))
	require.Contains(t, b.out.String(), "2026-11-24 09:00:00 UTC to 2026-11-24 09:01:30 UTC")
	require.Equal(t, 0, b.run("runs", "list"))
	require.Contains(t, b.out.String(), "2026-11-24 10:00 ")
}

// What came from elsewhere stays what it is in JSON and YAML, and steers nothing.
func TestUnseenCharactersAreEscaped(t *testing.T) {
	unseen := "a\u007fb\u009bc\u202ed\u2066e\u200ff\u061cg\u2028h\x1bi"
	b := newBench(t)
	answer := map[string]string{"name": unseen, "key " + unseen: "plain"}
	for _, format := range []string{"json", "yaml"} {
		b.answers(answer)
		require.Equal(t, 0, b.run("whoami", "-o", format))
		for _, r := range b.out.String() {
			require.True(t, r == '\n' || r >= ' ' && r < 0x7f, "%s: %U in %s", format, r, b.out.String())
		}
		var back map[string]string
		require.NoError(t, yaml.Unmarshal(b.out.Bytes(), &back), b.out.String()) // JSON is YAML too
		require.Equal(t, answer, back)
		b.answers(cli.Fail("failed", "it "+unseen+" broke"))
		require.Equal(t, 1, b.run("whoami", "-o", format))
		require.NotContains(t, b.out.String(), "\u202e")
		require.NotContains(t, b.err.String(), "\u202e")
	}
}

func TestAStatusThatDoesNotExist(t *testing.T) {
	b := newBench(t)
	require.Equal(t, 2, b.run("runs", "list", "--status", "faild"))
	require.Equal(t, "starter: --status: unknown status \"faild\" (did you mean \"failed\"?); valid: queued, running, paused, parked, "+
		"completed, completed with rejects, skipped, canceled, failed, expired\n", b.err.String())
	b.answers(protocol.RunsPage{})
	require.Equal(t, 0, b.run("runs", "list", "--status", "Completed With Rejects"))
	require.Equal(t, "completed with rejects", args[protocol.RunsListArgs](b, 0).Status)
}

// A contributor sees name and kind of a connection, and no guess at the rest.
func TestOutlinesAreNotFilledIn(t *testing.T) {
	b := newBench(t)
	b.answers([]catalogue.Connection{{Meta: catalogue.Meta{Name: "shop"}, Type: "omnisend"}}, []catalogue.Source{{Meta: catalogue.Meta{Name: "crm"}, Type: "files"}})
	require.Equal(t, 0, b.run("connection", "list"))
	require.Equal(t, "NAME  KIND      BRAND  WHO CAN USE  STATE\nshop  omnisend\n", b.out.String())
	require.Equal(t, 0, b.run("source", "list"))
	require.Equal(t, "NAME  KIND   PLACE  WHO CAN USE  OWNER\ncrm   files\n", b.out.String())
}

func TestExportNotesAreShown(t *testing.T) {
	b := newBench(t)
	b.answers(protocol.ExportAnswer{
		Export: catalogue.Export{Meta: catalogue.Meta{Name: "spring"}, ExportSpec: catalogue.ExportSpec{
			Segments: []catalogue.ExportedSegment{{Segment: "buyers", Marker: "segment_buyers"}},
			Mapping:  contact.Mapping{contact.Email: "E-Mail"}, Guards: map[catalogue.Guard]catalogue.Threshold{catalogue.GuardShrunk: 0.5}}},
		Notes: []string{"make a segment there"},
	})
	require.Equal(t, 0, b.run("export", "add", "spring", "--connection", "c", "--source", "s", "--segment", "buyers", "--map", "email=E-Mail"))
	for _, want := range []string{"segment_buyers", "E-Mail", "No connection", "guard shrunk asks above 50 %", "- make a segment there"} {
		require.Contains(t, b.out.String(), want)
	}
}
