package catalogue

import (
	"cmp"

	"github.com/segment-export/segment-export/internal/contact"
	"github.com/segment-export/segment-export/internal/dates"
)

// Dates say how the dates of a source, or of one export, are written. What an
// export says counts before what its source says.
type Dates struct {
	TimeZone   string `json:"time_zone,omitempty"`   // IANA name, of dates that name no zone; empty: UTC
	DateFormat string `json:"date_format,omitempty"` // see dates.NewReader; empty: what has only one meaning
}

// Check says whether dates can be read like that.
func (d Dates) Check() error {
	if _, err := dates.NewReader(d.DateFormat, d.TimeZone); err != nil {
		return invalid("%v", err)
	}
	return nil
}

// ContactRules are how rows of a source become contacts.
func (e *ExportSpec) ContactRules(s Source) (contact.Rules, error) {
	reader, err := dates.NewReader(cmp.Or(e.DateFormat, s.DateFormat), cmp.Or(e.TimeZone, s.TimeZone))
	return contact.Rules{Consent: e.Consent, Dates: reader, LenientLocalPart: e.LenientLocalPart}, err
}
