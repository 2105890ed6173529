package console

import (
	"fmt"
	"html/template"
	"strings"
	"time"

	"github.com/segment-export/segment-export/internal/protocol"
)

// spark is a small bar chart: one bar for each run, the oldest first. The part
// of a bar that was rejected has a colour and a pattern of its own.
func spark(bars []bar, label string) template.HTML {
	const width, height, gap = 6, 36, 2
	most := 1
	for _, b := range bars {
		most = max(most, b.Good+b.Bad)
	}
	var s strings.Builder
	fmt.Fprintf(&s, `<svg class="spark" role="img" viewBox="0 0 %d %d" aria-label="%s">`,
		max(1, len(bars))*(width+gap), height, template.HTMLEscapeString(label))
	for i, b := range bars {
		good, bad := b.Good*height/most, b.Bad*height/most
		if b.Good > 0 {
			good = max(good, 2)
		}
		if b.Bad > 0 {
			bad = max(bad, 2)
		}
		x := i * (width + gap)
		if good+bad == 0 {
			fmt.Fprintf(&s, `<rect class="none" x="%d" y="%d" width="%d" height="1"/>`, x, height-1, width)
			continue
		}
		fmt.Fprintf(&s, `<rect class="good" x="%d" y="%d" width="%d" height="%d"/>`, x, height-good-bad, width, good)
		fmt.Fprintf(&s, `<rect class="bad" x="%d" y="%d" width="%d" height="%d"/>`, x, height-bad, width, bad)
	}
	s.WriteString(`</svg>`)
	return template.HTML(s.String()) //nolint:gosec // numbers, and a label that was escaped
}

// minute is one minute in the plot of a budget.
type minute struct {
	At                    time.Time
	Calls, Limit, Refused int
}

// lastHour is every minute of the last hour, with what is known of some. A
// minute without calls has the limit of the one before.
func lastHour(now time.Time, known []protocol.BudgetMinute, limit int) []minute {
	const minutes = 60
	by := map[time.Time]protocol.BudgetMinute{}
	for _, m := range known {
		by[m.At.UTC()] = m
	}
	all := make([]minute, minutes)
	start := now.UTC().Truncate(time.Minute).Add(-(minutes - 1) * time.Minute)
	for i := range all {
		at := start.Add(time.Duration(i) * time.Minute)
		all[i] = minute{At: at, Limit: limit}
		if m, ok := by[at]; ok {
			all[i] = minute{at, m.Calls, m.Limit, m.Refused}
			limit = m.Limit
		}
	}
	return all
}

// hourPlot is a bar for each minute, a line for the limit in force, and a mark
// above minutes in which Omnisend refused calls. A table has the same numbers.
func hourPlot(all []minute) template.HTML {
	const width, gap, height, mark = 10, 2, 120, 12
	most := 1
	for _, m := range all {
		most = max(most, m.Calls, m.Limit)
	}
	var s, line strings.Builder
	fmt.Fprintf(&s, `<svg class="hour" viewBox="0 0 %d %d" preserveAspectRatio="none" aria-hidden="true">`, len(all)*(width+gap), height+mark)
	for i, m := range all {
		x, high := i*(width+gap), m.Calls*height/most
		if m.Calls > 0 {
			high = max(high, 2)
			fmt.Fprintf(&s, `<rect class="good" x="%d" y="%d" width="%d" height="%d"/>`, x, mark+height-high, width, high)
		}
		if m.Refused > 0 {
			fmt.Fprintf(&s, `<rect class="bad" x="%d" y="0" width="%d" height="%d"/>`, x, width, mark-2)
		}
		if m.Limit > 0 {
			y := mark + height - m.Limit*height/most
			fmt.Fprintf(&line, "%d,%d %d,%d ", x, y, x+width+gap, y)
		}
	}
	fmt.Fprintf(&s, `<polyline class="limit" points="%s"/></svg>`, strings.TrimSpace(line.String()))
	return template.HTML(s.String()) //nolint:gosec // numbers
}

// bar is one run in a plot.
type bar struct{ Good, Bad int }

// piece is one part of a stacked bar.
type piece struct {
	Class string
	Name  string
	Count int
}

// stack is a horizontal bar of pieces. A table with the same numbers stands
// beside it, so that it is hidden from screen readers.
func stack(pieces []piece) template.HTML {
	const width, height = 1000, 24
	all := 0
	for _, p := range pieces {
		all += max(0, p.Count)
	}
	var s strings.Builder
	fmt.Fprintf(&s, `<svg class="stack" viewBox="0 0 %d %d" preserveAspectRatio="none" aria-hidden="true">`, width, height)
	fmt.Fprintf(&s, `<rect class="none" x="0" y="0" width="%d" height="%d"/>`, width, height)
	at := 0
	for _, p := range pieces {
		if p.Count <= 0 {
			continue
		}
		wide := max(2, p.Count*width/all)
		fmt.Fprintf(&s, `<rect class="%s" x="%d" y="0" width="%d" height="%d"><title>%s: %s</title></rect>`,
			p.Class, at, min(wide, width-at), height, template.HTMLEscapeString(p.Name), count(p.Count))
		at = min(width, at+wide)
	}
	s.WriteString(`</svg>`)
	return template.HTML(s.String()) //nolint:gosec // numbers, and names that were escaped
}
