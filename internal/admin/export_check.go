package admin

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/segment-export/segment-export/internal/catalogue"
	"github.com/segment-export/segment-export/internal/command"
	"github.com/segment-export/segment-export/internal/connect"
	"github.com/segment-export/segment-export/internal/contact"
	"github.com/segment-export/segment-export/internal/job"
	"github.com/segment-export/segment-export/internal/protocol"
	"github.com/segment-export/segment-export/internal/reason"
	"github.com/segment-export/segment-export/internal/record"
	"github.com/segment-export/segment-export/internal/segment"
	"github.com/segment-export/segment-export/internal/spelling"
	"github.com/segment-export/segment-export/internal/store"
)

// exportCheck makes the checks of export add and edit, and stores nothing.
func (a *Commands) exportCheck(ctx context.Context, c command.Caller, args protocol.ExportCheckArgs) (any, error) {
	e, _, err := record.Object[catalogue.Export](ctx, a.Store, catalogue.KindExport, args.Name)
	switch {
	case errors.Is(err, store.ErrNotFound):
	case err != nil:
		return nil, err
	default:
		if err := a.MayHave(ctx, c, &e); err != nil {
			return nil, err
		}
	}
	e.Name, e.ExportSpec = args.Name, args.ExportSpec
	conn, markers, err := a.checkExport(ctx, &e)
	if err != nil || conn == nil {
		return struct{}{}, err
	}
	owners, err := a.Store.MarkerOwners(ctx, conn.BrandID)
	if err != nil {
		return nil, err
	}
	for _, m := range markers {
		if owner := owners[m]; owner != "" && owner != e.Name {
			return nil, markerTaken(e, &store.MarkerTakenError{Property: m, Export: owner})
		}
	}
	return struct{}{}, nil
}

// checkExport checks an export that is new or was changed, against itself and
// against what it uses. It returns its connection, nil when it is inactive, and
// the markers to claim.
func (a *Commands) checkExport(ctx context.Context, e *catalogue.Export) (*catalogue.Connection, []string, error) {
	e.Normalise()
	if err := e.Check(); err != nil {
		return nil, nil, err
	}
	src, _, err := record.Find[catalogue.Source](ctx, a.Store, catalogue.KindSource, e.Source)
	if err != nil {
		return nil, nil, err
	}
	if err := a.checkMapping(ctx, *e, src); err != nil {
		return nil, nil, err
	}
	if e.Connection == "" {
		return nil, nil, nil // its markers are claimed when it is attached
	}
	conn, _, err := record.Find[catalogue.Connection](ctx, a.Store, catalogue.KindConnection, e.Connection)
	if err != nil {
		return nil, nil, err
	}
	markers, err := a.markersOf(ctx, *e, conn)
	if err != nil {
		return nil, nil, err
	}
	return &conn, markers, a.checkProperties(ctx, *e, conn, markers)
}

// settleExport checks an export and makes it the owner of its markers.
func (a *Commands) settleExport(ctx context.Context, e *catalogue.Export) error {
	conn, markers, err := a.checkExport(ctx, e)
	if err != nil || conn == nil {
		return err
	}
	if e.Brand != "" && e.Brand != conn.BrandID {
		if err := a.Store.ClaimMarkers(ctx, e.Brand, e.Name, nil); err != nil {
			return err
		}
	}
	e.Brand = conn.BrandID
	return a.claimMarkers(ctx, *e, markers)
}

// markersOf lists the custom properties that the export owns: its markers, and
// those it has had, which contacts may still carry. What it remembers belongs
// to one account, so that it cannot go over to another.
func (a *Commands) markersOf(ctx context.Context, e catalogue.Export, conn catalogue.Connection) ([]string, error) {
	markers := e.Markers()
	n, _, err := a.Ledgers().Note(ctx, e.Name)
	if n == nil || err != nil {
		return markers, err
	}
	if n.Endpoint != conn.Endpoint || n.Brand != conn.BrandID {
		return nil, protocol.Refuse(protocol.ErrConflict, "the export %q has sent to brand %s, and the connection %q is brand %s; make another export for it: starter export duplicate %q --as NAME",
			e.Name, n.Brand, conn.Name, conn.BrandID, e.Name)
	}
	for _, m := range n.Markers {
		if !slices.Contains(markers, m) {
			markers = append(markers, m)
		}
	}
	return markers, nil
}

// checkProperties keeps mapped custom properties and markers of a brand apart:
// a marker that is also written as a value would be neither.
func (a *Commands) checkProperties(ctx context.Context, e catalogue.Export, conn catalogue.Connection, markers []string) error {
	mine := e.Mapping.Properties()
	for _, p := range mine {
		if slices.Contains(markers, p) {
			return protocol.Refuse(protocol.ErrConflict, "the custom property %s is mapped, and is or was a marker of this export; map the field to another name", p)
		}
	}
	exports, err := record.List[catalogue.Export](ctx, a.Store, catalogue.KindExport)
	if err != nil {
		return err
	}
	for _, other := range exports {
		if other.Name == e.Name || other.Brand != conn.BrandID {
			continue
		}
		for _, p := range mine {
			if slices.Contains(other.Markers(), p) {
				return protocol.Refuse(protocol.ErrExists, "the custom property %s is mapped, and is a marker of the export %q on this brand; map the field to another name", p, other.Name)
			}
		}
		for _, s := range e.Segments {
			if slices.Contains(other.Mapping.Properties(), s.Marker) {
				return protocol.Refuse(protocol.ErrExists, "the marker %s is a custom property that the export %q fills with a field; choose another: --marker %q=NAME", s.Marker, other.Name, s.Segment)
			}
		}
	}
	return nil
}

// checkMapping holds the mapping against the segments' fields, and names what
// is missing with the nearest field that exists.
func (a *Commands) checkMapping(ctx context.Context, e catalogue.Export, s catalogue.Source) error {
	rules, err := e.ContactRules(s)
	if err != nil {
		return protocol.Refuse(protocol.ErrUsage, "%v", err)
	}
	mapper, err := contact.NewMapper(e.Mapping, rules, time.Now())
	if err != nil {
		return protocol.Refuse(protocol.ErrUsage, "%v", err)
	}
	src, _, err := a.Connect().Source(ctx, s.Name)
	if err != nil {
		return sourceRefusal(s.Name, err)
	}
	defer func() { _ = connect.Close(src) }()
	for _, seg := range e.Segments {
		info, err := src.Describe(ctx, seg.Segment)
		if errors.Is(err, segment.ErrNotFound) || errors.Is(err, segment.ErrEmpty) || errors.Is(err, segment.ErrMalformed) {
			return sourceRefusal(s.Name, err)
		}
		if err != nil {
			return err
		}
		if err := lacks(job.FieldsOf(e, mapper), info.Fields, seg.Segment, s.Name); err != nil {
			return err
		}
	}
	return nil
}

// lacks refuses fields that a segment does not have. A field that was probably
// meant is named only where another of them exists: in a file without a header
// what looks like names are values.
func lacks(wanted, fields []string, segmentName, source string) error {
	there := make(map[string]bool, len(fields))
	for _, f := range fields {
		there[f] = true
	}
	var missing []string
	for _, f := range wanted {
		if !there[f] {
			missing = append(missing, f)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	hint := "."
	if near := spelling.Nearest(missing[0], fields); near != "" && len(missing) < len(wanted) {
		hint = "; did you mean " + reason.Names(near) + "?"
	}
	return protocol.Refuse(protocol.ErrUsage, "segment %s of source %q has no field %s%s See which it has: starter source show %q --segment %s",
		reason.Names(segmentName), source, reason.Names(missing...), hint, source, reason.Names(segmentName))
}

// claimMarkers makes the export the owner of markers at its brand.
func (a *Commands) claimMarkers(ctx context.Context, e catalogue.Export, markers []string) error {
	err := a.Store.ClaimMarkers(ctx, e.Brand, e.Name, markers)
	if taken, ok := errors.AsType[*store.MarkerTakenError](err); ok {
		return markerTaken(e, taken)
	}
	return err
}

// markerTaken says which segment's marker another export has, and what to do.
func markerTaken(e catalogue.Export, taken *store.MarkerTakenError) error {
	for _, s := range e.Segments {
		if s.Marker == taken.Property {
			return protocol.Refuse(protocol.ErrExists, "the marker %s belongs to the export %q on this brand; choose another: --marker %q=%s",
				taken.Property, taken.Export, s.Segment, contact.MarkerProperty(s.Segment+" "+e.Name))
		}
	}
	return taken
}
