package files

import (
	"bytes"
	"regexp"
)

// mistaken are files of other kinds that people call .csv, and what to do about
// them.
var mistaken = []struct {
	prefix string         // of its bytes
	starts *regexp.Regexp // or of its text
	says   string
}{
	{"PK\x03\x04", nil, "the file is a ZIP archive or an Excel workbook; call a workbook .xlsx, or save it as CSV in UTF-8"},
	{"\x1f\x8b", nil, "the file is compressed; unpack it first, or call it .csv.gz"},
	{"\xd0\xcf\x11\xe0", nil, "the file is a workbook of an older Excel, or has a password; save it as .xlsx without a password, or as CSV in UTF-8"},
	{"PAR1", nil, "the file is Parquet; call it .parquet"},
	{"%PDF-", nil, "the file is a PDF document; export the data as CSV in UTF-8"},
	{"", regexp.MustCompile(`^(?i:\s*<(?:!doctype|html|\?xml)\b)`), "the file is a web page or XML; was a login page saved in place of the export? Export the data as CSV in UTF-8"},
	{"", regexp.MustCompile(`^\s*(?:\{\s*"|\[\s*\{)`), "the file is JSON; write one object a line, not a list, and call it .ndjson"},
}

// mistakenFor says what a file is by its first bytes; empty when it may be what
// it is called.
func mistakenFor(start []byte) string {
	start = bytes.TrimPrefix(start, utf8BOM)
	for _, m := range mistaken {
		if m.prefix != "" && bytes.HasPrefix(start, []byte(m.prefix)) || m.starts != nil && m.starts.Match(start) {
			return m.says
		}
	}
	return ""
}

// looksLikeText says that bytes are the start of a text in an encoding that
// agrees with ASCII.
func looksLikeText(start []byte) bool {
	return len(start) > 0 && bytes.IndexFunc(start, func(c rune) bool { return c < ' ' && c != '\t' && c != '\r' && c != '\n' }) < 0
}
