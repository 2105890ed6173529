package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"

	"github.com/segment-export/segment-export/activities"
	"github.com/segment-export/segment-export/internal/catalogue"
	"github.com/segment-export/segment-export/internal/omnisend/omnisendtest"
	"github.com/segment-export/segment-export/internal/omnisend/sandbox"
	"github.com/segment-export/segment-export/internal/protocol"
	"github.com/segment-export/segment-export/internal/run"
	"github.com/segment-export/segment-export/internal/store"
)

// people is a segment of members with the numbers from to below to; those in
// renamed have another name than before.
func people(from, to int, renamed ...int) []byte {
	var b strings.Builder
	b.WriteString("CustomerId,Email,FirstName\n")
	for n := from; n < to; n++ {
		name := "Ann"
		for _, r := range renamed {
			if r == n {
				name = "Zoe"
			}
		}
		fmt.Fprintf(&b, "c%d,p%d@example.com,%s\n", n, n, name)
	}
	return []byte(b.String())
}

// refreshed is a shop with a small segment that a test knows by heart.
func refreshed(t *testing.T) *shop {
	t.Helper()
	s := newShop(t, 1, sandbox.Options{Seed: 5})
	s.replace(people(0, 300))
	s.open(activities.Tuning{BatchSize: 50})
	s.must("source", "add", "crm", "--kind", "files", "--path", "segments")
	s.must("connection", "add", "Spring shop", "--api-key-file", s.path("key.txt"), "--agree", "--calls-per-minute", "0")
	s.must("export", "add", "spring", "--connection", "Spring shop", "--source", "crm", "--segment", "spring_buyers",
		"--id", "CustomerId", "--map", "email=Email", "--map", "first-name=FirstName")
	return s
}

// marked counts the contacts that carry a marker.
func (s *shop) marked(marker string) int {
	n := 0
	for _, c := range s.sandbox.Contacts(omnisendtest.Brand) {
		if c.Properties[marker] == true {
			n++
		}
	}
	return n
}

// uploads counts POST /batches.
func (s *shop) uploads() int { return s.sandbox.Stats(omnisendtest.Brand).Batches }

// noted is run for a report that tells something in notes.
func (s *shop) noted(want int, args ...string) run.Report {
	s.t.Helper()
	code, out, errs := s.starter(append(args, "--output", "json")...)
	require.Equal(s.t, want, code, "%v: %s%s", args, out, errs)
	var r run.Report
	require.NoError(s.t, json.Unmarshal([]byte(out), &r))
	require.NoError(s.t, r.Check())
	return r
}

// change edits the export in the store.
func (s *shop) change(edit func(*catalogue.Export)) {
	s.t.Helper()
	o, err := s.store.Object(s.t.Context(), string(catalogue.KindExport), "spring")
	require.NoError(s.t, err)
	var e catalogue.Export
	require.NoError(s.t, json.Unmarshal(o.Body, &e))
	edit(&e)
	o.Body, err = json.Marshal(e)
	require.NoError(s.t, err)
	require.NoError(s.t, s.store.UpdateObject(s.t.Context(), o))
}

const marker = "segment_spring_buyers"

// A first real test sends few, says that it was one, and leaves the whole
// segment to the first run, which asks as if nothing had been sent.
func TestCanary(t *testing.T) {
	t.Parallel()
	s := refreshed(t)
	r := s.noted(4, "run", "spring", "--limit", "10")
	require.Contains(t, r.Reason, "the first run would send 10 contacts")
	s.must("runs", "cancel", "spring")
	s.eventually("the run is canceled", func() bool { return s.show().Status == run.Canceled })

	r = s.noted(0, "run", "spring", "--limit", "10", "--yes")
	require.Equal(t, run.Completed, r.Status)
	require.Equal(t, &run.Canary{Limit: 10, Sends: 10}, r.Canary)
	require.Equal(t, []int{300, 10, 290}, []int{r.Contacts, r.New, r.Unsent})
	require.Equal(t, 10, s.marked(marker))

	var unsent string
	for n := range 300 {
		unsent = fmt.Sprintf("p%d@example.com", n)
		if _, there := s.sandbox.Contacts(omnisendtest.Brand)[unsent]; !there {
			break
		}
	}
	r = s.noted(0, "run", "spring", "--only-email", strings.ToUpper(unsent), "--yes")
	require.Equal(t, []int{1, 10, 289}, []int{r.New, r.Unchanged, r.Unsent})
	require.Equal(t, &run.Canary{Address: true, Sends: 1}, r.Canary)
	require.Contains(t, s.sandbox.Contacts(omnisendtest.Brand), unsent)
	r = s.noted(0, "run", "spring", "--only-email", "nobody@example.com", "--yes")
	require.Zero(t, r.Delivered)
	require.Contains(t, strings.Join(r.Notes, ""), "not among the contacts")

	// Some leave before the first whole run: only a whole run looks at that.
	s.replace(people(0, 295))
	r = s.noted(4, "run", "spring")
	require.Contains(t, r.Reason, "guard first-run")
	require.NotContains(t, r.Reason, "shrunk")
	s.must("runs", "approve", "spring", "--guard", "first-run")
	s.eventually("the run completes", func() bool { return s.show().Status.Complete() })
	require.Equal(t, 295, s.marked(marker))
	require.NotContains(t, s.text("runs", "show", "spring"), "canary")
}

func (s *shop) text(args ...string) string {
	s.t.Helper()
	return s.must(args...)
}

// A refresh does what its plan says, and nothing else is sent.
func TestPlanTellsWhatARefreshDoes(t *testing.T) {
	t.Parallel()
	s := refreshed(t)
	s.run("--yes")
	before := s.uploads()
	_, r := s.run()
	require.Equal(t, []int{300, 0, before}, []int{r.Unchanged, r.Calls, s.uploads()})
	require.NotEmpty(t, r.Phases)
	require.Equal(t, run.PhasePreflight, r.Phases[0].Phase)
	require.Equal(t, run.PhaseFinish, r.Phases[len(r.Phases)-1].Phase)

	s.replace(append(people(5, 302, 100, 101), "c999,not an address,Bob\n"...))
	var plan struct {
		run.Report
		Samples protocol.SamplesAnswer
	}
	require.NoError(t, json.Unmarshal([]byte(s.must("plan", "spring", "--output", "json")), &plan))
	require.Equal(t, []int{2, 2, 5, 1}, []int{plan.New, plan.Changed, plan.LeaversDue, plan.Invalid})
	require.Len(t, plan.Samples.New, 2)
	require.Len(t, plan.Samples.Changed, 2)
	require.Equal(t, []string{"profile"}, plan.Samples.Changed[0].Differs)
	require.Contains(t, string(plan.Samples.Changed[0].Contact), `"firstName":"Zoe"`)
	require.Len(t, plan.Samples.Leavers, 3)
	require.Equal(t, []protocol.Reject{{Segment: "spring_buyers", Row: 299, ID: "c999", Email: "not an address", Reason: "email_invalid"}}, plan.Samples.Invalid)
	require.Equal(t, before, s.uploads(), "a plan sends nothing")

	r = s.noted(3, "run", "spring")
	require.Equal(t, []int{2, 2, 5}, []int{r.New, r.Changed, r.Leavers})
	require.Equal(t, 297, s.marked(marker), "leavers lose exactly their marker")
	require.Len(t, s.sandbox.Contacts(omnisendtest.Brand), 302)

	var shown protocol.RunAnswer
	require.NoError(t, json.Unmarshal([]byte(s.must("runs", "show", "spring", "--output", "json")), &shown))
	require.Equal(t, []int{-2, 4, 5}, []int{shown.Difference.Numbers["read"], shown.Difference.Numbers["delivered"], shown.Difference.Numbers["leavers"]})
	require.Equal(t, map[string]int{"spring_buyers": -3}, shown.Difference.Members)
	var page protocol.RunsPage
	require.NoError(t, json.Unmarshal([]byte(s.must("runs", "list", "--limit", "2", "--output", "json")), &page))
	require.Equal(t, shown.RunID, page.Runs[0].RunID)
	require.NoError(t, json.Unmarshal([]byte(s.must("runs", "list", "--limit", "2", "--page", page.Next, "--output", "json")), &page))
	require.Len(t, page.Runs, 1)
	require.Equal(t, 300, page.Runs[0].New, "the first run")

	// A renamed marker is cleared in the contact that sets the new one.
	s.change(func(e *catalogue.Export) { e.Segments[0].Marker = "buyers" })
	text := s.must("plan", "spring")
	require.Contains(t, text, "the segments and markers have changed since the last complete run: that makes 297 of 297 contacts changed")
	r = s.noted(3, "run", "spring")
	require.Equal(t, []int{297, 0}, []int{r.Changed, r.Leavers})
	require.Equal(t, []string{"segments and markers"}, r.NewRules)
	require.Equal(t, []int{297, 0}, []int{s.marked("buyers"), s.marked(marker)})
	r = s.noted(3, "run", "spring")
	require.Equal(t, 297, r.Unchanged)
	require.Empty(t, r.NewRules)

	// A full run now and then is due without a request.
	s.must("export", "edit", "spring", "--full-every", "30")
	_, r = s.run()
	require.Equal(t, 297, r.Unchanged, "the first run was a full one, today")
	require.False(t, r.Full)
}

// Refused contacts wait for other data or for a person who asks, and leave
// nothing behind when they are gone from the segment.
func TestRefusedContactsAreTriedAgain(t *testing.T) {
	t.Parallel()
	s := refreshed(t)
	require.NoError(t, s.sandbox.SetFaults(sandbox.Faults{PoisonItems: []string{"p7@example.com", "p8@example.com"}}))
	r := s.noted(3, "run", "spring", "--yes")
	require.Equal(t, []int{298, 2}, []int{r.New, r.Refused})
	require.NoError(t, s.sandbox.SetFaults(sandbox.Faults{}))
	r = s.noted(3, "run", "spring")
	require.Equal(t, []int{298, 2, 0}, []int{r.Unchanged, r.Refused, r.Calls})

	s.replace(people(0, 300, 7))
	r = s.noted(3, "run", "spring")
	require.Equal(t, []int{1, 298, 1}, []int{r.New, r.Unchanged, r.Refused})
	require.NoError(t, s.sandbox.SetFaults(sandbox.Faults{PoisonItems: []string{"p8@example.com"}}))
	r = s.noted(3, "runs", "retry-rejects", "spring")
	require.True(t, r.Retry)
	require.Equal(t, []int{0, 299, 1, 1}, []int{r.New, r.Unchanged, r.Refused, r.Calls})

	// It leaves: nothing is sent for it, and the ledger forgets it.
	require.NoError(t, s.sandbox.SetFaults(sandbox.Faults{}))
	without := strings.Replace(string(people(0, 300, 7)), "c8,p8@example.com,Ann\n", "", 1)
	s.replace([]byte(without))
	r = s.noted(0, "run", "spring")
	require.Equal(t, []int{299, 0, 0}, []int{r.Unchanged, r.Leavers, r.Calls})
	var reset protocol.ExportResetAnswer
	require.NoError(t, json.Unmarshal([]byte(s.must("export", "edit", "spring", "--reset-ledger", "--output", "json")), &reset))
	require.Equal(t, []int{299, 0}, []int{reset.Held.Contacts, reset.Held.Refused})

	// The audience is there: it is taken over without sending anything.
	before := s.uploads()
	code, _, errs := s.starter("run", "spring")
	require.Equal(t, 4, code, "it is like the first run: %s", errs)
	s.must("runs", "cancel", "spring")
	s.eventually("the run is canceled", func() bool { return s.show().Status == run.Canceled })
	r = s.noted(0, "run", "spring", "--adopt")
	require.Equal(t, []int{299, 299, 0, before}, []int{r.Adopted, r.Unchanged, r.Unsent, s.uploads()})
	code, _, errs = s.starter("run", "spring", "--adopt")
	require.Equal(t, 1, code)
	require.Contains(t, errs, "holds 299 contacts already")
	r = s.noted(0, "run", "spring")
	require.Equal(t, []int{299, 0, before}, []int{r.Unchanged, r.Calls, s.uploads()})
}

// An audience of which too few carry the marker is not taken over, and an
// export is removed with or without its markers.
func TestForeignAudienceAndRemoval(t *testing.T) {
	t.Parallel()
	s := refreshed(t)
	for n := range 300 {
		c := sandbox.Contact{Email: fmt.Sprintf("p%d@example.com", n), Properties: map[string]any{}}
		if n%10 > 0 {
			c.Properties[marker] = true
		}
		s.sandbox.Seed(omnisendtest.Brand, c)
	}
	code, _, _ := s.starter("run", "spring", "--adopt")
	require.Equal(t, 1, code)
	r := s.show()
	require.NoError(t, r.Check())
	require.Equal(t, run.Failed, r.Status)
	require.Contains(t, r.Reason, "of 200 sampled contacts carry the markers")
	require.Equal(t, []int{0, 300, 0}, []int{r.Unchanged, r.Unsent, s.uploads()})

	s.run("--yes")
	require.Equal(t, 300, s.marked(marker))
	code, _, errs := s.starter("export", "remove", "spring")
	require.Equal(t, 2, code)
	require.Contains(t, errs, "300 contacts carry markers")
	r = s.noted(0, "export", "remove", "spring", "--markers", "clear")
	require.Equal(t, 300, r.Leavers)
	require.Zero(t, s.marked(marker))
	require.Len(t, s.sandbox.Contacts(omnisendtest.Brand), 300)
	require.Contains(t, s.must("export", "list"), "No exports yet")
	require.Zero(t, s.sandbox.Stats(omnisendtest.Brand).Resubscribed)
}

// A person is looked up and forgotten: nothing of them is kept, later runs
// leave them out, and it can be taken back. The address stands nowhere in clear.
func TestSomebodyIsLookedUpAndForgotten(t *testing.T) {
	t.Parallel()
	s := refreshed(t)
	s.replace(append(people(0, 300), "c900,P5@example.com ,Twice\nc901,p7 at example.com,Bad\n"...))
	require.NoError(t, s.sandbox.SetFaults(sandbox.Faults{PoisonItems: []string{"p6@example.com"}}))
	s.noted(3, "run", "spring", "--yes")
	explain := func(address string) protocol.ExplainAnswer {
		var a protocol.ExplainAnswer
		require.NoError(t, json.Unmarshal([]byte(s.must("explain", address, "--output", "json")), &a))
		return a
	}
	x := explain("P5@Example.com").Exports[0]
	require.Equal(t, protocol.VerdictConfirmed, x.Verdict)
	require.Equal(t, []string{marker}, x.Markers)
	require.Equal(t, s.show().RunID, x.LastRun)
	x = explain("p6@example.com").Exports[0]
	require.Equal(t, protocol.VerdictRefused, x.Verdict)
	require.Len(t, x.Rejects, 1)
	require.Contains(t, x.Next, "retry-rejects spring")
	require.Equal(t, protocol.VerdictUnknown, explain("nobody@example.com").Exports[0].Verdict)

	for _, address := range []string{"p5@example.com", "P6@example.com"} {
		var forgot protocol.ForgetAnswer
		require.NoError(t, json.Unmarshal([]byte(s.must("forget", address, "--output", "json")), &forgot))
		require.Equal(t, []string{"spring"}, forgot.Ledgers)
		require.Empty(t, forgot.OpenRuns)
		a := explain(address)
		require.True(t, a.Forgotten)
		require.Equal(t, protocol.VerdictUnknown, a.Exports[0].Verdict)
		require.Empty(t, a.Exports[0].Rejects)
	}
	require.NotContains(t, s.must("runs", "rejects", "spring"), "p6@example.com")
	require.NoError(t, s.sandbox.SetFaults(sandbox.Faults{}))
	r := s.noted(3, "run", "spring")
	require.Equal(t, []int{298, 298, 0, 3, 4}, []int{r.Contacts, r.Unchanged, r.Leavers, r.Reasons["forgotten"], r.Invalid})
	rejects := s.must("runs", "rejects", "spring", "--output", "json")
	require.Equal(t, 3, strings.Count(rejects, `"forgotten"`))
	require.NotContains(t, rejects, "p5@")
	require.NotContains(t, rejects, "c900")

	s.must("forget", "p5@example.com", "--allow-again")
	code, _, _ := s.starter("forget", "p5@example.com", "--allow-again")
	require.Equal(t, 1, code)
	r = s.noted(3, "run", "spring")
	require.Equal(t, []int{299, 1, 1}, []int{r.Contacts, r.New, r.Reasons["forgotten"]})

	entries, err := s.store.AuditEntries(t.Context(), store.AuditFilter{})
	require.NoError(t, err)
	about := map[string]int{}
	for _, e := range entries {
		if e.Command == "explain" || e.Command == "forget" {
			require.Regexp(t, "^address [0-9a-f]{16}$", e.Object)
			about[e.Object]++
		}
	}
	require.Len(t, about, 3)
	s.nothingInClear("p5@example.com", "p6@example.com", "nobody@example.com")
}

// nothingInClear searches every file of the data directory.
func (s *shop) nothingInClear(secrets ...string) {
	s.t.Helper()
	require.NoError(s.t, filepath.WalkDir(s.path("data"), func(path string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		content, err := os.ReadFile(path)
		require.NoError(s.t, err)
		lower := strings.ToLower(string(content))
		for _, secret := range secrets {
			require.NotContains(s.t, lower, secret, path)
		}
		return nil
	}))
}

// What the account no longer has as it was confirmed is found by a sample, and
// put right by a full run.
func TestVerifyFindsWhatTheAccountLost(t *testing.T) {
	t.Parallel()
	s := refreshed(t)
	s.run("--yes")
	require.Contains(t, s.must("verify", "spring"), "100 of 300 contacts compared: 0 differences")
	s.record("verify", protocol.VerifyWorkflowType, enumspb.WORKFLOW_EXECUTION_STATUS_COMPLETED)
	s.record("command", protocol.CommandWorkflowType, enumspb.WORKFLOW_EXECUTION_STATUS_COMPLETED)
	s.record("read", protocol.ReadWorkflowType, enumspb.WORKFLOW_EXECUTION_STATUS_COMPLETED)
	lost := s.sandbox.Contacts(omnisendtest.Brand)["p7@example.com"]
	lost.Properties = map[string]any{}
	s.sandbox.Seed(omnisendtest.Brand, lost)
	code, out, _ := s.starter("verify", "spring", "--sample", "300", "--output", "json")
	require.Equal(t, 3, code)
	var found protocol.VerifyAnswer
	require.NoError(t, json.Unmarshal([]byte(out), &found))
	require.Equal(t, []int{300, 300, 300}, []int{found.Ledger, found.Sample, found.Checked})
	require.Len(t, found.Differences, 1)
	require.Equal(t, "p7@example.com", found.Differences[0].Email)
	require.Equal(t, []string{marker}, found.Differences[0].Missing)
	r := s.noted(0, "run", "spring", "--full")
	require.Equal(t, 300, r.Changed)
	require.Contains(t, s.must("verify", "spring", "--sample", "300"), "0 differences")
	s.nothingInClear("p7@example.com")
}
