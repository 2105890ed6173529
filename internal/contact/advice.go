package contact

import "strings"

// advice says of each reason what is wrong and what to do, in a few words. The
// reasons of sources and of deliveries stand here too, so that the command line,
// the console and a report say the same.
var advice = map[Reason]string{
	ReasonEmailMissing:  "the row has no address: fill it in at the source",
	ReasonEmailInvalid:  "no mail system accepts the address: correct it at the source",
	ReasonEmailTwo:      "the cell holds several addresses: keep one of them",
	ReasonEmailNotASCII: "a letter before the @, or the @ itself, is not ASCII: look for accents and full-width characters",
	ReasonEmailTooLong:  "the address is too long: at most 64 characters before the @, 254 in all",
	ReasonEmailDomain:   "there is no domain with a dot after the @",
	ReasonEmailDots:     "a dot before the @ is first, last or doubled; if such addresses are real, set --lenient-local-part for the export",

	"wrong_column_count": "the row has a value in a column without a name, or the file ends inside it: check separators and quotes",
	"invalid_utf8":       "the row is not in the encoding of the file: save the file as UTF-8, or name its encoding with --encoding",
	"row_too_long":       "the row is too long, or its mapped values exceed 64 KiB: map fewer fields, or shorten them at the source",
	"field_too_long":     "a mapped value is longer than 16 KiB: map another field, or shorten it at the source",
	"misplaced_quote":    "a quote is not doubled or not closed: correct the row; if the file writes \\\" for a quote, set --quote-escape backslash",
	"invalid_json":       "the line is not one JSON object: write one object a line",
	"nested_value":       "a mapped field is a list or an object: map a plain field",

	"no_profile":            "the member has no customer profile yet: run the export again after the refresh of Customer Insights",
	"unreadable_membership": "the customer's list of segments cannot be read: run the export again after the refresh of Customer Insights",

	"forgotten": "the address was forgotten with starter forget and is never sent",
}

// Advice says in a few words what is wrong and what to do; empty for a reason
// that is not known.
func (r Reason) Advice() string {
	text, ok := advice[r]
	code, _, _ := strings.Cut(string(r), " ")
	switch {
	case ok:
		return text
	case strings.HasPrefix(code, "no_verdict_after_"):
		return "Omnisend gave no result for the contact, however often it was sent: the next run sends it again"
	case code == "no_code":
		return "Omnisend turned the contact down without saying why: the next run sends it again"
	case len(code) == 3 && strings.Trim(code, "0123456789") == "":
		return "Omnisend refuses the contact: read its words in starter runs rejects and correct the field it names"
	}
	return ""
}
