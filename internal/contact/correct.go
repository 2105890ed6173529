package contact

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Correction is a correction of an address that has only one reading; a short code
// without personal data.
type Correction string

// The corrections.
const (
	CorrectedInvisible   Correction = "invisible marks"
	CorrectedTextMark    Correction = "apostrophe of a spreadsheet"
	CorrectedQuotes      Correction = "quotes"
	CorrectedMailto      Correction = "mailto:"
	CorrectedName        Correction = "name beside the address"
	CorrectedBrackets    Correction = "angle brackets"
	CorrectedTrailingDot Correction = "trailing dot"
	CorrectedSeparator   Correction = "trailing comma or semicolon"
)

// placeholders stand for nothing, in lower case.
var placeholders = map[string]bool{
	"null": true, "(null)": true, "<null>": true, "[null]": true, "nil": true, "none": true, "nan": true, "undefined": true, `\n`: true,
	"#n/a": true, "#n/d": true, "#na": true, "n/a": true, "n.a.": true, "na": true, "#null!": true, "#ref!": true, "#value!": true,
	"-": true, "--": true, "---": true, "–": true, "—": true, ".": true, "?": true,
}

// isPlaceholder tells a text that stands for nothing, in upper or lower case.
func isPlaceholder(s string) bool {
	return len(s) <= longestPlaceholder && placeholders[strings.ToLower(s)]
}

// longestPlaceholder is more bytes than any placeholder has: an upper-case letter
// may be longer than its lower-case one.
const longestPlaceholder = 20

// correct corrects what surrounds an address where there is one reading, and returns
// what it did.
func (m *Mapper) correct(s string) (string, Reason) {
	s = m.visible(s)
	if s == "" || isPlaceholder(s) {
		return "", ReasonEmailMissing
	}
	if strings.HasPrefix(s, "'") {
		// An apostrophe in front is a spreadsheet's mark of a text; one behind as
		// well makes it a quote.
		s = strings.TrimSuffix(s[1:], "'")
		m.corrected = append(m.corrected, CorrectedTextMark)
	}
	if n := len(s); n > 2 && s[0] == '"' && s[n-1] == '"' && !strings.Contains(s[1:n-1], `"`) {
		s = s[1 : n-1]
		m.corrected = append(m.corrected, CorrectedQuotes)
	}
	if trimmed := strings.TrimRight(s, ",; "); trimmed != s {
		s = trimmed
		m.corrected = append(m.corrected, CorrectedSeparator)
	}
	s, reason := m.bare(s)
	if reason != "" {
		return "", reason
	}
	if rest, ok := strings.CutSuffix(s, "."); ok && rest != "" && !strings.HasSuffix(rest, ".") && strings.Contains(rest, "@") {
		s = rest
		m.corrected = append(m.corrected, CorrectedTrailingDot)
	}
	return s, ""
}

// bare takes an address out of its brackets, and out of a link.
func (m *Mapper) bare(s string) (string, Reason) {
	if open := strings.IndexByte(s, '<'); open >= 0 && strings.HasSuffix(s, ">") {
		name, inner := strings.TrimSpace(s[:open]), strings.TrimSpace(s[open+1:len(s)-1])
		switch {
		case strings.ContainsAny(inner, "<>"):
			return "", wrongSigns(s)
		case name == "":
			m.corrected = append(m.corrected, CorrectedBrackets)
		case strings.Contains(name, "@") && !strings.EqualFold(strings.Trim(name, `"'`), inner):
			return "", ReasonEmailTwo // the name is another address
		default:
			m.corrected = append(m.corrected, CorrectedName)
		}
		s = inner
	}
	if len(s) > len("mailto:") && strings.EqualFold(s[:len("mailto:")], "mailto:") {
		s, _, _ = strings.Cut(s[len("mailto:"):], "?")
		m.corrected = append(m.corrected, CorrectedMailto)
	}
	return s, ""
}

// visible drops what nobody sees: white space and marks at both ends, and marks
// anywhere. An address has no use for the joiners that texts are spelt with.
func (m *Mapper) visible(s string) string {
	s = strings.TrimFunc(s, unicode.IsSpace)
	if isPlain(s) || !strings.ContainsFunc(s, isMark) {
		return s
	}
	m.corrected = append(m.corrected, CorrectedInvisible)
	var b strings.Builder
	for i, r := range s {
		switch {
		case r == utf8.RuneError:
			_, n := utf8.DecodeRuneInString(s[i:])
			b.WriteString(s[i : i+n]) // broken text stays broken
		case !isMark(r):
			b.WriteRune(r)
		}
	}
	return strings.TrimFunc(b.String(), unicode.IsSpace)
}

// isMark tells the characters that nobody sees. A control character is none: it
// says that the text is damaged.
func isMark(r rune) bool {
	return r == '\u200c' || r == '\u200d' || r >= 0xa0 && isUnseen(r)
}
