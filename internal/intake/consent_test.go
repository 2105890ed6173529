package intake_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/segment-export/segment-export/internal/catalogue"
	"github.com/segment-export/segment-export/internal/contact"
	"github.com/segment-export/segment-export/internal/delivery/deliverytest"
	"github.com/segment-export/segment-export/internal/job"
	"github.com/segment-export/segment-export/internal/omnisend/omnisendtest"
	"github.com/segment-export/segment-export/internal/omnisend/sandbox"
	"github.com/segment-export/segment-export/internal/record"
	"github.com/segment-export/segment-export/internal/run"
	"github.com/segment-export/segment-export/internal/spool"
)

// consents replaces the segment: an address, a consent and its date for each row.
func (s *steps) consents(rows ...string) {
	s.T.Helper()
	content := "Id,Email,Consent,Since\n"
	for i, row := range rows {
		content += string(rune('a'+i%26)) + "," + row + "\n"
	}
	require.NoError(s.T, os.WriteFile(filepath.Join(s.Dir, "new"), []byte(content), 0o600))
	require.NoError(s.T, os.Rename(filepath.Join(s.Dir, "new"), filepath.Join(s.Dir, "buyers.csv")))
}

// mapsConsent makes the export carry consent by these rules.
func (s *steps) mapsConsent(rule contact.ConsentRule) {
	s.T.Helper()
	spec := s.Export.ExportSpec
	spec.Mapping = contact.Mapping{contact.Email: "Email", contact.ConsentFlag: "Consent", contact.ConsentDate: "Since"}
	spec.Consent = rule
	s.Remap(spec)
}

// A plan says how many contacts each option of consent decides about, whatever
// the export has set now.
func TestAPlanCountsWhatOptionsOfConsentDecide(t *testing.T) {
	s := newSteps(t, sandbox.Options{})
	s.consents("a@example.com,unsubscribed,", "b@example.com,unsubscribed,2025-12-10", "c@example.com,false,2025-12-10", "d@example.com,false,")
	for _, rule := range []contact.ConsentRule{{}, {UndatedOptOuts: contact.UndatedIgnore, Refusals: contact.RefusalsNone}} {
		s.mapsConsent(rule)
		r := s.Finish(s.Decide(s.Read(s.TakePlan())), "")
		require.Equal(t, []int{1, 1}, []int{r.Consent.UndatedOptOuts, r.Consent.DatedRefusals}, "%+v", rule)
	}
}

// A ledger of before these rules remembers nothing of consent, and what it sent
// of opt-outs without a date and of dated refusals changed nothing. The first run
// after that asks, until one is approved and complete; none asks after it.
func TestALedgerOfFormerRulesAsksOnce(t *testing.T) {
	s := newSteps(t, sandbox.Options{})
	rows := []string{"out1@example.com,unsubscribed,", "out2@example.com,opted-out,", "refusal@example.com,false,2025-12-10", "no@example.com,false,"}
	for i := range 20 {
		rows = append(rows, fmt.Sprintf("in%d@example.com,true,2025-03-01", i))
	}
	subscribed := time.Date(2025, 6, 1, 9, 0, 0, 0, time.UTC)
	for _, email := range []string{"out1@example.com", "out2@example.com", "refusal@example.com", "no@example.com"} {
		s.Target.Sandbox.Seed(omnisendtest.Brand, sandbox.Contact{Email: email, Status: "subscribed", StatusChangedAt: subscribed})
	}
	s.consents(rows...)
	s.mapsConsent(contact.ConsentRule{UndatedOptOuts: contact.UndatedIgnore, Refusals: contact.RefusalsNone})
	require.Equal(t, len(rows), s.Run().New)
	require.Equal(t, "subscribed", s.At("out1@example.com").Status)
	s.forgetsConsent()
	s.mapsConsent(contact.ConsentRule{})

	asks := func(r *run.Report) {
		t.Helper()
		require.Len(t, r.Guards, 1)
		require.Equal(t, catalogue.GuardOptOuts, r.Guards[0].Guard)
		require.Contains(t, r.Guards[0].Message, "the rules of opt-outs have changed: 3 contacts would be unsubscribed (2 opted out without a date, 1 refused with a date)")
		require.Equal(t, []int{3, len(rows) - 3}, []int{r.ToSend, r.Unchanged}, "nobody else changes")
	}
	r := s.Begin(run.Request{Yes: true})
	asks(r)
	deliverytest.RefusedByStore(t, s.TryUpload(r.RunID, job.FirstUpload(0)))
	s.Finish(r, run.Canceled)
	require.Equal(t, "subscribed", s.At("out1@example.com").Status)

	r = s.Begin(run.Request{})
	asks(r)
	s.Approve(r.RunID, catalogue.GuardOptOuts)
	s.Upload(r)
	s.Sweep(r)
	require.Equal(t, run.Completed, s.Finish(r, "").Status)
	for email, status := range map[string]string{"out1@example.com": "unsubscribed", "out2@example.com": "unsubscribed", "refusal@example.com": "unsubscribed",
		"no@example.com": "subscribed", "in0@example.com": "subscribed"} {
		require.Equal(t, status, s.At(email).Status, email)
	}

	s.consents(append(rows, "out3@example.com,unsubscribed,")...)
	r = s.Begin(run.Request{})
	require.Empty(t, r.Guards, "it was asked once")
	require.Equal(t, []int{1, len(rows)}, []int{r.ToSend, r.Unchanged})
}

// forgetsConsent makes the ledger one of before consent was remembered.
func (s *steps) forgetsConsent() {
	s.T.Helper()
	for shard := range contact.Shards {
		require.NoError(s.T, s.Ledgers().ChangeEntries(s.T.Context(), s.Export.Name, shard, func(e spool.Entry) *spool.Entry {
			e.Memory = contact.Memory{}
			return &e
		}))
	}
	n, _, err := s.Ledgers().Note(s.T.Context(), s.Export.Name)
	require.NoError(s.T, err)
	n.ConsentRules = 0
	require.NoError(s.T, s.Store.SaveLedgerMeta(s.T.Context(), s.Export.Name, record.Encode(n)))
}

// A run with an opt-out that changes nothing at Omnisend is completed with
// rejects, each time, whatever kept the opt-out from its effect.
func TestOptOutsWithoutEffectAreRejects(t *testing.T) {
	const good = "in@example.com,true,2025-03-01"
	for name, test := range map[string]struct {
		row     string
		rule    contact.ConsentRule
		poison  []string
		without int
		want    run.Status
	}{
		"all have effect":       {row: "out@example.com,unsubscribed,", want: run.Completed},
		"ignored by the export": {row: "out@example.com,unsubscribed,", rule: contact.ConsentRule{UndatedOptOuts: contact.UndatedIgnore}, without: 1, want: run.CompletedWithRejects},
		"of an invalid row":     {row: "out.example.com,unsubscribed,2025-12-10", without: 1, want: run.CompletedWithRejects},
		"refused by Omnisend":   {row: "out@example.com,unsubscribed,2025-12-10", poison: []string{"out@example.com"}, without: 1, want: run.CompletedWithRejects},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSteps(t, sandbox.Options{Faults: sandbox.Faults{PoisonCalls: test.poison}})
			s.mapsConsent(test.rule)
			s.consents(good, test.row)
			for range 2 {
				r := s.Run()
				require.Equal(t, test.without, r.Consent.WithoutEffect)
				require.Equal(t, test.want, r.Status)
				require.Equal(t, test.want, s.Stored(r.RunID).Status)
			}
		})
	}
}
