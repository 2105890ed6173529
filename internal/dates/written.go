package dates

import (
	"regexp"
	"strconv"
	"strings"
	"time"
)

// plainISO reads what most programs write, without the patterns below, which
// take much longer: 2006-01-02, and that with a time to the second or finer and
// Z, an offset or nothing after it.
func plainISO(text string) (clock, bool) {
	if len(text) < len("2006-01-02") || text[4] != '-' || text[7] != '-' {
		return clock{}, false
	}
	c := clock{day: true}
	var ok bool
	if c.wall, ok = day(text[:4], text[5:7], text[8:10]); !ok || !allDigits(text[:4]+text[5:7]+text[8:10]) {
		return clock{}, false
	}
	rest := text[10:]
	if rest == "" {
		return c, true
	}
	if len(rest) < len("T15:04:05") || rest[0] != 'T' && rest[0] != ' ' || rest[3] != ':' || rest[6] != ':' || !allDigits(rest[1:3]+rest[4:6]+rest[7:9]) {
		return clock{}, false
	}
	fraction := ""
	end := len("T15:04:05")
	if end < len(rest) && rest[end] == '.' {
		start := end + 1
		for end = start; end < len(rest) && rest[end] >= '0' && rest[end] <= '9'; {
			end++
		}
		fraction = rest[start:end]
		if fraction == "" || len(fraction) > 9 {
			return clock{}, false
		}
	}
	if !c.setTime(rest[1:3], rest[4:6], rest[7:9], fraction) {
		return clock{}, false
	}
	switch zone := rest[end:]; {
	case zone == "":
	case zone == "Z":
		c.offset = new(int)
	case len(zone) == len("+01:00") && (zone[0] == '+' || zone[0] == '-') && zone[3] == ':' && allDigits(zone[1:3]+zone[4:6]):
		return c, c.setOffset(zone[:1], zone[1:3], zone[4:6])
	default:
		return clock{}, false
	}
	return c, true
}

func allDigits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}

const monthNames = `(jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)\.?`

// The shapes of a date, in lower case. Each has the date in its first group, and
// looks at the character after it.
var (
	weekday     = regexp.MustCompile(`^(mon|tue|wed|thu|fri|sat|sun)[a-z]*[.,]? +`)
	yearFirst   = regexp.MustCompile(`^(([0-9]{4})([-/.])([0-9]{1,2})([-/.])([0-9]{1,2}))(?:[^0-9]|$)`)
	basicDate   = regexp.MustCompile(`^(([0-9]{4})([0-9]{2})([0-9]{2}))(?:[t ]|$)`)
	weekDate    = regexp.MustCompile(`^(([0-9]{4})-?w([0-9]{2})-?([1-7]))(?:[t ]|$)`)
	ordinalDate = regexp.MustCompile(`^(([0-9]{4})-([0-9]{3}))(?:[t ]|$)`)
	numbersOnly = regexp.MustCompile(`^(([0-9]{1,2})([-/.]) ?([0-9]{1,2})([-/.]) ?([0-9]{4}|[0-9]{2}))(?:[^0-9]|$)`)
	dayMonth    = regexp.MustCompile(`^(([0-9]{1,2})(?:st|nd|rd|th|\.)?[- /]*(?:of +)?` + monthNames + `,?[- /]*([0-9]{4}|[0-9]{2}))(?:[^0-9]|$)`)
	monthDay    = regexp.MustCompile(`^(` + monthNames + `[- /]*([0-9]{1,2})(?:st|nd|rd|th)?,?[- /]+([0-9]{4}))(?:[^0-9]|$)`)
	yearMonth   = regexp.MustCompile(`^(([0-9]{4})[- /]` + monthNames + `[- /]([0-9]{1,2}))(?:[^0-9]|$)`)
	unixDate    = regexp.MustCompile(`^` + monthNames + ` +([0-9]{1,2}) +([0-9:.]+)( +[a-z+0-9:-]+)? +([0-9]{4})$`)
)

// The shapes of what follows a date. Those of a time have it in their first group.
var (
	between   = regexp.MustCompile(`^(?:t| *, *| +at +| +)`)
	timeOfDay = regexp.MustCompile(`^(([0-9]{1,2})(?:([:.])([0-9]{2})(?:[:.]([0-9]{2})(?:[.,:]([0-9]{1,9}))?)?)?(?: ?([ap])\.?m\.?)?)(?:[^0-9:.,]|$)`)
	basicTime = regexp.MustCompile(`^(([0-9]{2})([0-9]{2})(?:([0-9]{2})(?:[.,]([0-9]{1,9}))?)?)(?:[z+ -]|$)`)
	db2Time   = regexp.MustCompile(`^-([0-9]{2})\.([0-9]{2})\.([0-9]{2})(?:\.([0-9]{1,12}))?$`)
	offset    = regexp.MustCompile(`^(?:(?:utc|gmt)? ?([+-])([0-9]{1,2})(?::?([0-9]{2}))?|(z|utc|gmt))(?: *\([^()]*\)| *\[[^\[\]]*\])?$`)
	zoneName  = regexp.MustCompile(`^[a-z]{2,5}$`)
)

// clock reads a date with or without a time, in any of the shapes.
func (r *Reader) clock(text string) (clock, Problem) {
	s := strings.ToLower(strings.ReplaceAll(text, "\u202f", " "))
	var named []string
	if s[0] >= 'a' {
		if named = weekday.FindStringSubmatch(s); named != nil {
			s = s[len(named[0]):]
		}
	}
	if s == "" {
		return clock{}, Unreadable
	}
	if s[0] >= 'a' {
		if m := unixDate.FindStringSubmatch(s); m != nil { // the year comes last
			s = m[1] + " " + m[2] + ", " + m[5] + " " + m[3] + m[4]
		}
	}
	wall, rest, iso, problem := r.date(s)
	if problem != "" {
		return clock{}, problem
	}
	if r.format == ISO && (!iso || named != nil) {
		return clock{}, Unreadable
	}
	if named != nil && !strings.EqualFold(named[1], wall.Weekday().String()[:3]) {
		return clock{}, Unreadable // one of the two is wrong
	}
	c := clock{wall: wall, day: true}
	if rest == "" {
		return c, ""
	}
	if !r.timeAndZone(&c, rest) {
		return clock{}, Unreadable
	}
	return c, ""
}

// date reads the date that a text begins with, and returns what follows it;
// iso says that it has one of ISO's shapes.
func (r *Reader) date(s string) (wall time.Time, rest string, iso bool, problem Problem) {
	digits := 0 // that it begins with: which shapes there can be
	for digits < len(s) && s[digits] >= '0' && s[digits] <= '9' {
		digits++
	}
	var ok bool
	switch m := []string(nil); {
	case digits == 4 && match(yearFirst, s, &m) && m[3] == m[5]:
		wall, ok = day(m[2], m[4], m[6])
		return wall, s[len(m[1]):], m[3] == "-", unless(ok)
	case digits == 8 && match(basicDate, s, &m):
		wall, ok = day(m[2], m[3], m[4])
		return wall, s[len(m[1]):], true, unless(ok)
	case digits == 4 && match(weekDate, s, &m):
		wall, ok = dayOfWeek(number(m[2]), number(m[3]), number(m[4]))
		return wall, s[len(m[1]):], true, unless(ok)
	case digits == 4 && match(ordinalDate, s, &m):
		wall = time.Date(number(m[2]), 1, number(m[3]), 0, 0, 0, 0, time.UTC)
		return wall, s[len(m[1]):], true, unless(number(m[3]) > 0 && wall.Year() == number(m[2]))
	case digits <= 2 && match(numbersOnly, s, &m) && m[3] == m[5]:
		wall, problem = r.ordered(m[2], m[4], m[6], m[3] == ".")
		return wall, s[len(m[1]):], false, problem
	case digits <= 2 && match(dayMonth, s, &m):
		year, told := r.year(m[4])
		if wall, ok = day(year, monthOf(m[3]), m[2]); ok && !told {
			return wall, "", false, Ambiguous
		}
		return wall, s[len(m[1]):], false, unless(ok)
	case digits == 0 && match(monthDay, s, &m):
		wall, ok = day(m[4], monthOf(m[2]), m[3])
		return wall, s[len(m[1]):], false, unless(ok)
	case digits == 4 && match(yearMonth, s, &m):
		wall, ok = day(m[2], monthOf(m[3]), m[4])
		return wall, s[len(m[1]):], false, unless(ok)
	}
	return time.Time{}, "", false, Unreadable
}

func match(shape *regexp.Regexp, s string, groups *[]string) bool {
	*groups = shape.FindStringSubmatch(s)
	return *groups != nil
}

// ordered reads three numbers with the year last. Dots stand between day, month
// and year wherever dots are used; else the format gives the order, or there is
// only one that makes a date.
func (r *Reader) ordered(a, b, y string, dots bool) (time.Time, Problem) {
	year, told := r.year(y)
	dmy, isDMY := day(year, b, a)
	mdy, isMDY := day(year, a, b)
	switch {
	case r.format == MDY:
		return mdy, unless(isMDY)
	case r.format == DMY || dots && told:
		return dmy, unless(isDMY)
	case !isDMY && !isMDY:
		return time.Time{}, Unreadable
	case !told || isDMY && isMDY && !dmy.Equal(mdy):
		return time.Time{}, Ambiguous
	case isDMY:
		return dmy, ""
	}
	return mdy, ""
}

// year completes a year of two digits, which is only clear when the format gives
// the order: 26-01-15 could begin with the year.
func (r *Reader) year(text string) (string, bool) {
	if len(text) == 4 {
		return text, true
	}
	told := r.format == DMY || r.format == MDY
	if number(text) < 69 { // as POSIX has it
		return "20" + text, told
	}
	return "19" + text, told
}

// timeAndZone reads what follows a date.
func (r *Reader) timeAndZone(c *clock, rest string) bool {
	if m := db2Time.FindStringSubmatch(rest); m != nil {
		return c.setTime(m[1], m[2], m[3], m[4])
	}
	gap := between.FindString(rest)
	if gap == "" {
		return false
	}
	rest = strings.TrimLeft(rest[len(gap):], " ")
	m := basicTime.FindStringSubmatch(rest)
	if m != nil && gap == "t" {
		return c.setTime(m[2], m[3], m[4], m[5]) && r.setZone(c, strings.Trim(rest[len(m[1]):], " "))
	}
	m = timeOfDay.FindStringSubmatch(rest)
	if m == nil || m[3] == "" && m[7] == "" && gap != "t" { // a bare number is no hour
		return false
	}
	hour, ok := hourOf(m[2], m[7])
	return ok && c.setTime(hour, m[4], m[5], m[6]) && r.setZone(c, strings.Trim(rest[len(m[1]):], " "))
}

// hourOf is the hour of the day of one that may have an a or a p.
func hourOf(hour, half string) (string, bool) {
	n := number(hour)
	if half == "" {
		return hour, true
	}
	if n < 1 || n > 12 {
		return "", false
	}
	n %= 12
	if half == "p" {
		n += 12
	}
	return strconv.Itoa(n), true
}

// setTime sets the time of day. 24:00 is the end of the day, and second 60 is a
// leap second.
func (c *clock) setTime(hour, minute, second, fraction string) bool {
	h, m, s := number(hour), number(minute), number(second)
	nanos := number((fraction + "000000000")[:9])
	if h > 24 || m > 59 || s > 60 || h == 24 && m+s+nanos > 0 {
		return false
	}
	y, month, d := c.wall.Date()
	c.wall, c.day = time.Date(y, month, d, h, m, s, nanos, time.UTC), false
	return true
}

// setOffset sets how far the clock is from UTC. No place is more than 14 hours.
func (c *clock) setOffset(sign, hours, minutes string) bool {
	seconds := number(hours)*3600 + number(minutes)*60
	if number(hours) > 14 || number(minutes) > 59 {
		return false
	}
	if sign == "-" {
		seconds = -seconds
	}
	c.offset = &seconds
	return true
}

// setZone sets the offset that a text ends with. An abbreviation counts only
// where it is one of the reader's own zone: CST is three different times.
func (r *Reader) setZone(c *clock, text string) bool {
	if text == "" {
		return true
	}
	if m := offset.FindStringSubmatch(text); m != nil {
		return c.setOffset(m[1], m[2], m[3])
	}
	if !zoneName.MatchString(text) {
		return false
	}
	for _, at := range []time.Time{c.wall, c.wall.AddDate(0, 0, -1), c.wall.AddDate(0, 0, 1), c.wall.AddDate(0, 6, 0)} {
		if name, seconds := at.In(r.Zone()).Zone(); strings.EqualFold(name, text) {
			c.offset = &seconds
			return true
		}
	}
	return false
}

// day makes a date of its parts; false when there is no such day.
func day(year, month, dayOfMonth string) (time.Time, bool) {
	y, m, d := number(year), number(month), number(dayOfMonth)
	t := time.Date(y, time.Month(m), d, 0, 0, 0, 0, time.UTC)
	return t, m >= 1 && m <= 12 && d >= 1 && t.Day() == d
}

// dayOfWeek is a date by ISO's weeks: week 1 has the 4th of January.
func dayOfWeek(year, week, weekday int) (time.Time, bool) {
	fourth := time.Date(year, 1, 4, 0, 0, 0, 0, time.UTC)
	monday := fourth.AddDate(0, 0, -(int(fourth.Weekday())+6)%7)
	t := monday.AddDate(0, 0, 7*(week-1)+weekday-1)
	y, w := t.ISOWeek()
	return t, y == year && w == week
}

func monthOf(name string) string {
	i := strings.Index("janfebmaraprmayjunjulaugsepoctnovdec", strings.TrimRight(name, ".")[:3])
	return strconv.Itoa(i/3 + 1)
}

// number is the value of digits; 0 of none.
func number(digits string) int {
	n, _ := strconv.Atoi(digits)
	return n
}

func unless(ok bool) Problem {
	if ok {
		return ""
	}
	return Unreadable
}
