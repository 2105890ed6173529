package cli

import (
	"context"
	"slices"
	"strings"

	"github.com/segment-export/segment-export/internal/catalogue"
	"github.com/segment-export/segment-export/internal/contact"
	"github.com/segment-export/segment-export/internal/protocol"
)

// initExport asks what to export, and adds the export.
func (s *session) initExport(ctx context.Context, set *setUp) error {
	s.say("\nStep 3 of 3: the export. It says which segment goes to the connection, and which field fills what.")
	for {
		segment, err := s.chooseSegment(ctx, set.source.SegmentList)
		if err != nil {
			return err
		}
		spec := catalogue.ExportSpec{Source: set.source.Name, Connection: set.connection,
			Segments: []catalogue.ExportedSegment{{Segment: segment.Name}}}
		fields, err := s.lookAt(ctx, &spec, set, segment)
		if err != nil {
			return err
		}
		if err := s.askMapping(ctx, &spec, fields); err != nil {
			return err
		}
		if err := s.askConsentValues(ctx, &spec, fields); err != nil {
			return err
		}
		name, err := s.question(ctx, "Name of the export", segment.Name)
		if err != nil {
			return err
		}
		raw, err := s.call(ctx, order{name: protocol.ExportAdd, object: name, args: protocol.ExportAddArgs{ExportSpec: spec, Name: name}})
		if err == nil {
			return set.add(catalogue.KindExport, raw)
		}
		if err = s.tryAgain(err); err != nil {
			return err
		}
	}
}

// lookAt returns the fields of a segment with what its first rows hold. When
// the rows cannot be looked at, the fields alone have to do.
func (s *session) lookAt(ctx context.Context, spec *catalogue.ExportSpec, set *setUp, segment protocol.SegmentAnswer) ([]protocol.PreviewField, error) {
	found, err := answer[protocol.PreviewAnswer](ctx, s, order{name: protocol.ExportPreview, object: spec.Source, personal: true,
		args: protocol.ExportPreviewArgs{ExportSpec: *spec}})
	switch {
	case isClass(err, classInterrupted, classNoServer, classNoWorker):
		return nil, err
	case err == nil && len(found.Fields) > 0:
		return found.Fields, nil
	}
	names := segment.Fields
	if len(names) == 0 {
		names = set.source.Fields
	}
	var fields []protocol.PreviewField
	for _, name := range names {
		fields = append(fields, protocol.PreviewField{Name: name})
	}
	return fields, nil
}

func (s *session) chooseSegment(ctx context.Context, all []protocol.SegmentAnswer) (protocol.SegmentAnswer, error) {
	var names []string
	for _, segment := range all {
		names = append(names, segment.Name)
	}
	name, err := s.choose(ctx, "Segment (a number)", names, false)
	if err != nil {
		return protocol.SegmentAnswer{}, err
	}
	return all[slices.Index(names, name)], nil
}

// askMapping offers the likely mapping, and asks for each attribute when it is
// not accepted.
func (s *session) askMapping(ctx context.Context, spec *catalogue.ExportSpec, found []protocol.PreviewField) error {
	var fields []string
	var samples []contact.FieldSample
	for _, f := range found {
		fields = append(fields, f.Name)
		samples = append(samples, contact.FieldSample{Name: f.Name, Samples: f.Samples, Kinds: len(f.Values)})
	}
	s.say("Fields: %s", strings.Join(fields, ", "))
	id, mapping := contact.Suggest(samples)
	if mapping[contact.Email] != "" && id != "" {
		s.say("They look like this:")
		s.say("  %-16s %s", "customer id", id)
		for _, a := range contact.Attributes {
			if mapping[a] != "" {
				s.say("  %-16s %s", a, mapping[a])
			}
		}
		yes, err := s.question(ctx, "Use this mapping? (y, or n to change it)", "y")
		if err != nil {
			return err
		}
		if strings.HasPrefix(strings.ToLower(yes), "y") {
			spec.ID, spec.Mapping = id, mapping
			return nil
		}
	}
	s.say("Name the field for each; - is none.")
	var err error
	if spec.ID, err = s.askField(ctx, "customer id", id, fields); err != nil {
		return err
	}
	spec.Mapping = contact.Mapping{}
	for _, a := range contact.Attributes {
		field, err := s.askField(ctx, string(a), mapping[a], fields)
		if err != nil {
			return err
		}
		if field != "" {
			spec.Mapping[a] = field
		}
	}
	return nil
}

// askField asks for a field that exists; empty is none.
func (s *session) askField(ctx context.Context, what, suggestion string, fields []string) (string, error) {
	for {
		field, err := s.question(ctx, what, or(suggestion, "-"))
		switch {
		case err != nil:
			return "", err
		case field == "-":
			return "", nil
		case slices.Contains(fields, field):
			return field, nil
		}
		s.say("There is no field %q; there are: %s", field, strings.Join(fields, ", "))
	}
}

// askConsentValues shows the values of the consent field with what they mean, and
// asks which of them are consent and opt-out.
func (s *session) askConsentValues(ctx context.Context, spec *catalogue.ExportSpec, fields []protocol.PreviewField) error {
	field := spec.Mapping[contact.ConsentFlag]
	if field == "" {
		s.say("No field says who consented, so no contact is subscribed.")
		return nil
	}
	if spec.Mapping[contact.ConsentDate] == "" {
		s.say("No field has the date of the consent, so no contact is subscribed.")
	}
	for _, f := range fields {
		if f.Name == field && len(f.Values) > 0 {
			s.sayValues(spec.Consent, f)
		}
	}
	consent, optOut := contact.UsualConsent()
	for _, one := range []struct {
		text  string
		usual []string
		into  *[]string
	}{{"Values that are a consent", consent, &spec.Consent.Consent}, {"Values that are an opt-out", optOut, &spec.Consent.OptOut}} {
		text, err := s.question(ctx, one.text, strings.Join(one.usual, ", "))
		if err != nil {
			return err
		}
		if values := splitList(text); !slices.Equal(values, one.usual) {
			*one.into = values
		}
	}
	return nil
}

func (s *session) sayValues(rule contact.ConsentRule, f protocol.PreviewField) {
	s.say("%s holds, in the first rows:", f.Name)
	for _, v := range f.Values {
		meaning, err := rule.Meaning(v.Value)
		if err == nil && meaning == contact.MeansUnknown {
			meaning = "not declared: no consent"
		}
		s.say("  %-16s %7s rows  %s", or(v.Value, "(empty)"), count(v.Count), meaning)
	}
}

// splitList reads names between commas.
func splitList(text string) (list []string) {
	for _, word := range strings.Split(text, ",") {
		if word = strings.TrimSpace(word); word != "" {
			list = append(list, word)
		}
	}
	return list
}
