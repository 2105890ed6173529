package console

import (
	"net/url"
	"strconv"
	"strings"

	"github.com/segment-export/segment-export/internal/catalogue"
	"github.com/segment-export/segment-export/internal/contact"
)

// readSpec takes what the form says into the export. Settings without a field
// in the form stay as they are.
func readSpec(form url.Values, s *catalogue.ExportSpec) error {
	s.Connection, s.Source, s.ID = form.Get("connection"), form.Get("source"), form.Get("id")
	before := map[string]string{} // markers
	for _, e := range s.Segments {
		before[e.Segment] = e.Marker
	}
	if len(form["segment"]) == 0 {
		return &invalid{"Choose at least one segment."}
	}
	s.Segments = nil
	for _, name := range form["segment"] {
		marker := before[name]
		if key := markerPrefix + name; form.Has(key) {
			marker = strings.TrimSpace(form.Get(key))
		}
		s.Segments = append(s.Segments, catalogue.ExportedSegment{Segment: name, Marker: marker})
	}
	mapping := contact.Mapping{}
	for a, field := range s.Mapping { // a form that was opened before may lack a property
		if a.IsProperty() && !form.Has(mapPrefix+string(a)) {
			mapping[a] = field
		}
	}
	for key := range form {
		if a, ok := strings.CutPrefix(key, mapPrefix); ok && form.Get(key) != "" {
			mapping[contact.Attribute(a)] = form.Get(key)
		}
	}
	name, field := strings.TrimSpace(form.Get("property")), form.Get("property.field")
	if name != "" && field != "" {
		mapping[contact.Attribute("property:"+name)] = field
	}
	s.Mapping = mapping
	s.Consent.Consent, s.Consent.OptOut = words(form.Get("consent")), words(form.Get("optout"))
	s.Leavers = catalogue.LeaverPolicy(form.Get("leavers"))
	if err := readMore(form, s); err != nil {
		return err
	}
	return readGuards(form, s)
}

// The beginnings of the names of inputs, one for each attribute and segment.
const (
	mapPrefix    = "map."
	markerPrefix = "marker."
)

// readMore takes the settings that few exports need.
func readMore(form url.Values, s *catalogue.ExportSpec) error {
	for name, setting := range map[string]*string{"undated": (*string)(&s.Consent.UndatedOptOuts), "refusals": (*string)(&s.Consent.Refusals),
		"empty": (*string)(&s.Empty), "timezone": &s.TimeZone, "dateformat": &s.DateFormat, "runas": &s.RunAs} {
		if form.Has(name) {
			*setting = strings.TrimSpace(form.Get(name))
		}
	}
	if form.Has("fullevery") {
		days := 0
		if text := strings.TrimSpace(form.Get("fullevery")); text != "" {
			var err error
			if days, err = strconv.Atoi(text); err != nil || days < 0 {
				return &invalid{"The days between full runs are a whole number, or empty for never."}
			}
		}
		s.FullEvery = days
		// Its checkbox is in the same part of the form and is not sent when empty.
		s.LenientLocalPart = form.Get("lenient") != ""
	}
	return nil
}

func readGuards(form url.Values, s *catalogue.ExportSpec) error {
	guards := map[catalogue.Guard]catalogue.Threshold{}
	for g, t := range s.Guards {
		if !form.Has("guard." + string(g)) {
			guards[g] = t
		}
	}
	for key := range form {
		guard, ok := strings.CutPrefix(key, "guard.")
		text := strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(form.Get(key)), "%"))
		if !ok || text == "" {
			continue
		}
		percent, err := strconv.ParseFloat(text, 64)
		if err != nil || !(percent >= 0 && percent <= 100) {
			return &invalid{"The guard " + guard + " takes a percentage from 0 to 100."}
		}
		guards[catalogue.Guard(guard)] = catalogue.Threshold(percent / 100)
	}
	s.Guards = nil
	if len(guards) > 0 {
		s.Guards = guards
	}
	return nil
}

// words are the values of a comma-separated list.
func words(text string) (list []string) {
	for _, w := range strings.Split(text, ",") {
		if w = strings.TrimSpace(w); w != "" {
			list = append(list, w)
		}
	}
	return list
}
