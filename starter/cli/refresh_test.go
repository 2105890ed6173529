package cli_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/segment-export/segment-export/internal/protocol"
	"github.com/segment-export/segment-export/internal/run"
	"github.com/segment-export/segment-export/starter/cli"
)

// addressOf opens the address that came sealed with the nth command.
func (b *bench) addressOf(n int) protocol.Address {
	b.t.Helper()
	r := b.server.requests[n]
	data, err := b.keyring.OpenEnvelope(r.Sealed, protocol.Context(r.ID))
	require.NoError(b.t, err)
	var a protocol.Address
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
		require.Equal(t, protocol.RunArgs{Export: "spring", Only: true}, args[protocol.RunArgs](b, 0))
		require.Equal(t, "me@shop.example", b.addressOf(0).Email)
		require.NotContains(t, string(encode(t, b.server.requests))+strings.Join(b.server.summaries, ""), "shop.example")
		require.Contains(t, b.out.String(), "This is a test run: it sends only one address (chosen: 1)")
	}
}

func TestPlanShowsSamplesOfEachKind(t *testing.T) {
	b := newBench(t)
	plan := finished(run.Completed)
	plan.Plan = true
	plan.Phases = []run.PhaseTime{{Phase: run.PhasePreflight, Seconds: 2}, {Phase: run.PhaseCollect, Seconds: 65}}
	found := protocol.SamplesAnswer{
		New:     []json.RawMessage{json.RawMessage(`{"city":"Łódź"}`)},
		Changed: []protocol.ChangedSample{{Differs: []string{"profile", "consent"}, Contact: json.RawMessage(`{"city":"Oslo"}`)}},
		Leavers: []json.RawMessage{json.RawMessage(`{"customProperties":{"m":""}}`)},
		Invalid: []protocol.Reject{{Reason: "email_invalid", Segment: "buyers", Row: 7, ID: "C7", Email: "x@"}},
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
	asks := cli.Fail(protocol.ErrMarkers, "300 contacts carry markers")
	b.answers(asks)
	require.Equal(t, 2, b.run("export", "remove", "spring"))
	require.Contains(t, b.err.String(), "300 contacts carry markers")

	for answers, want := range map[string]string{"y\n": "clear", "n\ny\n": "keep", "n\nn\n": ""} {
		b := newBench(t)
		b.terminal(answers)
		if want == "clear" {
			b.answers(asks, protocol.ExportRemoved{Run: &started}, finished(run.Completed))
		} else {
			b.answers(asks, protocol.ExportRemoved{})
		}
		code := b.run("export", "remove", "spring")
		require.Contains(t, b.err.String(), "300 contacts carry markers")
		if want == "" {
			require.Equal(t, 2, code)
			require.Equal(t, []string{"export remove"}, b.names())
			continue
		}
		require.Equal(t, 0, code, b.err.String())
		require.Equal(t, want, args[protocol.ExportRemoveArgs](b, 1).Markers)
	}
}

// A value that a spreadsheet would take for a formula is made harmless.
func TestRejectsFileHoldsNoFormula(t *testing.T) {
	b := newBench(t)
	file := filepath.Join(t.TempDir(), "rejects.csv")
	b.answers(finished(run.Completed), sealedAnswer{protocol.RejectsPage{Kept: 2, Total: 2, Rejects: []protocol.Reject{
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
	b.answers(sealedAnswer{protocol.ExplainAnswer{Hidden: 1, Exports: []protocol.ExplainedExport{
		{Export: "spring", Verdict: protocol.VerdictConfirmed, At: at, Markers: []string{"segment_buyers"}, LastRun: "run-1", LastAt: at, Next: "when it changes"},
		{Export: "summer", Verdict: protocol.VerdictUnknown, Next: "each run looks again", Rejects: []protocol.ExplainedReject{
			{Run: "run-2", At: at, Reject: protocol.Reject{Segment: "buyers", Row: 7, Reason: "email_invalid"}}}},
	}}})
	require.Equal(t, 0, b.run("explain", "Ann@Example.com"), b.err.String())
	require.Equal(t, "Ann@Example.com", b.addressOf(0).Email)
	require.NotContains(t, string(encode(t, b.server.requests))+strings.Join(b.server.summaries, ""), "xample.com")
	for _, want := range []string{"Export spring", "confirmed", "segment_buyers", "run-1, 2026-11-20 06:00:00 UTC", "when it changes",
		"never sent, or no longer in the ledger", "rejected in run run-2 (2026-11-20 06:00:00 UTC): email_invalid, segment buyers, row 7, not sent", "1 export that you may not use is not shown"} {
		require.Contains(t, b.out.String(), want)
	}

	b = newBench(t)
	b.answers(sealedAnswer{protocol.ForgetAnswer{Ledgers: []string{"spring"}, Rejects: 2}})
	require.Equal(t, 0, b.run("forget", "ann@example.com"), b.err.String())
	require.Contains(t, b.out.String(), "Erased from the ledgers of: spring\nAlso erased: 2 rejects, 0 samples, 0 waiting contacts")
	b.answers(sealedAnswer{protocol.ForgetAnswer{OpenRuns: []string{"run-9"}}})
	require.Equal(t, 1, b.run("forget", "ann@example.com"))
	require.Contains(t, b.err.String(), "when it has ended: run-9")
	b.answers(sealedAnswer{protocol.ForgetAnswer{Allowed: true}})
	require.Equal(t, 0, b.run("forget", "ann@example.com", "--allow-again"))
	require.True(t, args[protocol.ForgetArgs](b, 2).AllowAgain)
	require.Equal(t, 2, b.run("forget", "ann"))
}

func TestHistory(t *testing.T) {
	b := newBench(t)
	one, two := finished(run.Completed), finished(run.CompletedWithRejects)
	two.RunID, two.Canary = "run-0", &run.Canary{Limit: 10, Sends: 10}
	var first []*protocol.RunAnswer
	for range protocol.RunsPerPage {
		first = append(first, &one)
	}
	b.answers(protocol.RunsPage{Runs: first, Next: "second"}, protocol.RunsPage{Runs: []*protocol.RunAnswer{&two}, Next: "third"})
	require.Equal(t, 0, b.run("runs", "list", "--limit", "101"), b.err.String())
	require.Equal(t, protocol.RunsListArgs{Limit: 1, Page: "second"}, args[protocol.RunsListArgs](b, 1))
	require.Contains(t, b.out.String(), "completed with rejects (canary)")
	require.Contains(t, b.out.String(), "There may be more; continue with: --page third")

	one.Difference = &protocol.RunDifference{Run: "run-0", StartedAt: one.StartedAt, Numbers: map[string]int{"contacts": 10, "refused": -1200}}
	b.answers(one)
	require.Equal(t, 0, b.run("runs", "show", "spring"), b.err.String())
	require.Contains(t, b.out.String(), "Since run run-0 (2026-11-24 09:00:00 UTC): contacts +10, refused -1,200")
}

func TestVerify(t *testing.T) {
	b := newBench(t)
	verifying := protocol.VerifyStarted{ID: "v", WorkflowID: "verify/spring", Sample: 100}
	found := protocol.VerifyAnswer{Export: "spring", Ledger: 5000, Sample: 100, Checked: 100, Differences: []protocol.VerifyDifference{}}
	b.answers(verifying, sealedAnswer{found})
	require.Equal(t, 0, b.run("verify", "spring"), b.err.String())
	require.Contains(t, b.out.String(), "100 of 5,000 contacts compared: 0 differences")
	require.Equal(t, protocol.VerifyRef{Export: "spring", ID: "v"}, args[protocol.VerifyRef](b, 1))

	found.Differences = append(found.Differences, protocol.VerifyDifference{Email: "a@example.com", Missing: []string{"segment_buyers"}})
	b.answers(verifying, sealedAnswer{found})
	require.Equal(t, 3, b.run("verify", "spring", "--sample", "100"))
	require.Contains(t, b.out.String(), "has no marker")
	found.Problem = "Omnisend refused the API key"
	b.answers(verifying, sealedAnswer{found})
	require.Equal(t, 1, b.run("verify", "spring"))
	require.Contains(t, b.err.String(), "ended early: Omnisend refused the API key")
	require.Equal(t, 2, b.run("verify", "spring", "--sample", "0"))
}
