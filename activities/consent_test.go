package activities

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/segment-export/segment-export/internal/contact"
	"github.com/segment-export/segment-export/internal/omnisend/sandbox"
)

// consents replaces the segment: an address, a consent and its date for each row.
func (s *steps) consents(rows ...string) {
	s.t.Helper()
	content := "Id,Email,Consent,Since\n"
	for i, row := range rows {
		content += string(rune('a'+i%26)) + "," + row + "\n"
	}
	require.NoError(s.t, os.WriteFile(filepath.Join(s.dir, "new"), []byte(content), 0o600))
	require.NoError(s.t, os.Rename(filepath.Join(s.dir, "new"), filepath.Join(s.dir, "buyers.csv")))
}

// mapsConsent makes the export carry consent by these rules.
func (s *steps) mapsConsent(rule contact.ConsentRule) {
	s.t.Helper()
	spec := s.export.ExportSpec
	spec.Mapping = contact.Mapping{contact.Email: "Email", contact.ConsentFlag: "Consent", contact.ConsentDate: "Since"}
	spec.Consent = rule
	s.remap(spec)
}

// A plan says how many contacts each option of consent decides about, whatever
// the export has set now.
func TestAPlanCountsWhatOptionsOfConsentDecide(t *testing.T) {
	s := newSteps(t, sandbox.Options{})
	s.consents("a@example.com,unsubscribed,", "b@example.com,unsubscribed,2025-12-10", "c@example.com,false,2025-12-10", "d@example.com,false,")
	for _, rule := range []contact.ConsentRule{{}, {UndatedOptOuts: contact.UndatedIgnore, Refusals: contact.RefusalsNone}} {
		s.mapsConsent(rule)
		r := s.finish(s.decide(s.read(s.takePlan())), "")
		require.Equal(t, []int{1, 1}, []int{r.Consent.UndatedOptOuts, r.Consent.DatedRefusals}, "%+v", rule)
	}
}
