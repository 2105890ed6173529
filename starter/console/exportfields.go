package console

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/segment-export/segment-export/internal/catalogue"
	"github.com/segment-export/segment-export/internal/contact"
	"github.com/segment-export/segment-export/internal/protocol"
)

// longestSample is how many characters of a value stand beside a field's name.
const longestSample = 24

// fillChoices asks the source what it has, and what the first rows hold. An
// error is part of the form: the visitor can choose another source.
func (q *request) fillChoices(f *exportForm) {
	var a protocol.SourceAnswer
	err := ask(q, Order{Name: protocol.SourceShow, Args: protocol.SourceShowArgs{Name: f.Spec.Source}, Object: f.Spec.Source, Personal: true}, &a)
	if err != nil {
		f.SourceError = err.Error()
		return
	}
	fields := a.Fields
	for _, s := range a.SegmentList {
		chosen := slices.ContainsFunc(f.Spec.Segments, func(e catalogue.ExportedSegment) bool { return e.Segment == s.Name })
		f.Segments = append(f.Segments, segmentChoice{s, chosen || f.New && f.Spec.Segments == nil && len(a.SegmentList) == 1})
		for _, field := range s.Fields {
			if !slices.Contains(fields, field) {
				fields = append(fields, field)
			}
		}
	}
	if len(f.Segments) > 0 {
		q.lookInto(f)
	}
	found := map[string]*protocol.PreviewField{}
	if f.Preview != nil {
		for i := range f.Preview.Fields {
			found[f.Preview.Fields[i].Name] = &f.Preview.Fields[i]
		}
	}
	for _, name := range fields {
		choice := fieldChoice{Name: name}
		if seen := found[name]; seen != nil && len(seen.Samples) > 0 {
			choice.Sample = shortened(seen.Samples[0])
		}
		f.Fields = append(f.Fields, choice)
	}
	fillMapping(f, fields, found)
	for _, a := range []contact.Attribute{contact.ConsentFlag, contact.SMSConsent} {
		if seen := found[mapped(f, a)]; seen != nil && len(seen.Values) > 0 {
			values := consentValues{Attribute: a, Field: seen.Name}
			for _, v := range seen.Values {
				means, err := f.Spec.Consent.Meaning(v.Value)
				if err != nil {
					f.PreviewNote = err.Error()
				}
				values.Values = append(values.Values, consentValue{v.Value, means, v.Count})
			}
			// Those that nobody has declared are first: they need a decision.
			slices.SortStableFunc(values.Values, func(a, b consentValue) int {
				return cmp.Compare(rank(a), rank(b))
			})
			f.Consents = append(f.Consents, values)
		}
	}
	for _, g := range []catalogue.Guard{catalogue.GuardShrunk, catalogue.GuardInvalid, catalogue.GuardLeavers, catalogue.GuardOptOuts, catalogue.GuardConsent, catalogue.GuardCleared} {
		row := guardRow{Guard: g}
		if t, ok := f.Spec.Guards[g]; ok {
			row.Percent = strconv.FormatFloat(float64(t)*100, 'f', -1, 64)
		}
		f.Guards = append(f.Guards, row)
	}
	f.MayRunAs = q.administers()
}

// rank is the place of a value in the list: undeclared ones first.
func rank(v consentValue) int {
	if v.Means == contact.MeansUnknown {
		return 0
	}
	return 1
}

// lookInto has the worker read the first rows. A form works without them.
func (q *request) lookInto(f *exportForm) {
	spec := f.Spec
	if spec.Mapping[contact.Email] == "" {
		spec.Mapping = nil
	}
	var a protocol.PreviewAnswer
	if err := act(q, Order{Name: protocol.ExportPreview, Args: protocol.ExportPreviewArgs{ExportSpec: spec}, Object: f.Name, Personal: true}, &a); err != nil {
		f.PreviewNote = err.Error()
		return
	}
	f.Preview = &a
}

func shortened(text string) string {
	if utf8.RuneCountInString(text) <= longestSample {
		return text
	}
	return string([]rune(text)[:longestSample]) + "…"
}

// mapped is the field that fills an attribute in the form.
func mapped(f *exportForm, a contact.Attribute) string {
	for _, row := range f.Mapping {
		if row.Attribute == a {
			return row.Field
		}
	}
	return ""
}

// fillMapping makes the rows of the mapping, with suggestions in a new export.
func fillMapping(f *exportForm, fields []string, found map[string]*protocol.PreviewField) {
	fresh := f.New && f.Spec.Mapping == nil
	id, suggested := contact.Suggest(seen(fields, found))
	for _, a := range contact.Attributes {
		row := mappingRow{Attribute: a, Field: f.Spec.Mapping[a], Required: a == contact.Email}
		if fresh {
			row.Field, row.Suggested = suggested[a], suggested[a] != ""
		}
		f.Mapping = append(f.Mapping, row)
	}
	var properties []mappingRow
	for a, field := range f.Spec.Mapping {
		if a.IsProperty() {
			properties = append(properties, mappingRow{Attribute: a, Name: strings.TrimPrefix(string(a), "property:"), Field: field})
		}
	}
	slices.SortFunc(properties, func(a, b mappingRow) int { return cmp.Compare(a.Name, b.Name) })
	f.Mapping = append(f.Mapping, properties...)
	if f.New && f.Spec.ID == "" && f.Spec.Mapping == nil {
		f.Spec.ID = id
	}
}

// seen are fields with what a preview found in them.
func seen(fields []string, found map[string]*protocol.PreviewField) (all []contact.FieldSample) {
	for _, name := range fields {
		one := contact.FieldSample{Name: name}
		if f := found[name]; f != nil {
			one.Samples, one.Kinds = f.Samples, len(f.Values)
		}
		all = append(all, one)
	}
	return all
}
