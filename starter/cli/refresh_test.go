package cli_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/segment-export/segment-export/internal/command"
	"github.com/segment-export/segment-export/internal/run"
	"github.com/segment-export/segment-export/starter/cli"
)

// addressOf opens the address that came sealed with the nth command.
func (b *bench) addressOf(n int) command.Address {
	b.t.Helper()
	r := b.server.requests[n]
	data, err := b.keyring.OpenEnvelope(r.Sealed, command.Context(r.ID))
	require.NoError(b.t, err)
	var a command.Address
	require.NoError(b.t, json.Unmarshal(data, &a))
	return a
}

func TestOnlyEmailTravelsSealed(t *testing.T) {
	for _, given := range []string{"me@shop.example", "-"} {
		b := newBench(t)
		b.options.In = strings.NewReader("me@shop.example\n")
		canary := finished(run.CompletedWithRejects)
		canary.Canary = &run.Canary{Address: true, Sends: 1}
		b.answers(started, canary)
		require.Equal(t, 3, b.run("run", "spring", "--only-email", given), b.err.String())
		require.Equal(t, command.RunArgs{Export: "spring", Only: true}, args[command.RunArgs](b, 0))
		require.Equal(t, "me@shop.example", b.addressOf(0).Email)
		require.NotContains(t, string(encode(t, b.server.requests))+strings.Join(b.server.summaries, ""), "shop.example")
		require.Contains(t, b.out.String(), "This is a canary: it sends one address alone (chosen: 1)")
	}
}

func TestPlanShowsSamplesOfEachKind(t *testing.T) {
	b := newBench(t)
	plan := finished(run.Completed)
	plan.Plan = true
	plan.Phases = []run.PhaseTime{{Phase: run.PhasePreflight, Seconds: 2}, {Phase: run.PhaseCollect, Seconds: 65}}
	found := command.SamplesAnswer{
		New:     []json.RawMessage{json.RawMessage(`{"city":"Łódź"}`)},
		Changed: []command.ChangedSample{{Differs: []string{"profile", "consent"}, Contact: json.RawMessage(`{"city":"Oslo"}`)}},
		Leavers: []json.RawMessage{json.RawMessage(`{"customProperties":{"m":""}}`)},
		Invalid: []command.Reject{{Reason: "email_invalid", Segment: "buyers", Row: 7, ID: "C7", Email: "x@"}},
	}
	b.answers(started, plan, sealedAnswer{found})
	require.Equal(t, 0, b.run("plan", "spring"), b.err.String())
	for _, want := range []string{"Łódź", "differs in: profile, consent", "Oslo", "whose marker would be cleared", "email_invalid", "C7",
		"Time by phase: preflight 2 s, collect 1 min 5 s"} {
		require.Contains(t, b.out.String(), want)
	}
}

func TestRemovingAnExportAsksWhatBecomesOfItsMarkers(t *testing.T) {
	b := newBench(t)
	asks := cli.Fail(command.ErrMarkers, "300 contacts carry markers")
	b.answers(asks)
	require.Equal(t, 2, b.run("export", "remove", "spring"))
	require.Contains(t, b.err.String(), "300 contacts carry markers")

	for answers, want := range map[string]string{"y\n": "clear", "n\ny\n": "keep", "n\nn\n": ""} {
		b := newBench(t)
		b.terminal(answers)
		if want == "clear" {
			b.answers(asks, command.ExportRemoved{Run: &started}, finished(run.Completed))
		} else {
			b.answers(asks, command.ExportRemoved{})
		}
		code := b.run("export", "remove", "spring")
		require.Contains(t, b.err.String(), "300 contacts carry markers")
		if want == "" {
			require.Equal(t, 2, code)
			require.Equal(t, []string{"export remove"}, b.names())
			continue
		}
		require.Equal(t, 0, code, b.err.String())
		require.Equal(t, want, args[command.ExportRemoveArgs](b, 1).Markers)
	}
}

// A value that a spreadsheet would take for a formula is made harmless.
func TestRejectsFileHoldsNoFormula(t *testing.T) {
	b := newBench(t)
	file := filepath.Join(t.TempDir(), "rejects.csv")
	b.answers(finished(run.Completed), sealedAnswer{command.RejectsPage{Kept: 2, Total: 2, Rejects: []command.Reject{
		{Segment: "buyers", Row: 7, ID: "=cmd|'/c calc'!A1", Email: "+a@example.com", Reason: "email_invalid"},
		{Segment: "buyers", Row: 8, ID: "-1", Email: "@SUM(1)", Reason: "email_invalid", Said: "＝now"},
	}}})
	require.Equal(t, 0, b.run("runs", "rejects", "spring", "--csv", file), b.err.String())
	content, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, "segment,row,id,email,reason,refused,said\nbuyers,7,'=cmd|'/c calc'!A1,'+a@example.com,email_invalid,false,\n"+
		"buyers,8,'-1,'@SUM(1),email_invalid,false,'＝now\n", string(content))
}

func TestExplainAndForget(t *testing.T) {
	at := time.Date(2026, 11, 20, 6, 0, 0, 0, time.UTC)
	b := newBench(t)
	b.answers(sealedAnswer{command.ExplainAnswer{Hidden: 1, Exports: []command.ExplainedExport{
		{Export: "spring", Verdict: command.VerdictConfirmed, At: at, Markers: []string{"segment_buyers"}, LastRun: "run-1", LastAt: at, Next: "when it changes"},
		{Export: "summer", Verdict: command.VerdictUnknown, Next: "each run looks anew", Rejects: []command.ExplainedReject{
			{Run: "run-2", At: at, Reject: command.Reject{Segment: "buyers", Row: 7, Reason: "email_invalid"}}}},
	}}})
	require.Equal(t, 0, b.run("explain", "Ann@Example.com"), b.err.String())
	require.Equal(t, "Ann@Example.com", b.addressOf(0).Email)
	require.NotContains(t, string(encode(t, b.server.requests))+strings.Join(b.server.summaries, ""), "xample.com")
	for _, want := range []string{"Export spring", "confirmed", "segment_buyers", "run-1, 2026-11-20 06:00:00 UTC", "when it changes",
		"nothing is remembered", "not carried over by run run-2 (2026-11-20 06:00:00 UTC): email_invalid, segment buyers, row 7, not sent", "1 export is there besides that you may not use"} {
		require.Contains(t, b.out.String(), want)
	}

	b = newBench(t)
	b.answers(sealedAnswer{command.ForgetAnswer{Ledgers: []string{"spring"}, Rejects: 2}})
	require.Equal(t, 0, b.run("forget", "ann@example.com"), b.err.String())
	require.Contains(t, b.out.String(), "Erased from the ledgers of: spring\nErased besides: 2 rejects, 0 samples, 0 waiting contacts")
	b.answers(sealedAnswer{command.ForgetAnswer{OpenRuns: []string{"run-9"}}})
	require.Equal(t, 1, b.run("forget", "ann@example.com"))
	require.Contains(t, b.err.String(), "when it has ended: run-9")
	b.answers(sealedAnswer{command.ForgetAnswer{Allowed: true}})
	require.Equal(t, 0, b.run("forget", "ann@example.com", "--allow-again"))
	require.True(t, args[command.ForgetArgs](b, 2).AllowAgain)
	require.Equal(t, 2, b.run("forget", "ann"))
}

func TestHistory(t *testing.T) {
	b := newBench(t)
	one, two := finished(run.Completed), finished(run.CompletedWithRejects)
	two.RunID, two.Canary = "run-0", &run.Canary{Limit: 10, Sends: 10}
	var first []*command.RunAnswer
	for range command.RunsPerPage {
		first = append(first, &one)
	}
	b.answers(command.RunsPage{Runs: first, Next: "second"}, command.RunsPage{Runs: []*command.RunAnswer{&two}, Next: "third"})
	require.Equal(t, 0, b.run("runs", "list", "--limit", "101"), b.err.String())
	require.Equal(t, command.RunsListArgs{Limit: 1, Page: "second"}, args[command.RunsListArgs](b, 1))
	require.Contains(t, b.out.String(), "completed with rejects (canary)")
	require.Contains(t, b.out.String(), "There may be more; continue with: --page third")

	one.Difference = &command.RunDifference{Run: "run-0", StartedAt: one.StartedAt, Numbers: map[string]int{"contacts": 10, "refused": -1200}}
	b.answers(one)
	require.Equal(t, 0, b.run("runs", "show", "spring"), b.err.String())
	require.Contains(t, b.out.String(), "Since run run-0 (2026-11-24 09:00:00 UTC): contacts +10, refused -1,200")
}

func TestVerify(t *testing.T) {
	b := newBench(t)
	begun := command.VerifyStarted{ID: "v", WorkflowID: "verify/spring", Sample: 100}
	found := command.VerifyAnswer{Export: "spring", Ledger: 5000, Sample: 100, Checked: 100, Differences: []command.VerifyDifference{}}
	b.answers(begun, sealedAnswer{found})
	require.Equal(t, 0, b.run("verify", "spring"), b.err.String())
	require.Contains(t, b.out.String(), "100 of 5,000 contacts compared: 0 differences")
	require.Equal(t, command.VerifyRef{Export: "spring", ID: "v"}, args[command.VerifyRef](b, 1))

	found.Differences = append(found.Differences, command.VerifyDifference{Email: "a@example.com", Missing: []string{"segment_buyers"}})
	b.answers(begun, sealedAnswer{found})
	require.Equal(t, 3, b.run("verify", "spring", "--sample", "100"))
	require.Contains(t, b.out.String(), "has no marker")
	found.Problem = "Omnisend refused the API key"
	b.answers(begun, sealedAnswer{found})
	require.Equal(t, 1, b.run("verify", "spring"))
	require.Contains(t, b.err.String(), "ended early: Omnisend refused the API key")
	require.Equal(t, 2, b.run("verify", "spring", "--sample", "0"))
}
