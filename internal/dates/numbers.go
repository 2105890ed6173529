package dates

import (
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"
)

var (
	numeral  = regexp.MustCompile(`^([0-9]{1,19})(?:[.,]([0-9]{1,17}))?$`)
	jsonForm = regexp.MustCompile(`^\\?/Date\((-?[0-9]{1,16})(?:[+-][0-9]{4})?\)\\?/$`)
)

// numeric is a number without sign.
type numeric struct {
	digits   string
	fraction string // digits
}

func parseNumber(text string) (numeric, bool) {
	m := numeral.FindStringSubmatch(text)
	if m == nil {
		return numeric{}, false
	}
	return numeric{digits: m[1], fraction: m[2]}, true
}

// whole says that nothing but zeros follows the point, as where a column of
// whole numbers was taken for one of fractions.
func (n numeric) whole() bool { return strings.Trim(n.fraction, "0") == "" }

func (n numeric) float() float64 {
	f, _ := strconv.ParseFloat(n.digits+"."+n.fraction+"0", 64)
	return f
}

// The spreadsheet days that a bare number may be meant as, by default: 1954 to
// 2119. Excel's own calendar ends at lastSerial.
const (
	fewestSerial = 20_000
	mostSerial   = 80_000
	lastSerial   = 2_958_465
)

// number reads a number: as told, or where its length leaves one meaning.
func (r *Reader) number(n numeric) (Reading, Problem) {
	value := n.float()
	switch {
	case r.format == Epoch:
		return r.epoch(n)
	case r.format == Excel && value >= 1 && value < lastSerial+1:
		return r.serial(value)
	case r.format == ISO && len(n.digits) != len("20060102"):
		return Reading{}, Unreadable
	}
	switch len(n.digits) {
	case 5:
		if value >= fewestSerial && value <= mostSerial {
			return Reading{}, Serial
		}
	case 8:
		if c, ok := packed(n, "20060102"); ok {
			c.day = true
			return r.reading(c)
		}
	case 12: // milliseconds of 1973 to 2001, unless they can be a date and a time
		if _, ok := packed(n, "200601021504"); ok {
			return Reading{}, Ambiguous
		}
		return r.epoch(n)
	case 14:
		if c, ok := packed(n, "20060102150405"); ok {
			return r.reading(c)
		}
	case 17:
		if c, ok := packed(numeric{digits: n.digits[:14], fraction: n.fraction}, "20060102150405"); ok {
			ms, _ := strconv.Atoi(n.digits[14:])
			c.wall = c.wall.Add(time.Duration(ms) * time.Millisecond)
			return r.reading(c)
		}
	case 9, 10, 13, 16, 19:
		return r.epoch(n)
	}
	return Reading{}, Unreadable
}

// packed reads digits without separators.
func packed(n numeric, layout string) (clock, bool) {
	wall, err := time.Parse(layout, n.digits)
	return clock{wall: wall}, err == nil && n.whole() && wall.Year() >= 1900 && wall.Year() < 2200
}

// epoch reads a number that counts from 1970: seconds, milliseconds,
// microseconds or nanoseconds, whichever make a time from 1970 to 5138.
func (r *Reader) epoch(n numeric) (Reading, Problem) {
	whole, err := strconv.ParseInt(n.digits, 10, 64)
	if err != nil {
		return Reading{}, Unreadable
	}
	var at time.Time
	switch {
	case whole < 1e11:
		ms, _ := strconv.ParseInt((n.fraction + "000")[:3], 10, 64)
		at = time.UnixMilli(whole*1000 + ms)
	case whole < 1e14:
		at = time.UnixMilli(whole)
	case whole < 1e17:
		at = time.UnixMicro(whole)
	default:
		at = time.Unix(0, whole)
	}
	return r.moment(at), ""
}

// serial reads a day of a spreadsheet's calendar. Day 60 is the 29th of
// February 1900, which there never was: Lotus 1-2-3 had it, and Excel kept it.
func (r *Reader) serial(value float64) (Reading, Problem) {
	if value < 61 {
		return Reading{}, Unreadable
	}
	days, part := math.Modf(value)
	wall := time.Date(1899, 12, 30, 0, 0, 0, 0, time.UTC).AddDate(0, 0, int(days)).
		Add(time.Duration(math.Round(part*24*60*60*1000)) * time.Millisecond)
	if part > 0 {
		wall = wall.Round(10 * time.Millisecond) // what five decimals of a day can tell is coarser
	}
	return r.reading(clock{wall: wall, day: part == 0})
}

// jsonDate reads /Date(1768471200000)/, with or without an offset, which says
// only how the time was shown.
func jsonDate(text string) (time.Time, bool) {
	m := jsonForm.FindStringSubmatch(text)
	if m == nil {
		return time.Time{}, false
	}
	ms, err := strconv.ParseInt(m[1], 10, 64)
	at := time.UnixMilli(ms)
	return at, err == nil && at.UTC().Year() >= 1 && at.UTC().Year() <= 9999
}
