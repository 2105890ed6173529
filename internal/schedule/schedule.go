// Package schedule says when something starts automatically: on which days, at
// which times of the clock, in which time zone. It does no I/O.
//
// Where the clock is put forward, a time that does not exist that day comes as
// much later as the clock jumped; where it is put back, a time that comes twice
// counts once.
package schedule

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	_ "time/tzdata" // a machine need not have the zones

	"github.com/robfig/cron/v3"
)

// Calendar is a schedule as people give it: Every with At, or Cron, and a Zone.
type Calendar struct {
	Every string   `json:"every,omitempty"` // day, mon,thu or month:1,15
	At    []string `json:"at,omitempty"`    // 06:00
	Cron  string   `json:"cron,omitempty"`  // minute, hour, day of the month, month, day of the week
	Zone  string   `json:"zone,omitempty"`  // Europe/Warsaw
	// Interval is for the system's own work, such as looking whether a
	// source was refreshed; the others are empty then.
	Interval time.Duration `json:"interval,omitempty"`
}

// Check says what is wrong with a calendar, in the words of the options.
func (c Calendar) Check(now time.Time) error {
	r, err := c.rule()
	if err != nil {
		return err
	}
	if r.next(now).IsZero() {
		return fmt.Errorf("%s never comes", c.what())
	}
	return nil
}

// String says when, for people.
func (c Calendar) String() string {
	if c.Interval > 0 {
		return "every " + c.Interval.String()
	}
	return c.what() + " (" + c.Zone + ")"
}

func (c Calendar) what() string {
	if c.Cron != "" {
		return "cron " + c.Cron
	}
	return "every " + c.Every + " at " + strings.Join(c.At, ", ")
}

// Next returns the first time after the given one; zero when there is none, or
// the calendar is not one.
func (c Calendar) Next(after time.Time) time.Time {
	r, err := c.rule()
	if err != nil {
		return time.Time{}
	}
	return r.next(after)
}

// Due returns the first and the last time after from and not after to, and how
// many there are, counted up to most.
func (c Calendar) Due(from, to time.Time, most int) (first, last time.Time, n int) {
	r, err := c.rule()
	if err != nil {
		return first, last, 0
	}
	for at := r.next(from); !at.IsZero() && !at.After(to) && n < most; at = r.next(at) {
		if n == 0 {
			first = at
		}
		last, n = at, n+1
	}
	return first, last, n
}

// all are the bits of every value that a field of a rule can have.
const all = 1<<63 - 1

// rule is a calendar understood. The days are bits by value.
type rule struct {
	interval time.Duration
	zone     *time.Location
	minutes  []int // of the day, sorted
	days     uint64
	months   uint64
	weekdays uint64
	either   bool // a day of the month or of the week is enough
}

func (c Calendar) rule() (*rule, error) {
	if c.Interval != 0 {
		if c.Interval < time.Second || c.Every != "" || c.Cron != "" || len(c.At) > 0 {
			return nil, fmt.Errorf("an interval of %s is not one", c.Interval)
		}
		return &rule{interval: c.Interval}, nil
	}
	zone, err := Zone(c.Zone)
	if err != nil {
		return nil, err
	}
	r := &rule{zone: zone, days: all, months: all, weekdays: all}
	if c.Cron != "" {
		if c.Every != "" || len(c.At) > 0 {
			return nil, fmt.Errorf("--cron replaces --every and --at: leave --every and --at out")
		}
		return r, r.cron(c.Cron)
	}
	if c.Every == "" {
		return nil, fmt.Errorf("when is missing: give --every day, mon,thu or month:1,15 with --at 06:00, or --cron")
	}
	if err := r.every(c.Every); err != nil {
		return nil, err
	}
	return r, r.at(c.At)
}

// Zone finds a time zone by its name in the IANA database. The zone of whatever
// machine it happens to be is none.
func Zone(name string) (*time.Location, error) {
	if name == "" {
		return nil, fmt.Errorf("the time zone is missing: give --tz, such as Europe/Warsaw or UTC")
	}
	zone, err := time.LoadLocation(name)
	if err != nil || name == "Local" {
		return nil, fmt.Errorf("there is no time zone %q; give a name of the IANA database, such as Europe/Warsaw or UTC", name)
	}
	return zone, nil
}

var weekdays = []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}

func (r *rule) every(text string) error {
	if text == "day" {
		return nil
	}
	if list, ok := strings.CutPrefix(text, "month:"); ok {
		r.days = 0
		for _, word := range strings.Split(list, ",") {
			day, err := strconv.Atoi(word)
			if err != nil || day < 1 || day > 31 {
				return fmt.Errorf("--every %q: %q is no day of a month", text, word)
			}
			r.days |= 1 << day
		}
		return nil
	}
	r.weekdays = 0
	for _, word := range strings.Split(text, ",") {
		day := slices.Index(weekdays, word)
		if day < 0 {
			return fmt.Errorf("--every %q is none of day, days of the week such as mon,thu, month:1,15", text)
		}
		r.weekdays |= 1 << day
	}
	return nil
}

func (r *rule) at(times []string) error {
	if len(times) == 0 {
		return fmt.Errorf("the time is missing: give --at, such as 06:00 or 06:00,18:00")
	}
	for _, text := range times {
		at, err := time.Parse("15:04", text)
		if err != nil || len(text) != len("15:04") {
			return fmt.Errorf("--at %q is not a time of day such as 06:00", text)
		}
		minute := at.Hour()*60 + at.Minute()
		if slices.Contains(r.minutes, minute) {
			return fmt.Errorf("--at has %s twice", text)
		}
		r.minutes = append(r.minutes, minute)
	}
	slices.Sort(r.minutes)
	return nil
}

// star is the bit that the parser sets for a field that is *.
const star = 1 << 63

func (r *rule) cron(text string) error {
	fields := strings.Fields(text)
	const wanted = 5
	if len(fields) != wanted || strings.Contains(text, "=") {
		return fmt.Errorf("--cron %q has not the five fields minute, hour, day of the month, month, day of the week", text)
	}
	parsed, err := cron.ParseStandard(text)
	if err != nil {
		return fmt.Errorf("--cron %q: %w", text, err)
	}
	s, ok := parsed.(*cron.SpecSchedule)
	if !ok {
		return fmt.Errorf("--cron %q is not the five fields of a cron expression", text)
	}
	r.days, r.months, r.weekdays = s.Dom&all, s.Month&all, s.Dow&all
	r.either = s.Dom&star == 0 && s.Dow&star == 0
	for m := range 24 * 60 {
		if s.Hour&(1<<(m/60)) != 0 && s.Minute&(1<<(m%60)) != 0 {
			r.minutes = append(r.minutes, m)
		}
	}
	return nil
}
