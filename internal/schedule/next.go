package schedule

import (
	"slices"
	"time"
)

// farthest is how many days ahead a next time is looked for: a 29th of February
// may be eight years away.
const farthest = 9 * 366

func (r *rule) next(after time.Time) time.Time {
	if r.interval > 0 {
		// As Temporal counts intervals: from 1970 on.
		since := time.Duration(after.UnixNano())
		return time.Unix(0, int64((since/r.interval+1)*r.interval)).UTC()
	}
	year, month, day := after.In(r.zone).Date()
	for i := -1; i < farthest; i++ {
		date := time.Date(year, month, day+i, 0, 0, 0, 0, time.UTC)
		if !r.on(date) {
			continue
		}
		var soonest time.Time
		for _, minute := range r.minutes {
			if at, _ := r.instant(date, minute); at.After(after) && (soonest.IsZero() || at.Before(soonest)) {
				soonest = at
			}
		}
		if !soonest.IsZero() {
			return soonest
		}
	}
	return time.Time{}
}

// on tells whether the rule has times on a date.
func (r *rule) on(date time.Time) bool {
	day := r.days&(1<<date.Day()) != 0
	weekday := r.weekdays&(1<<date.Weekday()) != 0
	if r.either {
		day, weekday = day || weekday, true
	}
	return day && weekday && r.months&(1<<date.Month()) != 0
}

// instant returns when a minute of the clock counts on a date. Where the clock
// shows it twice it is the one that package time takes, as Temporal does; where
// it never shows it, it lies as much later as the clock jumped.
func (r *rule) instant(date time.Time, minute int) (at time.Time, exists bool) {
	year, month, day := date.Date()
	at = time.Date(year, month, day, 0, minute, 0, 0, r.zone)
	if at.Hour() == minute/60 && at.Minute() == minute%60 {
		return at, true
	}
	wall := date.Add(time.Duration(minute) * time.Minute) // as if the zone were UTC
	return wall.Add(-offset(wall.Add(-24*time.Hour), r.zone)), false
}

func offset(at time.Time, zone *time.Location) time.Duration {
	_, seconds := at.In(zone).Zone()
	return time.Duration(seconds) * time.Second
}

// Fields are values of the clock and the calendar that all have to fit; an
// empty list fits every value. They match by what the clock shows, whatever it
// does on the days when it is changed.
type Fields struct {
	Minute, Hour, Day, Month, Weekday, Year []int
}

// movedYears is how far ahead the times that a change of the clock moves are
// written down.
const movedYears = 3

// Fields returns what a scheduler has to match that only looks at the clock:
// together they match at every time of the calendar for years to come. It is nil for an
// interval.
func (c Calendar) Fields(now time.Time) ([]Fields, error) {
	r, err := c.rule()
	if err != nil || r.interval > 0 {
		return nil, err
	}
	var fields []Fields
	for _, days := range r.dates() {
		for _, clock := range r.clocks() {
			days.Minute, days.Hour = clock.Minute, clock.Hour
			fields = append(fields, days)
		}
	}
	return append(fields, r.moved(now)...), nil
}

// dates are the days of the rule; two sets when either is enough.
func (r *rule) dates() []Fields {
	day := Fields{Day: values(r.days, 1, 31), Month: values(r.months, 1, 12)}
	weekday := Fields{Weekday: values(r.weekdays, 0, 6), Month: day.Month}
	if r.either {
		return []Fields{day, weekday}
	}
	day.Weekday = weekday.Weekday
	return []Fields{day}
}

// values lists the bits from first to last that are set; nil when all are.
func values(bits uint64, first, last int) []int {
	var set []int
	for v := first; v <= last; v++ {
		if bits&(1<<v) != 0 {
			set = append(set, v)
		}
	}
	if len(set) == last-first+1 {
		return nil
	}
	return set
}

// clocks are the times of the day, hours with the same minutes together.
func (r *rule) clocks() []Fields {
	byHour := map[int][]int{}
	for _, m := range r.minutes {
		byHour[m/60] = append(byHour[m/60], m%60)
	}
	var clocks []Fields
	for hour := range 24 {
		minutes, ok := byHour[hour]
		if !ok {
			continue
		}
		same := slices.IndexFunc(clocks, func(f Fields) bool { return slices.Equal(f.Minute, minutes) })
		if same < 0 {
			clocks = append(clocks, Fields{Minute: minutes})
			same = len(clocks) - 1
		}
		clocks[same].Hour = append(clocks[same].Hour, hour)
	}
	return clocks
}

// moved are the times to come that the clock jumps over, where they lie then.
// They change with the turn of a year only, so that a schedule made from them
// need not be changed at every look.
func (r *rule) moved(now time.Time) []Fields {
	var moved []Fields
	first := now.In(r.zone).Year()
	for date := time.Date(first, 1, 1, 0, 0, 0, 0, time.UTC); date.Year() <= first+movedYears; date = date.AddDate(0, 0, 1) {
		if offset(date.Add(-24*time.Hour), r.zone) >= offset(date.Add(48*time.Hour), r.zone) || !r.on(date) {
			continue
		}
		for _, minute := range r.minutes {
			if at, exists := r.instant(date, minute); !exists {
				wall := at.In(r.zone)
				moved = append(moved, Fields{Minute: []int{wall.Minute()}, Hour: []int{wall.Hour()}, Day: []int{wall.Day()},
					Month: []int{int(wall.Month())}, Year: []int{wall.Year()}})
			}
		}
	}
	return moved
}
