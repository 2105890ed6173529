package contact

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"time"
	"unicode"
)

// MarkerValue is a custom property and whether the contact is in its segment.
type MarkerValue struct {
	Property string
	Member   bool
}

// stamp is RFC 3339 with milliseconds where there are any.
const stamp = "2006-01-02T15:04:05.999Z07:00"

// Item appends one contact of a POST /batches request, API version 2026-03-15.
//
// The channel block and sendWelcomeMessage are always there: without the
// first an item is refused, and the second is true by default. There are never
// tags: they would replace the account's own. A marker that the contact is not
// a member of is sent as an empty string, which removes the property; that is
// what other integrations observed, Omnisend does not document it.
func Item(dst []byte, p Profile, s Settled, markers []MarkerValue) []byte {
	dst = append(dst, `{"identifiers":[`...)
	dst = appendIdentifier(dst, identifier{"email", p.Email, "email"}, s.Mail)
	if s.Texts() {
		dst = append(dst, ',')
		dst = appendIdentifier(dst, identifier{"phone", s.Phone, "sms"}, s.SMS)
	}
	dst = append(dst, ']')
	if len(p.Fields) > 0 {
		dst = append(dst, ',')
		dst = append(dst, p.Fields...)
	}
	if len(p.Properties)+len(markers) > 0 {
		dst = append(dst, `,"customProperties":{`...)
		dst = append(dst, p.Properties...)
	}
	for i, marker := range markers {
		if i > 0 || len(p.Properties) > 0 {
			dst = append(dst, ',')
		}
		dst = appendString(dst, marker.Property)
		if marker.Member {
			dst = append(dst, `:true`...)
		} else {
			dst = append(dst, `:""`...)
		}
	}
	if len(p.Properties)+len(markers) > 0 {
		dst = append(dst, '}')
	}
	return append(dst, '}')
}

// LeaverItem appends the contact that removes these properties from an address
// and changes nothing else: its status is too old to count.
func LeaverItem(dst []byte, email string, properties []string) []byte {
	markers := make([]MarkerValue, len(properties))
	for i, property := range properties {
		markers[i] = MarkerValue{Property: property}
	}
	return Item(dst, Profile{Email: email}, Settled{Mail: Consent{Status: NonSubscribed, At: Undated}}, markers)
}

// identifier is what a contact is known by, and the channel that goes with it.
type identifier struct{ kind, id, channel string }

func appendIdentifier(dst []byte, i identifier, c Consent) []byte {
	// A last line of defence, whatever made the consent: no subscription
	// without a date, and no status that Omnisend does not know.
	if c.Status != Unsubscribed && (c.Status != Subscribed || !c.At.After(Undated)) {
		c = Consent{Status: NonSubscribed, At: Undated}
	}
	dst = append(dst, `{"type":"`...)
	dst = append(dst, i.kind...)
	dst = append(dst, `","id":`...)
	dst = appendString(dst, i.id)
	dst = append(dst, `,"channels":{"`...)
	dst = append(dst, i.channel...)
	dst = append(dst, `":{"status":"`...)
	dst = append(dst, c.Status...)
	dst = append(dst, `","statusChangedAt":"`...)
	dst = appendStamp(dst, c.At)
	dst = append(dst, `"}},"sendWelcomeMessage":false`...)
	if c.Status == Subscribed {
		dst = append(dst, `,"consent":{"source":"api","createdAt":"`...)
		dst = appendStamp(dst, c.At)
		dst = append(dst, `"}`...)
	}
	return append(dst, '}')
}

func appendStamp(dst []byte, at time.Time) []byte {
	if !at.After(Undated) { // also a zero time: RFC 3339 could say it, but nobody means the year 1
		return append(dst, `1970-01-01T00:00:00Z`...)
	}
	// The same as stamp, in the layout that package time writes fast.
	return at.UTC().Truncate(time.Millisecond).AppendFormat(dst, time.RFC3339Nano)
}

const (
	markerPrefix = "segment_"
	// maxProperty is the longest key of a custom property, made of letters,
	// digits and underscores: the rule that Omnisend's own SDK enforces.
	maxProperty = 128
	hashLength  = 8
)

// MarkerProperty returns the custom property that marks members of a segment:
// "segment_" and the name in a-z, 0-9 and _. Where letters or digits of the
// name are lost, a short hash of the whole name keeps it apart from others; the
// same name always gives the same property.
func MarkerProperty(segment string) string {
	var b strings.Builder
	lost, gap := false, false
	for _, r := range fold(segment) {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			if gap && b.Len() > 0 {
				b.WriteByte('_')
			}
			b.WriteRune(r)
			gap = false
			continue
		}
		gap = true
		lost = lost || unicode.IsLetter(r) || unicode.IsNumber(r)
	}
	name := b.String()
	if name != "" && !lost && len(markerPrefix)+len(name) <= maxProperty {
		return markerPrefix + name
	}
	sum := sha256.Sum256([]byte(segment))
	hash := hex.EncodeToString(sum[:])[:hashLength]
	if name == "" {
		return markerPrefix + hash
	}
	return markerPrefix + strings.TrimRight(name[:min(len(name), maxProperty-len(markerPrefix)-1-hashLength)], "_") + "_" + hash
}
