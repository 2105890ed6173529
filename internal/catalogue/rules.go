package catalogue

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/segment-export/segment-export/internal/contact"
	"github.com/segment-export/segment-export/internal/omnisend"
)

// TransferStatement is what an administrator agrees to with a connection; its
// version is recorded with the agreement.
const (
	TransferStatementVersion = "2026-11"
	TransferStatement        = `With this connection personal data of your customers (e-mail addresses, names, postal addresses, consent)
leaves the systems that you control today and is transferred to Omnisend. You confirm that you may transfer it,
that the people concerned have been informed or have consented where the law asks for it, and that you answer for what
happens to it there. You can withdraw this at any time: stop or remove the connection.`
)

// Error is a rule that an object breaks; its text is for people.
type Error struct{ Message string }

func (e *Error) Error() string { return e.Message }

func invalid(format string, args ...any) error { return &Error{Message: fmt.Sprintf(format, args...)} }

// maxName is the longest name in characters.
const maxName = 100

// CheckName says whether a name can be given to an object. Names become parts
// of workflow ids and are typed on command lines.
func CheckName(kind Kind, name string) error {
	switch {
	case strings.TrimSpace(name) == "":
		return invalid("the %s needs a name", kind)
	case name != strings.TrimSpace(name):
		return invalid("the name %q of the %s begins or ends with a space", name, kind)
	case !utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsControl):
		return invalid("the name %q of the %s has characters that cannot be shown", name, kind)
	case strings.ContainsAny(name, "/"):
		return invalid("the name %q of the %s must not contain a slash", name, kind)
	case strings.HasPrefix(name, "-"):
		return invalid("the name %q of the %s must not begin with a dash: it would be taken for an option", name, kind)
	case utf8.RuneCountInString(name) > maxName:
		return invalid("the name of the %s is longer than %d characters", kind, maxName)
	}
	return nil
}

// Check says whether the connection's settings can be.
func (c *Connection) Check() error {
	switch {
	case c.Share <= 0 || c.Share > 1:
		return invalid("--share %v is not above 0 and at most 1", c.Share)
	case c.CallsPerMinute < 0:
		return invalid("--calls-per-minute %d is negative", c.CallsPerMinute)
	case c.CallsPerMinute == 0 && !omnisend.IsLoopback(c.Endpoint):
		return invalid("--calls-per-minute 0 sets no limit, which is allowed only for an endpoint on this machine; %s is not", c.Endpoint)
	}
	return nil
}

// CheckMarker says whether a custom property can be a marker.
func CheckMarker(name string) error {
	if !contact.ValidProperty(name) {
		return invalid("the marker %q is not 1 to 128 letters, digits and underscores", name)
	}
	return nil
}

// MaxSegments is the most segments of one export.
const MaxSegments = 50

// Check says whether the export's own settings can be; whether what it names
// exists is for the caller to see.
func (e *Export) Check() error {
	if len(e.Segments) == 0 {
		return invalid("the export needs a segment: --segment NAME")
	}
	if len(e.Segments) > MaxSegments {
		return invalid("%d segments are more than the %d that one export may have", len(e.Segments), MaxSegments)
	}
	if e.Leavers != LeaversUnmark && e.Leavers != LeaversKeep {
		return invalid("--leavers %q is neither %s nor %s", e.Leavers, LeaversUnmark, LeaversKeep)
	}
	if err := e.Dates.Check(); err != nil {
		return err
	}
	if err := e.checkEmpty(); err != nil {
		return err
	}
	if e.FullEvery < 0 {
		return invalid("--full-every %d is not a number of days; 0 is never", e.FullEvery)
	}
	markers := map[string]string{}
	var names []string
	for _, s := range e.Segments {
		if slices.Contains(names, s.Segment) {
			return invalid("the segment %q is named twice", s.Segment)
		}
		names = append(names, s.Segment)
		if err := CheckMarker(s.Marker); err != nil {
			return err
		}
		if other, ok := markers[s.Marker]; ok {
			return invalid("the segments %q and %q would have the same marker %s: give one of them another with --marker %s=NAME", other, s.Segment, s.Marker, s.Segment)
		}
		markers[s.Marker] = s.Segment
	}
	for _, name := range e.Mapping.Properties() {
		if segment, ok := markers[name]; ok {
			return invalid("the custom property %s is mapped, and is the marker of the segment %q: give the segment another with --marker %s=NAME", name, segment, segment)
		}
	}
	return nil
}
