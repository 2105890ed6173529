// Package preview shows what an export would make of the first rows of its
// segments, without storing or sending anything.
package preview

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/segment-export/segment-export/internal/catalogue"
	"github.com/segment-export/segment-export/internal/contact"
	"github.com/segment-export/segment-export/internal/protocol"
	"github.com/segment-export/segment-export/internal/segment"
)

const (
	// mostRows is how many rows of all segments together are looked at.
	mostRows = 5_000
	// mostSamples is how many values of a field are shown, mostCharacters how many
	// characters of each, and mostFields of how many fields.
	mostSamples, mostCharacters, mostFields = 3, 60, 500
	// mostValues is how many different values a field may have to be shown with
	// all of them: one with more holds no codes.
	mostValues = 30
	// often is how many rows a value must have, on average, to be one of a few.
	often = 2
)

// RuleError is the error of a mapping, or of rules of consent and dates, that
// cannot be.
type RuleError struct{ err error }

func (e *RuleError) Error() string { return e.err.Error() }

// Unwrap returns what is wrong.
func (e *RuleError) Unwrap() error { return e.err }

// Look reads the first rows of an export's segments, until ctx ends at the
// latest: what was read until then is the answer. now is the time that dates of
// consent must be before.
func Look(ctx context.Context, src segment.Source, from catalogue.Source, spec catalogue.ExportSpec, now time.Time) (*protocol.PreviewAnswer, error) {
	v := &viewer{spec: spec, now: now, said: map[string]contact.Statements{}}
	if len(spec.Mapping) > 0 {
		rules, err := spec.ContactRules(from)
		if err != nil {
			return nil, &RuleError{err}
		}
		if v.mapper, err = contact.NewMapper(spec.Mapping, rules, now); err != nil {
			return nil, &RuleError{err}
		}
		v.answer.Result = &protocol.PreviewOutcome{Invalid: map[string]int{}, Notes: map[string]int{}, LeftOut: map[string]int{}}
	}
	names, err := segmentsOf(ctx, src, spec)
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		err := v.read(ctx, src, name)
		if ctx.Err() != nil && v.answer.Rows > 0 {
			v.answer.More = true
			break
		}
		if err != nil {
			return nil, err
		}
	}
	return v.finish(), nil
}

func segmentsOf(ctx context.Context, src segment.Source, spec catalogue.ExportSpec) ([]string, error) {
	var names []string
	for _, s := range spec.Segments {
		names = append(names, s.Segment)
	}
	if len(names) > 0 {
		return names, nil
	}
	all, err := src.Segments(ctx)
	if err != nil || len(all) == 0 {
		return nil, err
	}
	return []string{all[0].Name}, nil
}

// viewer gathers what the rows hold.
type viewer struct {
	spec   catalogue.ExportSpec
	now    time.Time
	mapper *contact.Mapper // nil: only the fields are looked at
	answer protocol.PreviewAnswer
	counts []map[string]int // of each field's values; nil: too many
	said   map[string]contact.Statements
}

// read looks at one segment.
func (v *viewer) read(ctx context.Context, src segment.Source, name string) error {
	info, err := src.Describe(ctx, name)
	if errors.Is(err, segment.ErrEmpty) {
		return nil
	}
	if err != nil {
		return err
	}
	fields := info.Fields[:min(len(info.Fields), mostFields)]
	mapped := make([]int, 0, len(v.spec.Mapping))
	if v.mapper != nil {
		for _, field := range v.mapper.Fields() {
			if !slices.Contains(fields, field) {
				fields = append(slices.Clip(fields), field) // the source says what is missing
			}
			mapped = append(mapped, slices.Index(fields, field))
		}
	}
	rows, err := src.Open(ctx, name, fields, nil)
	if err != nil {
		return err
	}
	err = v.rows(rows, fields, mapped)
	return errors.Join(err, rows.Close())
}

func (v *viewer) rows(rows segment.Reader, fields []string, mapped []int) error {
	places := make([]int, len(fields))
	for i, field := range fields {
		places[i] = v.place(field)
	}
	values := make([]string, len(mapped))
	for {
		if v.answer.Rows >= mostRows {
			v.answer.More = true
			return nil
		}
		row, err := rows.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		v.answer.Rows++
		if row.Problem != "" {
			v.reject(string(row.Problem))
			continue
		}
		for i, value := range row.Values {
			v.see(places[i], value)
		}
		if v.mapper == nil {
			continue
		}
		for i, place := range mapped {
			values[i] = row.Values[place]
		}
		v.take(values)
	}
}

func (v *viewer) reject(reason string) {
	if v.answer.Result != nil {
		v.answer.Result.Invalid[reason]++
	}
}

// take makes a contact of a row.
func (v *viewer) take(values []string) {
	profile, reason := v.mapper.Map(values)
	if reason != "" {
		v.reject(string(reason))
		return
	}
	for _, why := range v.mapper.LeftOut() {
		v.answer.Result.LeftOut[string(why)]++
	}
	known, ok := v.said[profile.Email]
	if !ok {
		v.said[profile.Email] = profile.Said
		return
	}
	v.answer.Result.Duplicate++
	v.said[profile.Email] = known.Stricter(profile.Said)
}

func (v *viewer) place(field string) int {
	i := slices.IndexFunc(v.answer.Fields, func(f protocol.PreviewField) bool { return f.Name == field })
	if i >= 0 {
		return i
	}
	v.answer.Fields = append(v.answer.Fields, protocol.PreviewField{Name: field})
	v.counts = append(v.counts, map[string]int{})
	return len(v.answer.Fields) - 1
}

// see counts a value of a field.
func (v *viewer) see(place int, value string) {
	value = strings.TrimSpace(value)
	if value == "" {
		return
	}
	if utf8.RuneCountInString(value) > mostCharacters {
		value = string([]rune(value)[:mostCharacters]) + "…"
	}
	f := &v.answer.Fields[place]
	f.Filled++
	if len(f.Samples) < mostSamples && !slices.Contains(f.Samples, value) {
		f.Samples = append(f.Samples, value)
	}
	if counts := v.counts[place]; counts != nil {
		counts[value]++
		if len(counts) > mostValues {
			v.counts[place] = nil
		}
	}
}

// finish adds up what was seen.
func (v *viewer) finish() *protocol.PreviewAnswer {
	for i, counts := range v.counts {
		f := &v.answer.Fields[i]
		consent := v.mapper != nil && (f.Name == v.spec.Mapping[contact.ConsentFlag] || f.Name == v.spec.Mapping[contact.SMSConsent])
		if !consent && len(counts)*often > f.Filled {
			continue
		}
		for value, n := range counts {
			f.Values = append(f.Values, protocol.PreviewValue{Value: value, Count: n})
		}
		slices.SortFunc(f.Values, func(a, b protocol.PreviewValue) int {
			if a.Count != b.Count {
				return b.Count - a.Count
			}
			return strings.Compare(a.Value, b.Value)
		})
	}
	result := v.answer.Result
	if result == nil {
		return &v.answer
	}
	result.Contacts = len(v.said)
	for _, said := range v.said {
		settled, _ := contact.Memory{}.Settle(said, v.spec.Consent, v.now)
		switch settled.Mail.Status {
		case contact.Subscribed:
			result.Subscribed++
			continue
		case contact.Unsubscribed:
			result.Unsubscribed++
			continue
		case contact.NonSubscribed:
			result.NonSubscribed++
		}
		if said.Mail.Note != "" {
			result.Notes[string(said.Mail.Note)]++
		}
	}
	result.Dates = v.mapper.TakeSeen().Dates
	return &v.answer
}
