package contact

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/idna"
)

// Limits of RFC 5321, section 4.5.3.1, and RFC 1035: octets of an address (the
// path of 256 without its angle brackets), of its local part, and of one label.
const (
	maxAddress = 254
	maxLocal   = 64
	maxLabel   = 63
)

// maxCached bounds the caches of a Mapper: values that repeat are few.
const maxCached = 8192

// NormaliseEmail returns an address in the one form in which it is sent and
// compared, and false for one that is never sent, not even by an export that
// takes lenient local parts.
func NormaliseEmail(s string) (string, bool) {
	m := Mapper{domains: map[string]string{}, lenient: true}
	email, reason := m.normaliseEmail(s)
	return email, reason == ""
}

// normaliseEmail returns the address in the one form in which it is sent and
// compared: corrected where there is one reading (see correct.go), lower case,
// international domain as A-labels. Omnisend does not say what it accepts; this
// is stricter than RFC 5322 (no quoted local part, no address literal, no
// non-ASCII local part), so that what is sent is what any mail system takes.
func (m *Mapper) normaliseEmail(s string) (string, Reason) {
	s, reason := m.correct(s)
	if reason != "" {
		return "", reason
	}
	at := strings.IndexByte(s, '@')
	if at <= 0 || strings.IndexByte(s[at+1:], '@') >= 0 {
		return "", wrongSigns(s)
	}
	if reason := m.checkLocal(s[:at]); reason != "" {
		return "", reason
	}
	domain, ok := m.domain(s[at+1:])
	switch {
	case ok && at+1+len(domain) > maxAddress:
		return "", ReasonEmailTooLong
	case !ok:
		return "", wrongDomain(s[at+1:])
	}
	// In ASCII, lower-casing and NFC cannot turn one address into another. (In
	// Unicode they could: the Kelvin sign becomes a k, hence the check before.)
	return lowerASCII(s[:at]) + "@" + domain, ""
}

// wrongSigns says what is wrong with a text that has not one @ after something.
func wrongSigns(s string) Reason {
	parts := strings.FieldsFunc(s, func(r rune) bool { return strings.ContainsRune(",;/| \t\r\n", r) || unicode.IsSpace(r) })
	addresses := 0
	for _, part := range parts {
		if i := strings.IndexByte(part, '@'); i > 0 && i < len(part)-1 {
			addresses++
		}
	}
	switch {
	case addresses > 1:
		return ReasonEmailTwo
	case strings.ContainsAny(s, "＠﹫"):
		return ReasonEmailNotASCII
	}
	return ReasonEmailInvalid
}

// checkLocal checks what stands before the @.
func (m *Mapper) checkLocal(local string) Reason {
	for i := range len(local) {
		if local[i] >= utf8.RuneSelf {
			return ReasonEmailNotASCII
		}
	}
	dots := isDotAtom(local)
	switch {
	case !dots && !isDotAtom(strings.ReplaceAll(local, ".", "")):
		return ReasonEmailInvalid // not for the dots alone
	case len(local) > maxLocal:
		return ReasonEmailTooLong
	case !dots && (!m.lenient || local[0] == '.'):
		return ReasonEmailDots
	}
	return ""
}

// wrongDomain says what is wrong with what stands after the @.
func wrongDomain(s string) Reason {
	name := strings.Trim(s, ".")
	long := len(s) > maxAddress
	for label := range strings.SplitSeq(name, ".") {
		long = long || len(label) > maxLabel && len(label) == utf8.RuneCountInString(label)
	}
	switch {
	case long:
		return ReasonEmailTooLong
	case !strings.ContainsRune(name, '.') && !strings.ContainsAny(name, "[]:。．｡"):
		return ReasonEmailDomain
	}
	return ReasonEmailInvalid
}

// isDotAtom checks a local part by RFC 5322, section 3.2.3.
func isDotAtom(s string) bool {
	dot := true // a dot may not come first, nor after another, nor last
	for i := range len(s) {
		switch c := s[i]; {
		case c == '.':
			if dot {
				return false
			}
			dot = true
			continue
		case c >= utf8.RuneSelf || !atext[c]:
			return false
		}
		dot = false
	}
	return !dot
}

var atext = func() (table [utf8.RuneSelf]bool) {
	for _, c := range "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!#$%&'*+-/=?^_`{|}~" {
		table[c] = true
	}
	return table
}()

// domain returns a domain in lower-case A-labels.
func (m *Mapper) domain(s string) (string, bool) {
	if len(s) > 4*maxAddress { // even in UTF-8 too long for any name
		return "", false
	}
	ascii, puny := true, false
	for i := range len(s) {
		ascii = ascii && s[i] < utf8.RuneSelf
		puny = puny || (s[i] == 'x' || s[i] == 'X') && i+4 <= len(s) && strings.EqualFold(s[i:i+4], "xn--")
	}
	if ascii && !puny {
		s = lowerASCII(s)
		return s, isHostname(s)
	}
	if known, ok := m.domains[s]; ok {
		return known, known != ""
	}
	// UTS #46 as browsers look names up: width and case mapped, bad Punycode
	// and confusing joiners refused, ß kept.
	name, err := idna.Lookup.ToASCII(s)
	if err != nil || !utf8.ValidString(s) || strings.ContainsRune(s, utf8.RuneError) || !isHostname(name) {
		name = "" // idna lets broken UTF-8 through, as a name nobody has
	}
	if len(m.domains) >= maxCached {
		clear(m.domains)
	}
	m.domains[strings.Clone(s)] = name
	return name, name != ""
}

// isHostname checks a lower-case domain of at least two labels whose last is
// not a number, as it would be in an IP address.
func isHostname(s string) bool {
	labels, digits := 0, true
	start := 0
	for i := 0; i <= len(s); i++ {
		if i < len(s) && s[i] != '.' {
			c := s[i]
			digit := c >= '0' && c <= '9'
			if !digit && c != '-' && (c < 'a' || c > 'z') {
				return false
			}
			digits = digits && digit
			continue
		}
		label := s[start:i]
		if label == "" || len(label) > maxLabel || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		labels++
		if i < len(s) {
			start, digits = i+1, true
		}
	}
	return labels >= 2 && !digits
}

// lowerASCII lower-cases A to Z and nothing else.
func lowerASCII(s string) string {
	for i := range len(s) {
		if c := s[i]; c >= 'A' && c <= 'Z' {
			b := []byte(s)
			for ; i < len(b); i++ {
				if c := b[i]; c >= 'A' && c <= 'Z' {
					b[i] = c + ('a' - 'A')
				}
			}
			return string(b)
		}
	}
	return s
}
