package contact

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// cleanText makes a value fit to be sent: composed (NFC), trimmed, in one line,
// without characters that nobody sees or that reorder the text around them.
// Cleaning a clean text changes nothing. No length is imposed: Omnisend
// documents none.
func cleanText(s string) string {
	if isPlain(s) {
		return strings.Trim(s, " ")
	}
	return rewritten(s)
}

// rewritten is what cleanText makes of any text, plain or not.
func rewritten(s string) string {
	if strings.ContainsFunc(s, isRewritten) {
		s = rewriteRunes(s)
	}
	// Composed last: what was dropped may have parted a letter and its accent.
	return strings.TrimFunc(norm.NFC.String(s), isEdge)
}

// isRewritten tells the characters that may not stay as they are. Broken UTF-8
// reads as one of them.
func isRewritten(r rune) bool {
	return (r < ' ' || r > '~') && (r == utf8.RuneError || isBreak(r) || isUnseen(r))
}

// rewriteRunes drops or replaces what isRewritten tells.
func rewriteRunes(s string) string {
	var b strings.Builder
	b.Grow(len(s))
	for rest := s; rest != ""; {
		// A run of white space with a line break or tab in it becomes one space.
		if n, broken := spaceRun(rest); broken {
			b.WriteByte(' ')
			rest = rest[n:]
			continue
		} else if n > 0 {
			b.WriteString(rest[:n])
			rest = rest[n:]
			continue
		}
		r, n := utf8.DecodeRuneInString(rest)
		if r == utf8.RuneError && n == 1 {
			b.WriteRune(utf8.RuneError) // the source lets no invalid UTF-8 pass; JSON must never hold any
		} else if !isUnseen(r) {
			b.WriteString(rest[:n])
		}
		rest = rest[n:]
	}
	return b.String()
}

// isPlain tells that a text is printable ASCII and the letters and signs of
// U+00A1 to U+02FF, with which most names of Europe are written: all of these are
// composed, and none is white space or unseen but the soft hyphen.
func isPlain(s string) bool {
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c >= ' ' && c <= '~' {
			continue
		}
		// Two bytes of UTF-8, from U+0080 on.
		if c < 0xc2 || c > 0xcb || i+1 == len(s) {
			return false
		}
		i++
		next := s[i]
		if next < 0x80 || next > 0xbf || c == 0xc2 && (next <= 0xa0 || next == 0xad) {
			return false
		}
	}
	return true
}

// spaceRun measures the white space, and the unseen characters within it, that
// a text begins with, and tells whether a line break or tab is in it.
func spaceRun(s string) (length int, broken bool) {
	for i, r := range s {
		switch {
		case isBreak(r):
			broken = true
		case !unicode.IsSpace(r):
			if !broken || !isUnseen(r) {
				return i, broken
			}
		}
	}
	return len(s), broken
}

// isBreak tells which white space must not stay inside a field.
func isBreak(r rune) bool {
	switch r {
	case '\t', '\n', '\v', '\f', '\r', '\u0085', '\u2028', '\u2029':
		return true
	}
	return false
}

// isUnseen tells which characters are dropped: controls, and the invisible
// format characters that come in by copy and paste or could disguise a text.
// The zero-width joiners U+200C and U+200D stay: Persian, Indic scripts and
// emoji are spelt with them.
func isUnseen(r rune) bool {
	switch {
	case isBreak(r):
		return false
	case r < ' ', r >= 0x7f && r < 0xa0: // controls
		return true
	case r < 0xa0:
		return false
	case r == '\u00ad', // soft hyphen
		r == '\u200b', r == '\u2060', r == '\ufeff', // zero-width space, word joiner, byte-order mark
		r == '\u061c', r == '\u200e', r == '\u200f', // marks of direction
		r >= '\u202a' && r <= '\u202e', r >= '\u2066' && r <= '\u2069', // embeddings, overrides, isolates
		r >= '\u2061' && r <= '\u2064', r >= '\u206a' && r <= '\u206f', // invisible operators, deprecated controls
		r >= '\ufff9' && r <= '\ufffb',                     // interlinear annotation
		r >= '\ufdd0' && r <= '\ufdef', r&0xfffe == 0xfffe: // not characters at all
		return true
	}
	return false
}

// isEdge tells what is trimmed at both ends: a joiner there joins nothing.
func isEdge(r rune) bool {
	return unicode.IsSpace(r) || r == '\u200c' || r == '\u200d' || isUnseen(r)
}

// asciiLetters are Latin letters that do not come apart into a letter and an
// accent.
var asciiLetters = map[rune]string{
	'ß': "ss", 'æ': "ae", 'œ': "oe", 'ø': "o", 'ł': "l", 'đ': "d", 'ð': "d", 'þ': "th", 'ħ': "h", 'ı': "i", 'ŋ': "ng", 'ŧ': "t",
}

// fold lower-cases a text and strips its accents. Letters of other scripts stay.
func fold(s string) string {
	var b strings.Builder
	for _, r := range norm.NFKD.String(s) {
		if unicode.Is(unicode.Mn, r) {
			continue
		}
		r = unicode.ToLower(r)
		if ascii, ok := asciiLetters[r]; ok {
			b.WriteString(ascii)
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

const hexDigits = "0123456789abcdef"

// appendString appends a JSON string. Unlike encoding/json it leaves <, > and &
// as they are: this is no HTML, and a call's size is limited.
func appendString(dst []byte, s string) []byte {
	dst = append(dst, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c < utf8.RuneSelf {
			if c >= ' ' && c != '"' && c != '\\' {
				i++
				continue
			}
			dst = append(dst, s[start:i]...)
			switch c {
			case '"', '\\':
				dst = append(dst, '\\', c)
			case '\n':
				dst = append(dst, '\\', 'n')
			default:
				dst = append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&0xf])
			}
			i++
			start = i
			continue
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && n == 1 {
			dst = append(dst, s[start:i]...)
			dst = append(dst, "\ufffd"...)
			start = i + 1
		}
		i += n
	}
	dst = append(dst, s[start:]...)
	return append(dst, '"')
}
