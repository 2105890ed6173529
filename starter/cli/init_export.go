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
		fields := segment.Fields
		if len(fields) == 0 {
			fields = set.source.Fields
		}
		if err := s.askMapping(ctx, &spec, fields); err != nil {
			return err
		}
		if err := s.askConsentValues(ctx, &spec, segment, fields); err != nil {
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
func (s *session) askMapping(ctx context.Context, spec *catalogue.ExportSpec, fields []string) error {
	s.say("Fields: %s", strings.Join(fields, ", "))
	id, mapping := contact.Suggest(fields)
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

// askConsentValues shows the values of the consent field in the first rows, and
// asks which of them are consent and opt-out.
func (s *session) askConsentValues(ctx context.Context, spec *catalogue.ExportSpec, segment protocol.SegmentAnswer, fields []string) error {
	field := spec.Mapping[contact.ConsentFlag]
	if field == "" {
		s.say("No field says who consented, so no contact is subscribed.")
		return nil
	}
	if spec.Mapping[contact.ConsentDate] == "" {
		s.say("No field has the date of the consent, so no contact is subscribed.")
	}
	if values := valuesOf(segment, fields, field); len(values) > 0 {
		s.say("%s in the first rows: %s", field, strings.Join(values, ", "))
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

// valuesOf are the different values of a field in a segment's first rows.
func valuesOf(segment protocol.SegmentAnswer, fields []string, field string) (values []string) {
	at := slices.Index(fields, field)
	for _, row := range segment.Rows {
		if at >= 0 && at < len(row) && row[at] != "" && !slices.Contains(values, row[at]) {
			values = append(values, row[at])
		}
	}
	return values
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
