package schedule

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// noon is a moment in winter that no clock change is near.
var noon = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)

func TestCheck(t *testing.T) {
	warsaw := func(every string, at ...string) Calendar {
		return Calendar{Every: every, At: at, Zone: "Europe/Warsaw"}
	}
	line := func(text string) Calendar { return Calendar{Cron: text, Zone: "UTC"} }
	for name, c := range map[string]struct {
		calendar Calendar
		wrong    string
	}{
		"a day":                         {warsaw("day", "06:00", "18:00"), ""},
		"weekdays":                      {warsaw("mon,thu", "06:00"), ""},
		"days of the month":             {warsaw("month:1,15", "23:59"), ""},
		"the 31st":                      {warsaw("month:31", "00:00"), ""},
		"cron":                          {line("30 6 * * mon-fri"), ""},
		"cron, 29 February":             {line("0 0 29 2 *"), ""},
		"an interval":                   {Calendar{Interval: 5 * time.Minute}, ""},
		"nothing":                       {Calendar{Zone: "UTC"}, "when is missing"},
		"no time":                       {warsaw("day"), "--at"},
		"no zone":                       {Calendar{Every: "day", At: []string{"06:00"}}, "--tz"},
		"the machine's zone":            {Calendar{Every: "day", At: []string{"06:00"}, Zone: "Local"}, `no time zone "Local"`},
		"an unknown zone":               {Calendar{Every: "day", At: []string{"06:00"}, Zone: "Europe/Warschau"}, `no time zone "Europe/Warschau"`},
		"a time that is none":           {warsaw("day", "24:00"), `--at "24:00"`},
		"a time of one digit":           {warsaw("day", "6:00"), `--at "6:00"`},
		"a time twice":                  {warsaw("day", "06:00", "06:00"), "twice"},
		"a day that is none":            {warsaw("monday", "06:00"), "none of day"},
		"a day of the month too many":   {warsaw("month:32", "06:00"), `"32" is no day`},
		"no day of the month":           {warsaw("month:", "06:00"), "no day of a month"},
		"cron with six fields":          {line("0 0 6 * * *"), "five fields"},
		"cron with a zone of its own":   {line("CRON_TZ=UTC 0 6 * *"), "five fields"},
		"cron with a word":              {line("@daily"), "five fields"},
		"cron out of range":             {line("60 6 * * *"), "--cron"},
		"cron for a day that never is":  {line("0 0 30 2 *"), "never comes"},
		"cron and every":                {Calendar{Cron: "0 6 * * *", Every: "day", Zone: "UTC"}, "leave --every"},
		"an interval that is too short": {Calendar{Interval: time.Millisecond}, "interval"},
	} {
		t.Run(name, func(t *testing.T) {
			err := c.calendar.Check(noon)
			if c.wrong == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, c.wrong)
		})
	}
}

func TestNextTimes(t *testing.T) {
	for name, c := range map[string]struct {
		calendar Calendar
		after    string
		want     []string
	}{
		"every day": {Calendar{Every: "day", At: []string{"18:00", "06:00"}, Zone: "Europe/Warsaw"}, "2026-11-25T05:00:00+01:00",
			[]string{"2026-11-25T06:00:00+01:00", "2026-11-25T18:00:00+01:00", "2026-11-26T06:00:00+01:00"}},
		"the very moment is over": {Calendar{Every: "day", At: []string{"06:00"}, Zone: "UTC"}, "2026-11-25T06:00:00Z",
			[]string{"2026-11-26T06:00:00Z"}},
		"weekdays": {Calendar{Every: "mon,thu", At: []string{"06:00"}, Zone: "Europe/Warsaw"}, "2026-11-25T00:00:00Z",
			[]string{"2026-11-26T06:00:00+01:00", "2026-11-30T06:00:00+01:00", "2026-12-03T06:00:00+01:00"}},
		"a month without a 31st": {Calendar{Every: "month:1,31", At: []string{"06:00"}, Zone: "UTC"}, "2026-11-25T00:00:00Z",
			[]string{"2026-12-01T06:00:00Z", "2026-12-31T06:00:00Z", "2027-01-01T06:00:00Z"}},
		"summer begins: the hour of the clock stays": {Calendar{Every: "day", At: []string{"06:00"}, Zone: "Europe/Warsaw"}, "2027-03-27T00:00:00+01:00",
			[]string{"2027-03-27T06:00:00+01:00", "2027-03-28T06:00:00+02:00", "2027-03-29T06:00:00+02:00"}},
		"summer begins: a time that does not exist comes an hour later": {Calendar{Every: "day", At: []string{"02:30"}, Zone: "Europe/Warsaw"}, "2027-03-27T00:00:00+01:00",
			[]string{"2027-03-27T02:30:00+01:00", "2027-03-28T03:30:00+02:00", "2027-03-29T02:30:00+02:00"}},
		"summer begins: two times that fall together": {Calendar{Every: "day", At: []string{"02:30", "03:30"}, Zone: "Europe/Warsaw"}, "2027-03-28T00:00:00+01:00",
			[]string{"2027-03-28T03:30:00+02:00", "2027-03-29T02:30:00+02:00"}},
		"summer ends: the hour of the clock stays": {Calendar{Every: "day", At: []string{"06:00"}, Zone: "Europe/Warsaw"}, "2026-10-24T00:00:00+02:00",
			[]string{"2026-10-24T06:00:00+02:00", "2026-10-25T06:00:00+01:00"}},
		"summer ends: a time that comes twice counts once": {Calendar{Every: "day", At: []string{"02:30"}, Zone: "Europe/Warsaw"}, "2026-10-24T00:00:00+02:00",
			[]string{"2026-10-24T02:30:00+02:00", "2026-10-25T02:30:00+01:00", "2026-10-26T02:30:00+01:00"}},
		"cron at a time of the clock, summer ends": {Calendar{Cron: "30 2 * * *", Zone: "Europe/Warsaw"}, "2026-10-25T00:00:00+02:00",
			[]string{"2026-10-25T02:30:00+01:00", "2026-10-26T02:30:00+01:00"}},
		"cron each hour, summer ends": {Calendar{Cron: "30 * * * *", Zone: "Europe/Warsaw"}, "2026-10-25T01:00:00+02:00",
			[]string{"2026-10-25T01:30:00+02:00", "2026-10-25T02:30:00+01:00", "2026-10-25T03:30:00+01:00"}},
		"cron each hour, summer begins": {Calendar{Cron: "30 * * * *", Zone: "Europe/Warsaw"}, "2027-03-28T01:00:00+01:00",
			[]string{"2027-03-28T01:30:00+01:00", "2027-03-28T03:30:00+02:00"}},
		"west of Greenwich, summer ends": {Calendar{Every: "day", At: []string{"01:30"}, Zone: "America/New_York"}, "2026-10-31T12:00:00-04:00",
			[]string{"2026-11-01T01:30:00-04:00", "2026-11-02T01:30:00-05:00"}},
		"cron, a day of the month or of the week": {Calendar{Cron: "0 6 13 * fri", Zone: "UTC"}, "2026-11-25T00:00:00Z",
			[]string{"2026-11-27T06:00:00Z", "2026-12-04T06:00:00Z", "2026-12-11T06:00:00Z", "2026-12-13T06:00:00Z"}},
		"a zone of half an hour's summer": {Calendar{Every: "day", At: []string{"02:15"}, Zone: "Australia/Lord_Howe"}, "2026-10-04T00:00:00+10:30",
			[]string{"2026-10-04T02:45:00+11:00", "2026-10-05T02:15:00+11:00"}},
		"an interval": {Calendar{Interval: 5 * time.Minute}, "2026-11-25T06:02:00Z",
			[]string{"2026-11-25T06:05:00Z", "2026-11-25T06:10:00Z"}},
	} {
		t.Run(name, func(t *testing.T) {
			at := when(t, c.after)
			var got, want []time.Time
			for _, w := range c.want {
				at = c.calendar.Next(at)
				got, want = append(got, at.UTC()), append(want, when(t, w).UTC())
			}
			require.Equal(t, want, got)
		})
	}
}

func when(t *testing.T, text string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339, text)
	require.NoError(t, err)
	return at
}

func TestDue(t *testing.T) {
	c := Calendar{Every: "day", At: []string{"06:00"}, Zone: "UTC"}
	from := when(t, "2026-11-20T06:00:00Z")
	first, last, n := c.Due(from, when(t, "2026-11-23T06:00:00Z"), 100)
	require.Equal(t, 3, n)
	require.Equal(t, []time.Time{when(t, "2026-11-21T06:00:00Z"), when(t, "2026-11-23T06:00:00Z")}, []time.Time{first, last})
	_, _, n = c.Due(from, from.Add(time.Hour), 100)
	require.Zero(t, n)
	_, _, n = c.Due(from, from.AddDate(1, 0, 0), 10)
	require.Equal(t, 10, n)
}

// What a scheduler is given that only looks at the clock: the time that does
// not exist is there once more, where it lies on that one day.
func TestFields(t *testing.T) {
	c := Calendar{Every: "mon,sun", At: []string{"02:30", "06:30"}, Zone: "Europe/Warsaw"}
	fields, err := c.Fields(noon)
	require.NoError(t, err)
	require.Equal(t, Fields{Minute: []int{30}, Hour: []int{2, 6}, Weekday: []int{0, 1}}, fields[0])
	require.Len(t, fields, 1+movedYears+1)
	require.Equal(t, Fields{Minute: []int{30}, Hour: []int{3}, Day: []int{28}, Month: []int{3}, Year: []int{2027}}, fields[2])

	again, err := c.Fields(noon.Add(30 * 24 * time.Hour))
	require.NoError(t, err)
	require.Equal(t, fields, again, "it is the same all year")

	either, err := Calendar{Cron: "0 6 13 * fri", Zone: "UTC"}.Fields(noon)
	require.NoError(t, err)
	require.Equal(t, []Fields{{Minute: []int{0}, Hour: []int{6}, Day: []int{13}}, {Minute: []int{0}, Hour: []int{6}, Weekday: []int{5}}}, either)
}

func TestCalendarForPeople(t *testing.T) {
	c := Calendar{Every: "mon,thu", At: []string{"06:00", "18:00"}, Zone: "Europe/Warsaw"}
	require.Equal(t, "every mon,thu at 06:00, 18:00 (Europe/Warsaw)", c.String())
	require.True(t, strings.HasPrefix(Calendar{Cron: "0 6 * * *", Zone: "UTC"}.String(), "cron 0 6 * * *"))
}
