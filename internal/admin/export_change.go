package admin

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/segment-export/segment-export/internal/catalogue"
	"github.com/segment-export/segment-export/internal/command"
	"github.com/segment-export/segment-export/internal/contact"
	"github.com/segment-export/segment-export/internal/omnisend"
	"github.com/segment-export/segment-export/internal/protocol"
	"github.com/segment-export/segment-export/internal/record"
	"github.com/segment-export/segment-export/internal/store"
)

// exportEdit changes an export to what the arguments say. An open run continues
// with the settings it started with.
func (a *Commands) exportEdit(ctx context.Context, c command.Caller, args protocol.ExportEditArgs) (any, error) {
	e, o, err := record.Find[catalogue.Export](ctx, a.Store, catalogue.KindExport, args.Name)
	if err != nil {
		return nil, err
	}
	return a.changeExport(ctx, c, e, o, args)
}

func (a *Commands) changeExport(ctx context.Context, c command.Caller, e catalogue.Export, o store.Object, args protocol.ExportEditArgs) (any, error) {
	before := record.Encode(e.ExportSpec)
	connection := e.Connection
	e.ExportSpec = args.ExportSpec
	e.Normalise()
	if !bytes.Equal(before, record.Encode(e.ExportSpec)) { // else there is nothing to do, or an earlier attempt did it
		if err := ofVersion(args.Version, e.Meta, catalogue.KindExport); err != nil {
			return nil, err
		}
		if e.Connection != connection {
			if err := a.idle(ctx, e.Name); err != nil {
				return nil, err
			}
		}
		if err := a.settleExport(ctx, &e); err != nil {
			return nil, err
		}
		if err := a.Replace(ctx, c, o, &e, nil); err != nil {
			return nil, err
		}
	}
	segments, made, err := a.createSegments(ctx, e, args.CreateSegment)
	if err != nil {
		return nil, err
	}
	answer, err := a.exportAnswer(ctx, c, e)
	if err != nil {
		return nil, err
	}
	rivals, err := a.RivalNotes(ctx, e)
	if err != nil {
		return nil, err
	}
	answer.Notes = slices.Concat(segments, exportNotes(e, made), rivals)
	return answer, nil
}

// exportAttach gives an export a connection: an inactive one, or another one to
// the same brand.
func (a *Commands) exportAttach(ctx context.Context, c command.Caller, args protocol.ExportAttachArgs) (any, error) {
	e, o, err := record.Find[catalogue.Export](ctx, a.Store, catalogue.KindExport, args.Name)
	if err != nil {
		return nil, err
	}
	spec := e.ExportSpec
	spec.Connection = args.Connection
	return a.changeExport(ctx, c, e, o, protocol.ExportEditArgs{ExportSpec: spec})
}

// exportDetach makes an export inactive. What it has sent, and what is
// remembered of that, stays.
func (a *Commands) exportDetach(ctx context.Context, c command.Caller, args protocol.Named) (any, error) {
	e, o, err := record.Find[catalogue.Export](ctx, a.Store, catalogue.KindExport, args.Name)
	if err != nil {
		return nil, err
	}
	if e.Connection != "" {
		if err := a.idle(ctx, e.Name); err != nil {
			return nil, err
		}
		e.Connection = ""
		if err := a.Replace(ctx, c, o, &e, nil); err != nil {
			return nil, err
		}
	}
	answer, err := a.exportAnswer(ctx, c, e)
	if err != nil {
		return nil, err
	}
	answer.Notes = []string{fmt.Sprintf("it is inactive until it has a connection again: starter export attach %q --connection NAME", e.Name)}
	return answer, nil
}

// exportDuplicate makes an export like another one, with markers of its own: a
// custom property has one owner.
func (a *Commands) exportDuplicate(ctx context.Context, c command.Caller, args protocol.ExportDuplicateArgs) (any, error) {
	from, _, err := record.Find[catalogue.Export](ctx, a.Store, catalogue.KindExport, args.Name)
	if err != nil {
		return nil, err
	}
	m, err := command.Meta(catalogue.KindExport, args.As, c)
	if err != nil {
		return nil, err
	}
	e := catalogue.Export{Meta: m, ExportSpec: from.ExportSpec}
	e.Segments = nil
	for _, s := range from.Segments {
		marker, ok := args.Markers[s.Segment]
		if !ok {
			marker = contact.MarkerProperty(s.Segment + " " + args.As)
		}
		e.Segments = append(e.Segments, catalogue.ExportedSegment{Segment: s.Segment, Marker: marker})
	}
	return a.addExport(ctx, c, e, false)
}

// createSegments makes a segment at Omnisend on each marker, named after ours,
// and says what came of it. That it could not be made is no failure: a person
// can do it by hand.
func (a *Commands) createSegments(ctx context.Context, e catalogue.Export, wanted bool) (notes, made []string, err error) {
	if !wanted {
		return nil, nil, nil
	}
	if e.Connection == "" {
		return []string{"no segment was made at Omnisend: the export has no connection"}, nil, nil
	}
	api, conn, halt, err := a.Connect().Connection(ctx, e.Connection)
	if err != nil {
		return nil, nil, err
	}
	if halt != nil {
		return []string{string("no segment was made at Omnisend: " + halt.Reason)}, nil, nil
	}
	for _, s := range e.Segments {
		name := []rune(s.Segment)
		segment, isNew, err := omnisend.EnsureSegment(ctx, api, string(name[:min(len(name), omnisend.MaxSegmentName)]), s.Marker)
		apiErr, isAPI := errors.AsType[*omnisend.Error](err)
		switch {
		case err == nil:
			made = append(made, s.Marker)
			was := "there was already"
			if isNew {
				was = "was made"
			}
			notes = append(notes, fmt.Sprintf("the segment %q on %s %s: in Omnisend under Audience > Segments (id %s); it fills with the first run", segment.Name, s.Marker, was, segment.ID))
		case isAPI && apiErr.Status == 403:
			notes = append(notes, fmt.Sprintf("the API key of the connection %q may not make segments; with the Segments permission: starter export edit %q --create-segment", conn.Name, e.Name))
			return notes, made, nil
		case isAPI:
			notes = append(notes, fmt.Sprintf("the segment on %s was not made, or it is not known (%v); try again in a minute: starter export edit %q --create-segment", s.Marker, err, e.Name))
		default:
			return nil, nil, err
		}
	}
	return notes, made, nil
}
