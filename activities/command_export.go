package activities

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/segment-export/segment-export/internal/catalogue"
	"github.com/segment-export/segment-export/internal/command"
	"github.com/segment-export/segment-export/internal/contact"
	"github.com/segment-export/segment-export/internal/segment"
	"github.com/segment-export/segment-export/internal/spelling"
	"github.com/segment-export/segment-export/internal/store"
)

// exportHandlers are the commands about exports.
var exportHandlers = map[string]handler{
	command.ExportAdd:    with((*Activities).exportAdd),
	command.ExportList:   without((*Activities).exportList),
	command.ExportShow:   with((*Activities).exportShow),
	command.ExportEdit:   with((*Activities).exportEdit),
	command.ExportRemove: with((*Activities).exportRemove),
	command.ExportReset:  with((*Activities).exportReset),
}

func (a *Activities) exportAdd(ctx context.Context, c caller, args command.ExportAddArgs) (any, error) {
	m, err := meta(catalogue.KindExport, args.Name, c)
	if err != nil {
		return nil, err
	}
	e := catalogue.Export{Meta: m, Connection: args.Connection, Source: args.Source, ID: args.ID,
		Mapping: args.Mapping, Consent: args.Consent, Leavers: args.Leavers, FullEvery: args.FullEvery}
	if e.Leavers == "" {
		e.Leavers = catalogue.LeaversUnmark
	}
	for _, name := range args.Segments {
		marker, ok := args.Markers[name]
		if !ok {
			marker = contact.MarkerProperty(name)
		}
		e.Segments = append(e.Segments, catalogue.ExportedSegment{Segment: name, Marker: marker})
	}
	for name := range args.Markers {
		if !slices.Contains(args.Segments, name) {
			return nil, refuse(command.ErrUsage, "--marker names the segment %q, which the export does not have", name)
		}
	}
	if err := e.Check(); err != nil {
		return nil, err
	}
	conn, _, err := get[catalogue.Connection](ctx, a, catalogue.KindConnection, e.Connection)
	if err != nil {
		return nil, err
	}
	src, _, err := get[catalogue.Source](ctx, a, catalogue.KindSource, e.Source)
	if err != nil {
		return nil, err
	}
	if err := a.checkMapping(ctx, e, src); err != nil {
		return nil, err
	}
	if err := a.claimMarkers(ctx, conn.BrandID, e); err != nil {
		return nil, err
	}
	if err := a.create(ctx, c, &e, nil); err != nil {
		return nil, err
	}
	return command.ExportAnswer{Export: e, Notes: exportNotes(e)}, nil
}

// exportNotes says what an administrator should know about a new export.
func exportNotes(e catalogue.Export) []string {
	var notes []string
	for _, s := range e.Segments {
		notes = append(notes, fmt.Sprintf("members of %s get the custom property %s = true at Omnisend; make a segment there with the rule: custom property %s is true", s.Segment, s.Marker, s.Marker))
	}
	switch {
	case e.Mapping[contact.ConsentFlag] == "":
		notes = append(notes, "no consent is mapped: nobody will be subscribed, contacts that are new at Omnisend become nonSubscribed")
	case e.Mapping[contact.ConsentDate] == "":
		notes = append(notes, "no consent date is mapped: consent without a date never subscribes anybody")
	}
	return append(notes, "nothing runs by itself: start it with: starter run "+e.Name)
}

// checkMapping holds the mapping against the segments' fields, and names what
// is missing with the nearest field that exists.
func (a *Activities) checkMapping(ctx context.Context, e catalogue.Export, s catalogue.Source) error {
	mapper, err := contact.NewMapper(e.Mapping, e.Consent, time.Now())
	if err != nil {
		return refuse(command.ErrUsage, "%v", err)
	}
	src, err := a.OpenSource(s)
	if err != nil {
		return refuse(command.ErrUsage, "source %q: %v", s.Name, err)
	}
	for _, seg := range e.Segments {
		info, err := src.Describe(ctx, seg.Segment)
		if errors.Is(err, segment.ErrNotFound) || errors.Is(err, segment.ErrEmpty) || errors.Is(err, segment.ErrMalformed) {
			return refuse(command.ErrUsage, "source %q: %v", s.Name, err)
		}
		if err != nil {
			return err
		}
		for _, field := range fieldsOf(e, mapper) {
			if slices.Contains(info.Fields, field) {
				continue
			}
			hint := ""
			if near := spelling.Nearest(field, info.Fields); near != "" {
				hint = fmt.Sprintf("; did you mean %q?", near)
			}
			return refuse(command.ErrUsage, "segment %q of source %q has no field %q%s It has: %s", seg.Segment, s.Name, field, hint, strings.Join(info.Fields, ", "))
		}
	}
	return nil
}

// claimMarkers makes the export the owner of its markers at the brand.
func (a *Activities) claimMarkers(ctx context.Context, brand string, e catalogue.Export) error {
	var properties []string
	for _, s := range e.Segments {
		properties = append(properties, s.Marker)
	}
	err := a.Store.ClaimMarkers(ctx, brand, e.Name, properties)
	taken, ok := errors.AsType[*store.MarkerTakenError](err)
	if !ok {
		return err
	}
	for _, s := range e.Segments {
		if s.Marker == taken.Property {
			return refuse(command.ErrExists, "the marker %s belongs to the export %q on this brand; choose another: --marker %q=%s_%s",
				taken.Property, taken.Export, s.Segment, s.Marker, contact.MarkerProperty(e.Name)[len("segment_"):])
		}
	}
	return err
}

func (a *Activities) exportList(ctx context.Context, _ caller) (any, error) {
	exports, err := list[catalogue.Export](ctx, a, catalogue.KindExport)
	if err != nil {
		return nil, err
	}
	answers := make([]command.ExportAnswer, 0, len(exports))
	for _, e := range exports {
		last, err := a.lastRun(ctx, e.Name)
		if err != nil {
			return nil, err
		}
		answers = append(answers, command.ExportAnswer{Export: e, LastRun: last})
	}
	return answers, nil
}

// lastRun returns an export's newest run; nil when it has none.
func (a *Activities) lastRun(ctx context.Context, export string) (*command.RunAnswer, error) {
	runs, err := a.Store.ListRuns(ctx, store.RunFilter{Export: export, Limit: 1})
	if err != nil || len(runs) == 0 {
		return nil, err
	}
	return runAnswer(runs[0])
}

func (a *Activities) exportShow(ctx context.Context, _ caller, args command.Named) (any, error) {
	e, _, err := get[catalogue.Export](ctx, a, catalogue.KindExport, args.Name)
	if err != nil {
		return nil, err
	}
	last, err := a.lastRun(ctx, e.Name)
	return command.ExportAnswer{Export: e, LastRun: last}, err
}

// exportEdit changes what the command names.
func (a *Activities) exportEdit(ctx context.Context, c caller, args command.ExportEditArgs) (any, error) {
	e, o, err := get[catalogue.Export](ctx, a, catalogue.KindExport, args.Name)
	if err != nil {
		return nil, err
	}
	if args.FullEvery != nil {
		e.FullEvery = *args.FullEvery
	}
	if err := e.Check(); err != nil {
		return nil, err
	}
	if err := a.replace(ctx, c, o, &e, nil); err != nil {
		return nil, err
	}
	return command.ExportAnswer{Export: e}, nil
}
