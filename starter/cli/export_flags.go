package cli

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/segment-export/segment-export/internal/catalogue"
	"github.com/segment-export/segment-export/internal/contact"
)

// exportFlags are the settings of an export.
func exportFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "connection", Usage: "`NAME` of the connection to send through"},
		&cli.StringFlag{Name: "source", Usage: "`NAME` of the source to read from"},
		&cli.StringSliceFlag{Name: "segment", Usage: "`SEGMENT` of the source; may be given several times"},
		&cli.StringFlag{Name: "id", Usage: "`FIELD` with the customer's id"},
		&cli.StringSliceFlag{Name: "map", Usage: "`ATTRIBUTE=FIELD`: which field fills an attribute; may be given several times"},
		markerFlag(),
		&cli.StringSliceFlag{Name: "consent-value", Usage: "`VALUE` of the consent field that is consent, in place of true, 1, yes, subscribed; may be given several times"},
		&cli.StringSliceFlag{Name: "opt-out-value", Usage: "`VALUE` of the consent field that is an opt-out, in place of unsubscribed, opted-out; may be given several times"},
		&cli.StringFlag{Name: "empty", Usage: "what happens to values emptied at the source: `POLICY` is keep or clear; of one mapping: --map city=City,empty=clear", DefaultText: "keep"},
		&cli.StringFlag{Name: "undated-opt-outs", Usage: "when an opt-out without a date counts: `WHEN` is first-seen or ignore", DefaultText: "first-seen"},
		&cli.StringFlag{Name: "refusals", Usage: "what a refusal (false, no, 0) with a date is: `WHAT` is opt-out or none", DefaultText: "opt-out"},
		timeZoneFlag(), dateFormatFlag(),
		&cli.BoolFlag{Name: "lenient-local-part", Usage: "accept addresses with doubled or trailing dots before the @, as Japanese carriers issued them", DisableDefaultText: true},
		&cli.StringFlag{Name: "leavers", Usage: "what happens to contacts that left: unmark or keep (`POLICY`)", DefaultText: "unmark"},
		&cli.IntFlag{Name: "full-every", Usage: "send all contacts, changed or not, every `DAYS`, 0 for never: the account also changes on its own side", DefaultText: "never"},
		&cli.StringSliceFlag{Name: "guard", Usage: "`GUARD=PART`: the part, from 0 to 1, above which a guard asks (shrunk, invalid, leavers, opt-outs, consent, cleared); may be given several times"},
		&cli.StringFlag{Name: "run-as", Usage: "`USER` whose rights runs have", DefaultText: "who changed it last"},
	}
}

// editFlags are the settings of an export that exists, and what is done with it.
func editFlags() []cli.Flag {
	return append(append(exportFlags(),
		&cli.StringSliceFlag{Name: "unmap", Usage: "`ATTRIBUTE` to map no longer; may be given several times"},
		&cli.StringSliceFlag{Name: "remove-segment", Usage: "`SEGMENT` to export no longer; the next run clears its marker; may be given several times"},
	), savingFlags()...)
}

// given says whether any of the options is on the command line.
func given(c *cli.Context, flags []cli.Flag) bool {
	return slices.ContainsFunc(flags, func(f cli.Flag) bool { return c.IsSet(f.Names()[0]) })
}

func timeZoneFlag() cli.Flag {
	return &cli.StringFlag{Name: "time-zone", Usage: "IANA `ZONE` of dates that name none, as Europe/Warsaw", DefaultText: "UTC"}
}

func dateFormatFlag() cli.Flag {
	return &cli.StringFlag{Name: "date-format", Usage: "how dates are written: `FORMAT` is iso, dmy, mdy, excel, epoch, or a layout as dd/MM/yyyy HH:mm", DefaultText: "what has only one meaning is read"}
}

func markerFlag() cli.Flag {
	return &cli.StringSliceFlag{Name: "marker", Usage: "`SEGMENT=PROPERTY`: the custom property that marks members, in place of the derived one"}
}

// change makes an export what the options say; what they do not mention stays.
func change(c *cli.Context, e *catalogue.ExportSpec) error {
	for name, text := range map[string]*string{"connection": &e.Connection, "source": &e.Source, "id": &e.ID,
		"leavers": (*string)(&e.Leavers), "run-as": &e.RunAs, "undated-opt-outs": (*string)(&e.Consent.UndatedOptOuts),
		"refusals": (*string)(&e.Consent.Refusals), "empty": (*string)(&e.Empty), "time-zone": &e.TimeZone, "date-format": &e.DateFormat} {
		if c.IsSet(name) {
			*text = c.String(name)
		}
	}
	if c.IsSet("lenient-local-part") {
		e.LenientLocalPart = c.Bool("lenient-local-part")
	}
	if c.IsSet("full-every") {
		e.FullEvery = c.Int("full-every")
	}
	if c.IsSet("consent-value") {
		e.Consent.Consent = c.StringSlice("consent-value")
	}
	if c.IsSet("opt-out-value") {
		e.Consent.OptOut = c.StringSlice("opt-out-value")
	}
	if err := changeMapping(c, e); err != nil {
		return err
	}
	if err := changeGuards(c, e); err != nil {
		return err
	}
	return changeSegments(c, e)
}

func changeMapping(c *cli.Context, e *catalogue.ExportSpec) error {
	mapping := contact.Mapping{}
	for a, field := range e.Mapping {
		mapping[a] = field
	}
	emptyOf := maps.Clone(e.EmptyOf)
	if emptyOf == nil {
		emptyOf = map[contact.Attribute]contact.EmptyPolicy{}
	}
	for _, name := range c.StringSlice("unmap") {
		if _, ok := mapping[contact.Attribute(name)]; !ok {
			return usage("--unmap: the attribute %q is not mapped", name)
		}
		delete(mapping, contact.Attribute(name))
	}
	given := map[contact.Attribute]bool{}
	for _, m := range c.StringSlice("map") {
		name, field, ok := strings.Cut(m, "=")
		attribute := contact.Attribute(name)
		switch {
		case !ok || name == "" || field == "":
			return usage("--map %q is not ATTRIBUTE=FIELD", m)
		case given[attribute]:
			return usage("--map: the attribute %q is mapped twice", name)
		}
		given[attribute] = true
		for _, policy := range []contact.EmptyPolicy{contact.EmptyKeep, contact.EmptyClear} {
			if rest, ok := strings.CutSuffix(field, ",empty="+string(policy)); ok {
				field, emptyOf[attribute] = rest, policy
			}
		}
		mapping[attribute] = field
	}
	maps.DeleteFunc(emptyOf, func(a contact.Attribute, _ contact.EmptyPolicy) bool { return mapping[a] == "" })
	e.Mapping, e.EmptyOf = mapping, emptyOf
	if len(emptyOf) == 0 {
		e.EmptyOf = nil
	}
	return nil
}

func changeGuards(c *cli.Context, e *catalogue.ExportSpec) error {
	for _, g := range c.StringSlice("guard") {
		name, text, _ := strings.Cut(g, "=")
		part, err := strconv.ParseFloat(text, 64)
		if err != nil || !(part >= 0 && part <= 1) {
			return usage("--guard %q is not GUARD=PART with a part from 0 to 1", g)
		}
		guards := map[catalogue.Guard]catalogue.Threshold{catalogue.Guard(name): catalogue.Threshold(part)}
		for other, threshold := range e.Guards {
			if string(other) != name {
				guards[other] = threshold
			}
		}
		e.Guards = guards
	}
	return nil
}

func changeSegments(c *cli.Context, e *catalogue.ExportSpec) error {
	segments := slices.Clone(e.Segments)
	place := func(name string) int {
		return slices.IndexFunc(segments, func(s catalogue.ExportedSegment) bool { return s.Segment == name })
	}
	for _, name := range c.StringSlice("remove-segment") {
		i := place(name)
		if i < 0 {
			return usage("--remove-segment: the export does not have the segment %q", name)
		}
		segments = slices.Delete(segments, i, i+1)
	}
	for _, name := range c.StringSlice("segment") {
		segments = append(segments, catalogue.ExportedSegment{Segment: name})
	}
	markers, err := markers(c)
	if err != nil {
		return err
	}
	for name, marker := range markers {
		i := place(name)
		if i < 0 {
			return usage("--marker names the segment %q, which the export does not have", name)
		}
		segments[i].Marker = marker
	}
	e.Segments = segments
	return nil
}

// markers reads the options --marker; nil when there are none.
func markers(c *cli.Context) (map[string]string, error) {
	var found map[string]string
	for _, m := range c.StringSlice("marker") {
		// The last equals sign: a property has none, a segment's name may.
		i := strings.LastIndex(m, "=")
		if i <= 0 || i == len(m)-1 {
			return nil, usage("--marker %q is not SEGMENT=PROPERTY", m)
		}
		if found == nil {
			found = map[string]string{}
		}
		if _, twice := found[m[:i]]; twice {
			return nil, usage("--marker: the segment %q has two markers", m[:i])
		}
		found[m[:i]] = m[i+1:]
	}
	return found, nil
}
