package dates

import (
	"regexp"
	"strings"
)

// letters and percents are the parts of a layout as other programs write them,
// and Go's for each. Longer ones come first.
var (
	letters = strings.NewReplacer("yyyy", "2006", "YYYY", "2006", "yy", "06", "YY", "06", "MMMM", "January", "MMM", "Jan", "MM", "01", "M", "1",
		"dd", "02", "DD", "02", "d", "2", "D", "2", "HH24", "15", "HH", "15", "H", "15", "hh", "03", "h", "3", "mm", "04", "MI", "04", "ss", "05", "SS", "05",
		"SSS", "000", "tt", "PM", "a", "PM", "XXX", "Z07:00", "Z", "-0700", "'", "")
	percents = strings.NewReplacer("%Y", "2006", "%y", "06", "%m", "01", "%d", "02", "%e", "_2", "%H", "15", "%I", "03", "%M", "04", "%S", "05",
		"%p", "PM", "%b", "Jan", "%B", "January", "%z", "-0700", "%f", "000000", "%F", "2006-01-02", "%T", "15:04:05")
)

var (
	hasYear  = regexp.MustCompile(`2006|06`)
	hasMonth = regexp.MustCompile(`01|Jan|1`)
	hasDay   = regexp.MustCompile(`02|_2|2`)
)

// goLayout turns a layout into Go's; false for one without day, month or year.
func goLayout(format string) (string, bool) {
	layout := format
	switch {
	case strings.Contains(format, "%"):
		layout = percents.Replace(format)
	case !strings.ContainsAny(format, "0123456789"):
		layout = letters.Replace(format)
	}
	rest := strings.NewReplacer("15", "", "2006", "", "-0700", "", "Z07:00", "").Replace(layout)
	ok := hasYear.MatchString(layout) && hasMonth.MatchString(rest) && hasDay.MatchString(rest) && !strings.Contains(layout, "%")
	return layout, ok
}

func layoutHasZone(layout string) bool {
	return strings.Contains(layout, "-07") || strings.Contains(layout, "Z07") || strings.Contains(layout, "MST")
}

func layoutHasHour(layout string) bool {
	return strings.Contains(layout, "15") || strings.Contains(layout, "03") || strings.Contains(layout, "3:")
}
