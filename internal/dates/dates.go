// Package dates reads dates and times as people and their programs write them,
// and refuses what could mean two different days. It does no I/O.
package dates

import (
	"fmt"
	"strings"
	"time"
	_ "time/tzdata" // a machine need not have the zones
)

// The formats that a column of dates may be declared to have. Any other format
// is a layout, see NewReader.
const (
	Any   = ""      // whatever has only one meaning
	ISO   = "iso"   // ISO 8601 and nothing else
	DMY   = "dmy"   // day, month, year; other shapes where they have only one meaning
	MDY   = "mdy"   // month, day, year; the same
	Excel = "excel" // numbers are days of a spreadsheet's calendar (1900 system)
	Epoch = "epoch" // numbers count from 1970, in units told by their size
)

// Problem is why a text is not a date; empty when it is one.
type Problem string

// The problems.
const (
	Unreadable Problem = "unreadable"
	// Ambiguous says that day and month could be mistaken for each other, or that
	// the year has two digits: DMY or MDY settles it.
	Ambiguous Problem = "ambiguous"
	// Serial says that it may be a day of a spreadsheet's calendar, or just a
	// number: Excel settles it.
	Serial Problem = "serial"
)

// Reading is what a text means. A time is one moment, except in the hour that
// the end of daylight saving time repeats; a day is all of its moments.
type Reading struct {
	Earliest time.Time // UTC, to the millisecond
	Latest   time.Time // UTC, to the millisecond; equal to Earliest for a single moment
	Day      bool      // the text names no time of day
	Wall     time.Time // the clock as written, with UTC in place of the zone
}

// Reader reads the dates of one column or source. It may be used by several
// goroutines at once. The zero value reads what has only one meaning, in UTC.
type Reader struct {
	zone   *time.Location
	format string
	layout string // Go's, where the format is one
}

// NewReader returns a reader. The format is one of the constants, or a layout:
// letters (dd/MM/yyyy HH:mm), percent signs (%d/%m/%Y), or Go's own
// (02/01/2006). The zone is an IANA name and holds for texts that name none; it
// is UTC when empty.
func NewReader(format, zone string) (*Reader, error) {
	r := &Reader{zone: time.UTC, format: format}
	if zone != "" {
		loc, err := time.LoadLocation(zone)
		if err != nil || zone == "Local" {
			return nil, fmt.Errorf("the time zone %q is unknown; it is a name such as Europe/Warsaw or UTC", zone)
		}
		r.zone = loc
	}
	switch format {
	case Any, ISO, DMY, MDY, Excel, Epoch:
		return r, nil
	}
	layout, ok := goLayout(format)
	if !ok {
		return nil, fmt.Errorf("the date format %q is neither iso, dmy, mdy, excel or epoch nor a layout with day, month and year, such as dd/MM/yyyy or dd.MM.yyyy HH:mm", format)
	}
	r.layout = layout
	return r, nil
}

// Zone returns the zone of texts that name none.
func (r *Reader) Zone() *time.Location {
	if r.zone == nil {
		return time.UTC
	}
	return r.zone
}

// maxLength is longer than any date that people write: "Thu Jan 15 2026
// 10:00:00 GMT+0100 (Central European Standard Time)" has 67 characters.
const maxLength = 100

// Read reads a text without surrounding white space.
func (r *Reader) Read(text string) (Reading, Problem) {
	if text == "" || len(text) > maxLength {
		return Reading{}, Unreadable
	}
	if r.layout != "" {
		return r.byLayout(text)
	}
	if c, ok := plainISO(text); ok {
		return r.reading(c)
	}
	if n, ok := parseNumber(text); ok {
		return r.number(n)
	}
	if at, ok := jsonDate(text); ok {
		return r.moment(at), ""
	}
	c, problem := r.clock(text)
	if problem != "" {
		return Reading{}, problem
	}
	return r.reading(c)
}

// Format writes a reading for people: in the reader's zone, or as a whole day.
func (r *Reader) Format(g Reading) string {
	if g.Day {
		return g.Wall.Format(time.DateOnly) + ", the whole day in " + r.Zone().String()
	}
	return g.Earliest.In(r.Zone()).Format("2006-01-02 15:04:05 -07:00") + " in " + r.Zone().String()
}

// byLayout reads a text by the given layout, and by no other.
func (r *Reader) byLayout(text string) (Reading, Problem) {
	for _, s := range []string{text, strings.ToUpper(text)} { // am and pm in either case
		wall, err := time.ParseInLocation(r.layout, s, time.UTC)
		if err != nil {
			continue
		}
		if layoutHasZone(r.layout) {
			if name, offset := wall.Zone(); name != "" && offset == 0 && name != "UTC" && name != "GMT" {
				return Reading{}, Unreadable // an abbreviation, of which Go knows nothing
			}
			return r.moment(wall), ""
		}
		return r.reading(clock{wall: wall, day: !layoutHasHour(r.layout)})
	}
	return Reading{}, Unreadable
}

// moment is the reading of an instant that needs no zone.
func (r *Reader) moment(at time.Time) Reading {
	local := at.In(r.Zone())
	_, offset := local.Zone()
	at = at.UTC().Truncate(time.Millisecond)
	return Reading{Earliest: at, Latest: at, Wall: at.Add(time.Duration(offset) * time.Second)}
}

// clock is a date and time as written.
type clock struct {
	wall   time.Time // in UTC in place of the zone
	day    bool
	offset *int // seconds east of UTC, where the text says so
}

// reading puts a clock into its zone.
func (r *Reader) reading(c clock) (Reading, Problem) {
	if y := c.wall.Year(); y < 1 || y > 9999 {
		return Reading{}, Unreadable
	}
	g := Reading{Day: c.day, Wall: c.wall}
	switch {
	case c.day:
		g.Earliest, _ = r.instants(c.wall)
		_, next := r.instants(c.wall.AddDate(0, 0, 1))
		g.Latest = next.Add(-time.Millisecond)
	case c.offset != nil:
		g.Earliest = c.wall.Add(-time.Duration(*c.offset) * time.Second)
		g.Latest = g.Earliest
	default:
		g.Earliest, g.Latest = r.instants(c.wall)
	}
	g.Earliest, g.Latest = g.Earliest.Truncate(time.Millisecond), g.Latest.Truncate(time.Millisecond)
	return g, ""
}

// instants returns the first and the last moment at which the zone's clocks may
// have meant a time: two in the hour that is repeated, and for one in the hour
// that is left out what either side of the gap would make of it.
func (r *Reader) instants(wall time.Time) (first, last time.Time) {
	if r.zone == nil || r.zone == time.UTC {
		return wall, wall
	}
	offsetAt := func(t time.Time) time.Duration {
		_, seconds := t.In(r.zone).Zone()
		return time.Duration(seconds) * time.Second
	}
	before, after := offsetAt(wall.Add(-26*time.Hour)), offsetAt(wall.Add(26*time.Hour))
	var valid []time.Time
	for _, offset := range []time.Duration{max(before, after), min(before, after)} { // the larger offset is the earlier moment
		if t := wall.Add(-offset); offsetAt(t) == offset {
			valid = append(valid, t)
		}
	}
	if len(valid) == 0 {
		return wall.Add(-max(before, after)), wall.Add(-min(before, after))
	}
	return valid[0], valid[len(valid)-1]
}
