package contact

import (
	"strings"
	"unicode/utf8"

	"github.com/segment-export/segment-export/internal/dates"
)

// DateSample is a date and how it was read.
type DateSample struct {
	Text string `json:"text"`
	Read string `json:"read"` // in the source's zone, or why not
}

// Seen is what a mapper saw of consent fields besides the profiles, to be shown
// to people. It holds values of rows.
type Seen struct {
	Values map[string]int `json:"values,omitempty"` // undeclared ones, in lower case
	Dates  []DateSample   `json:"dates,omitempty"`
}

const (
	// longestValue is how many characters an undeclared value may have: a longer
	// one is no code.
	longestValue = 20
	// mostValues bounds how many different values are counted: where there are
	// more, the field holds no codes.
	mostValues = 500
	// mostDates is how many dates are kept.
	mostDates = 3
)

// TakeSeen returns what was seen since the mapper was made or TakeSeen was
// called before.
func (m *Mapper) TakeSeen() Seen {
	seen := m.seen
	m.seen = Seen{}
	return seen
}

// Add adds what another mapper saw, or the same one later.
func (s *Seen) Add(other Seen) {
	for v, n := range other.Values {
		s.count(v, n)
	}
	for _, d := range other.Dates {
		s.date(d)
	}
}

func (s *Seen) count(v string, n int) {
	if s.Values == nil {
		s.Values = map[string]int{}
	}
	if _, known := s.Values[v]; !known && len(s.Values) >= mostValues {
		for other, count := range s.Values { // frequent values come again soon
			if count < 2 {
				delete(s.Values, other)
			}
		}
		if len(s.Values) >= mostValues {
			return
		}
	}
	s.Values[v] += n
}

func (s *Seen) date(d DateSample) {
	if len(s.Dates) < mostDates {
		for _, known := range s.Dates {
			if known == d {
				return
			}
		}
		s.Dates = append(s.Dates, d)
	}
}

// see counts an undeclared value. What looks like an address is none.
func (m *Mapper) see(v string) {
	if utf8.RuneCountInString(v) <= longestValue && !strings.Contains(v, "@") {
		m.seen.count(strings.Clone(v), 1)
	}
}

// sample keeps the first dates.
func (m *Mapper) sample(text string, reading dates.Reading, problem dates.Problem) {
	if len(m.seen.Dates) >= mostDates {
		return
	}
	d := DateSample{Text: strings.Clone(text)}
	switch problem {
	case "":
		d.Read = m.dates.Format(reading)
	case dates.Ambiguous:
		d.Read = "not read: day or month may come first, see --date-format dmy and mdy"
	case dates.Serial:
		d.Read = "not read: it may be a spreadsheet's serial number, see --date-format excel"
	default:
		d.Read = "not read, see --date-format"
	}
	m.seen.date(d)
}
