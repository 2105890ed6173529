// Package reason makes the sentences that say why something stopped and what
// to do about it. They end up in Temporal, in logs, in mails and on terminals,
// so they never hold a value of a row.
package reason

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/dustin/go-humanize"
)

// MaxBytes is the longest that a Text gets.
const MaxBytes = 2 << 10

// Text is a sentence about what happened or what to do. However it was made,
// it is encoded (as JSON, in logs) as one line of at most MaxBytes.
type Text string

// Format formats a Text as fmt.Sprintf does.
func Format(format string, args ...any) Text { return Clean(fmt.Sprintf(format, args...)) }

// Clean makes a Text of any string: one line of valid UTF-8 without control
// characters and marks of direction, cut to MaxBytes.
func Clean(s string) Text {
	if len(s) <= MaxBytes && isClean(s) {
		return Text(s)
	}
	// What is far behind the bound cannot get into it; do not copy it.
	s = strings.ToValidUTF8(s[:min(len(s), 2*MaxBytes)], string(utf8.RuneError))
	s = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case isUnseen(r):
			return -1
		}
		return r
	}, s)
	return Text(cut(strings.Join(strings.Fields(s), " "), MaxBytes))
}

// isClean says that Clean would change nothing but the length.
func isClean(s string) bool {
	if !utf8.ValidString(s) {
		return false
	}
	for _, r := range s {
		if r != ' ' && unicode.IsSpace(r) || isUnseen(r) {
			return false
		}
	}
	return true
}

// isUnseen names characters that a terminal or a page obeys instead of showing.
func isUnseen(r rune) bool { return unicode.IsControl(r) || unicode.Is(unicode.Cf, r) }

// ellipsis ends what was cut.
const ellipsis = "…"

// cut shortens a text to at most so many bytes, between two characters.
func cut(s string, most int) string {
	if len(s) <= most {
		return s
	}
	end := most - len(ellipsis)
	for end > 0 && !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end] + ellipsis
}

// String returns the text as it is encoded.
func (t Text) String() string { return string(Clean(string(t))) }

// MarshalText encodes the text, see Clean.
func (t Text) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

const (
	// maxNames is how many names a list has at most.
	maxNames = 20
	// maxName is how many characters of a name are shown.
	maxName = 60
)

// Names lists names of columns, tables or segments, each in quotes: at most 20
// of them, and of each at most 60 characters. Only names that the user asked
// for or mapped belong in a message: what looks like a column's name may be a
// value, in a file without a header.
func Names(names ...string) string {
	shown := names[:min(len(names), maxNames)]
	quoted := make([]string, len(shown))
	for i, name := range shown {
		quoted[i] = strconv.Quote(shorten(name))
	}
	list := strings.Join(quoted, ", ")
	if more := len(names) - len(shown); more > 0 {
		list += fmt.Sprintf(" and %d more", more)
	}
	return list
}

// shorten cuts a name to maxName characters.
func shorten(name string) string {
	n := 0
	for i := range name {
		if n++; n > maxName {
			return name[:i] + ellipsis
		}
	}
	return name
}

// Count writes a number of things, with thousands separated so that a million is
// seen: "1 contact", "1,200 contacts".
func Count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return humanize.Comma(int64(n)) + " " + many
}
