package dates

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func reader(t *testing.T, format, zone string) *Reader {
	t.Helper()
	r, err := NewReader(format, zone)
	require.NoError(t, err)
	return r
}

func moment(t *testing.T, text string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339Nano, text)
	require.NoError(t, err)
	return at.UTC()
}

// Everything that can be read in one way only is read without a format.
func TestTimesWithOneMeaning(t *testing.T) {
	r := reader(t, Any, "Europe/Warsaw")
	want := moment(t, "2026-01-15T09:00:00Z")
	for _, text := range []string{
		"2026-01-15T10:00:00", "2026-01-15 10:00:00", "2026-01-15T10:00", "2026-01-15 10:00", "2026-1-15 10:00", "2026-01-15T09:00:00Z",
		"2026-01-15T10:00:00+01:00", "2026-01-15T10:00:00+0100", "2026-01-15T10:00:00+01", "2026-01-15T10:00:00.000 +01:00", "2026-01-15 10:00:00 +0100",
		"2026-01-15T10:00:00.0000000", "2026-01-15T10:00:00,000", "2026-01-15 09:00:00 UTC", "2026-01-15 09:00:00 GMT", "2026-01-15 10:00:00 CET", "2026-01-15 11:00 CEST",
		"20260115T100000", "20260115T1000", "20260115T100000Z+"[:15], "20260115T090000Z", "20260115T100000+0100", "20260115 10:00:00", "20260115100000", "20260115100000000",
		"2026/01/15 10:00:00", "2026/1/15 10:00", "2026.01.15 10:00", "2026-W03-4T10:00", "2026W034T10:00:00", "2026-015T10:00:00",
		"15.01.2026 10:00", "15.1.2026 10:00:00", "15.01.2026, 10:00", "15. 1. 2026 10:00", "15.01.2026 10.00",
		"1/15/2026 10:00:00 AM", "01/15/2026 10:00", "1/15/2026, 10:00 AM", "15/01/2026 10:00", "15-01-2026 10:00:00",
		"Jan 15, 2026 10:00", "January 15, 2026 10:00 AM", "Jan 15 2026 10:00AM", "Jan 15 2026 10:00:00:000AM", "15 Jan 2026 10:00", "15-Jan-2026 10:00:00", "15-JAN-2026 10.00.00.000000 AM",
		"2026-Jan-15 10:00", "15th of January 2026 at 10 AM", "January 15th, 2026 at 10:00 am",
		"Thu, 15 Jan 2026 10:00:00 +0100", "Thu, 15 Jan 2026 09:00:00 GMT", "Thu Jan 15 2026 10:00:00 GMT+0100 (Central European Standard Time)",
		"Thu Jan 15 10:00:00 2026", "Thu Jan 15 09:00:00 UTC 2026", "Thu Jan 15 10:00:00 CET 2026", "Thursday, January 15, 2026 10:00:00 AM",
		"1768467600", "1768467600.0", "1768467600000", "1768467600000.0", "1768467600000000", "1768467600000000000", "/Date(1768467600000)/", "/Date(1768467600000+0100)/", `\/Date(1768467600000)\/`,
		"2026-01-15-10.00.00.000000", "2026-01-15-10.00.00", "2026-01-15T10:00:00+01:00[Europe/Warsaw]", "2026-01-15T10",
	} {
		got, problem := r.Read(text)
		require.Empty(t, problem, text)
		require.Equal(t, want, got.Earliest, text)
		require.Equal(t, want, got.Latest, text)
		require.False(t, got.Day, text)
	}
	got, _ := r.Read("2026-01-15T09:00:00.123456Z")
	require.Equal(t, want.Add(123*time.Millisecond), got.Earliest, "to the millisecond")
	got, _ = r.Read("2026-01-15T24:00")
	require.Equal(t, moment(t, "2026-01-15T23:00:00Z"), got.Earliest, "the end of the day")
	got, _ = r.Read("1/15/2026 12:30 AM")
	require.Equal(t, moment(t, "2026-01-14T23:30:00Z"), got.Earliest, "after midnight")
}

func TestADayLastsFromMidnightToMidnight(t *testing.T) {
	for _, text := range []string{"2026-01-15", "2026-1-15", "20260115", "20260115.0", "15.01.2026", "15.1.2026", "1/15/2026", "15/01/2026", "15-01-2026", "Jan 15, 2026", "15 January 2026",
		"2026/01/15", "2026-W03-4", "2026-015", "Thu, 15 Jan 2026", "15-Jan-2026"} {
		got, problem := reader(t, Any, "Europe/Warsaw").Read(text)
		require.Empty(t, problem, text)
		require.True(t, got.Day, text)
		require.Equal(t, moment(t, "2026-01-14T23:00:00Z"), got.Earliest, text)
		require.Equal(t, moment(t, "2026-01-15T22:59:59.999Z"), got.Latest, text)
		require.Equal(t, "2026-01-15", got.Wall.Format(time.DateOnly), text)
	}
	got, _ := reader(t, Any, "Europe/Warsaw").Read("2026-03-29")
	require.Equal(t, 23*time.Hour, got.Latest.Sub(got.Earliest).Round(time.Second), "the day on which summer time begins is short")
	got, _ = reader(t, Any, "Europe/Warsaw").Read("2026-10-25")
	require.Equal(t, 25*time.Hour, got.Latest.Sub(got.Earliest).Round(time.Second))
	got, _ = (&Reader{}).Read("2026-01-15")
	require.Equal(t, moment(t, "2026-01-15T00:00:00Z"), got.Earliest, "the zero reader reads in UTC")
}

func TestNothingIsGuessed(t *testing.T) {
	for text, want := range map[string]Problem{
		"01/02/2026": Ambiguous, "1/2/2026 10:00": Ambiguous, "01-02-2026": Ambiguous, "15.01.26": Ambiguous, "15/01/26": Ambiguous, "26-01-15": Ambiguous, "15-JAN-26": Ambiguous,
		"202601151000": Ambiguous,
		"46037":        Serial, "46037.4375": Serial, "46037,4375": Serial,
		"": Unreadable, "x": Unreadable, "2026": Unreadable, "2026-13-01": Unreadable, "2026-02-30": Unreadable, "31.02.2026": Unreadable, "13/13/2026": Unreadable,
		"2026-01-15T25:00:00Z": Unreadable, "2026-01-15T10:60": Unreadable, "2026-01-15T": Unreadable, "2026-01-15 10": Unreadable, "2026-01-15 13:00 PM": Unreadable, "2026-01-15 0:30 AM": Unreadable,
		"2026-01-15 10:00 CST": Unreadable, "2026-01-15 10:00 EST": Unreadable, "2026-01-15 10:00 +25:00": Unreadable, "2026-01-15\x00": Unreadable, "２０２６-01-15": Unreadable,
		"Wed, 15 Jan 2026": Unreadable, "2026-01/15": Unreadable, "2026-W54-1": Unreadable, "2026-366": Unreadable, "2026-000": Unreadable, "yesterday": Unreadable,
		"2026-01-155": Unreadable, "123": Unreadable, "-1768467600": Unreadable, "1.7684676E+12": Unreadable, "10:00": Unreadable, "Jan 2026": Unreadable, "2026-01": Unreadable,
		"2026-01-15 10:00m": Unreadable, strings.Repeat("2026-01-15 ", 20): Unreadable, "12345": Unreadable, "99999": Unreadable,
	} {
		_, problem := reader(t, Any, "Europe/Warsaw").Read(text)
		require.Equal(t, want, problem, "%q", text)
	}
	got, problem := reader(t, Any, "").Read("02/02/2026")
	require.Empty(t, problem, "either order gives the same day")
	require.Equal(t, "2026-02-02", got.Wall.Format(time.DateOnly))
}

func TestAFormatThatIsTold(t *testing.T) {
	for _, test := range []struct{ format, text, want string }{
		{DMY, "01/02/2026", "2026-02-01T00:00:00Z"}, {MDY, "01/02/2026", "2026-01-02T00:00:00Z"}, {DMY, "1-2-2026 10:00", "2026-02-01T10:00:00Z"},
		{DMY, "01.02.26", "2026-02-01T00:00:00Z"}, {MDY, "01/02/26", "2026-01-02T00:00:00Z"}, {MDY, "01.02.2026", "2026-01-02T00:00:00Z"}, {DMY, "2026-01-02", "2026-01-02T00:00:00Z"},
		{DMY, "15-JAN-26 10.00.00.000000 AM", "2026-01-15T10:00:00Z"},
		{DMY, "01/15/2026", ""}, {MDY, "15/01/2026", ""}, {MDY, "15.01.2026", ""}, {DMY, "46037", ""},
		{Excel, "46037", "2026-01-15T00:00:00Z"}, {Excel, "46037.4375", "2026-01-15T10:30:00Z"}, {Excel, "46037,4375", "2026-01-15T10:30:00Z"}, {Excel, "61", "1900-03-01T00:00:00Z"}, {Excel, "60", ""},
		{Excel, "2026-01-15", "2026-01-15T00:00:00Z"}, {Excel, "45000.999994213", "2023-03-15T23:59:59.5Z"},
		{Epoch, "1768471200", "2026-01-15T10:00:00Z"}, {Epoch, "1768471200000", "2026-01-15T10:00:00Z"}, {Epoch, "1768471200.5", "2026-01-15T10:00:00.5Z"}, {Epoch, "20260115", "1970-08-23T11:48:35Z"}, {Epoch, "2026-01-15", "2026-01-15T00:00:00Z"},
		{ISO, "2026-01-15", "2026-01-15T00:00:00Z"}, {ISO, "20260115", "2026-01-15T00:00:00Z"}, {ISO, "2026-1-5", "2026-01-05T00:00:00Z"}, {ISO, "15.01.2026", ""}, {ISO, "1768471200", ""}, {ISO, "Jan 15, 2026", ""}, {ISO, "1/15/2026", ""},
		{"dd/MM/yyyy HH:mm", "01/02/2026 10:00", "2026-02-01T10:00:00Z"}, {"M/d/yyyy h:mm a", "1/2/2026 3:04 pm", "2026-01-02T15:04:00Z"}, {"dd/MM/yyyy", "2026-01-15", ""},
		{"%d/%m/%Y", "01/02/2026", "2026-02-01T00:00:00Z"}, {"02/01/2006", "01/02/2026", "2026-02-01T00:00:00Z"}, {"yyyy-dd-MM", "2026-15-01", "2026-01-15T00:00:00Z"}, {"DD-MON-RR", "", "refused"},
		{"02 Jan 06 15:04 -0700", "15 Jan 26 10:00 +0100", "2026-01-15T09:00:00Z"},
		{"words", "", "refused"}, {"HH:mm", "", "refused"}, {"dd/MM", "", "refused"},
	} {
		r, err := NewReader(test.format, "")
		if test.want == "refused" {
			require.Error(t, err, test.format)
			continue
		}
		require.NoError(t, err)
		got, problem := r.Read(test.text)
		if test.want == "" {
			require.NotEmpty(t, problem, "%s %s gave %v", test.format, test.text, got.Earliest)
			continue
		}
		require.Empty(t, problem, "%s %s", test.format, test.text)
		require.Equal(t, moment(t, test.want), got.Earliest, "%s %s", test.format, test.text)
	}
	for _, zone := range []string{"Nowhere", "Local", "../etc/passwd", "CEST"} {
		_, err := NewReader(Any, zone)
		require.ErrorContains(t, err, "time zone", zone)
	}
}

// The hour that is left out in spring does not exist, and the one that is
// repeated in autumn is two: an opt-out counts at the later moment, a consent at
// the earlier.
func TestTheHoursThatDaylightSavingMoves(t *testing.T) {
	for _, test := range []struct{ zone, text, first, last string }{
		{"Europe/Warsaw", "2026-03-29 02:30", "2026-03-29T00:30:00Z", "2026-03-29T01:30:00Z"},
		{"Europe/Warsaw", "2026-10-25 02:30", "2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z"},
		{"Europe/Warsaw", "2026-10-25 02:30 CEST", "2026-10-25T00:30:00Z", "2026-10-25T00:30:00Z"},
		{"Europe/Warsaw", "2026-10-25 02:30 CET", "2026-10-25T01:30:00Z", "2026-10-25T01:30:00Z"},
		{"Europe/Warsaw", "2026-10-25 01:59", "2026-10-24T23:59:00Z", "2026-10-24T23:59:00Z"},
		{"Europe/Warsaw", "2026-10-25 03:00", "2026-10-25T02:00:00Z", "2026-10-25T02:00:00Z"},
		{"America/New_York", "2026-11-01 01:30", "2026-11-01T05:30:00Z", "2026-11-01T06:30:00Z"},
		{"America/New_York", "2026-03-08 02:30", "2026-03-08T06:30:00Z", "2026-03-08T07:30:00Z"},
		{"Asia/Kolkata", "2026-03-29 02:30 IST", "2026-03-28T21:00:00Z", "2026-03-28T21:00:00Z"},
	} {
		got, problem := reader(t, Any, test.zone).Read(test.text)
		require.Empty(t, problem, test.text)
		require.Equal(t, moment(t, test.first), got.Earliest, test.text)
		require.Equal(t, moment(t, test.last), got.Latest, test.text)
	}
}

func TestAReadingInWords(t *testing.T) {
	r := reader(t, Any, "Europe/Warsaw")
	g, _ := r.Read("2026-01-15T09:00:00Z")
	require.Equal(t, "2026-01-15 10:00:00 +01:00 in Europe/Warsaw", r.Format(g))
	g, _ = r.Read("15.01.2026")
	require.Equal(t, "2026-01-15, the whole day in Europe/Warsaw", r.Format(g))
}

func FuzzRead(f *testing.F) {
	for _, text := range []string{"2026-01-15T10:00:00+01:00", "15.01.2026 10:00", "1/15/2026 10:00:00 AM", "46037.4375", "1768471200000", "/Date(1)/", "Thu Jan 15 10:00:00 CET 2026", "2026-W03-4"} {
		f.Add(text)
	}
	var readers []*Reader
	for _, format := range []string{Any, ISO, DMY, MDY, Excel, Epoch, "dd/MM/yyyy HH:mm"} {
		for _, zone := range []string{"", "Europe/Warsaw", "America/Sao_Paulo", "Australia/Lord_Howe"} {
			r, err := NewReader(format, zone)
			require.NoError(f, err)
			readers = append(readers, r)
		}
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, r := range readers {
			g, problem := r.Read(text)
			if problem != "" {
				require.Contains(t, []Problem{Unreadable, Ambiguous, Serial}, problem)
				continue
			}
			require.False(t, g.Latest.Before(g.Earliest), "%q", text)
			require.LessOrEqual(t, g.Latest.Sub(g.Earliest), 26*time.Hour, "%q", text)
			require.Equal(t, g.Earliest.Truncate(time.Millisecond), g.Earliest)
			require.NotEmpty(t, r.Format(g))
		}
	})
}

// What a reader reads as one order it never reads as the other.
func TestNoTwoOrdersAgreeByChance(t *testing.T) {
	free, dmy, mdy := reader(t, Any, ""), reader(t, DMY, ""), reader(t, MDY, "")
	for d := 1; d <= 31; d++ {
		for m := 1; m <= 31; m++ {
			text := fmt.Sprintf("%02d/%02d/2026", d, m)
			got, problem := free.Read(text)
			one, badOne := dmy.Read(text)
			other, badOther := mdy.Read(text)
			switch {
			case badOne == "" && badOther == "" && one != other:
				require.Equal(t, Ambiguous, problem, text)
			case badOne == "":
				require.Equal(t, one, got, text)
			case badOther == "":
				require.Equal(t, other, got, text)
			default:
				require.Equal(t, Unreadable, problem, text)
			}
		}
	}
}

func BenchmarkRead(b *testing.B) {
	r, _ := NewReader(Any, "Europe/Warsaw")
	for _, text := range []string{"2026-01-15T10:00:00Z", "2026-01-15 10:00:00", "15.01.2026 10:00"} {
		b.Run(text, func(b *testing.B) {
			for b.Loop() {
				r.Read(text)
			}
		})
	}
}
