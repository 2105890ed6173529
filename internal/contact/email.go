package contact

import (
	"strings"
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
// compared, and false for one that is never sent.
func NormaliseEmail(s string) (string, bool) {
	m := Mapper{domains: map[string]string{}}
	email, reason := m.normaliseEmail(s)
	return email, reason == ""
}

// normaliseEmail returns the address in the one form in which it is sent and
// compared: lower case, international domain as A-labels. Omnisend does not
// say what it accepts; this is stricter than RFC 5322 (no quoted local part,
// no display name, no address literal, no non-ASCII local part), so that what
// is sent is what any mail system takes.
func (m *Mapper) normaliseEmail(s string) (string, Reason) {
	s = strings.TrimFunc(s, isEdge)
	if s == "" {
		return "", ReasonEmailMissing
	}
	at := strings.IndexByte(s, '@')
	if at <= 0 || at > maxLocal || strings.IndexByte(s[at+1:], '@') >= 0 || !isDotAtom(s[:at]) {
		return "", ReasonEmailInvalid
	}
	domain, ok := m.domain(s[at+1:])
	if !ok || at+1+len(domain) > maxAddress {
		return "", ReasonEmailInvalid
	}
	// In ASCII, lower-casing and NFC cannot turn one address into another. (In
	// Unicode they could: the Kelvin sign becomes a k, hence the check before.)
	return lowerASCII(s[:at]) + "@" + domain, ""
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
		puny = puny || i+4 <= len(s) && strings.EqualFold(s[i:i+4], "xn--")
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
