package activities

import (
	"context"

	"github.com/segment-export/segment-export/internal/access"
	"github.com/segment-export/segment-export/internal/catalogue"
	"github.com/segment-export/segment-export/internal/command"
)

// sourceHandlers are the commands about sources.
var sourceHandlers = map[string]handler{
	command.SourceAdd:    with((*Activities).sourceAdd),
	command.SourceList:   without((*Activities).sourceList),
	command.SourceShow:   with((*Activities).sourceShow),
	command.SourceRemove: with((*Activities).sourceRemove),
}

func (a *Activities) sourceAdd(ctx context.Context, c caller, args command.SourceAddArgs) (any, error) {
	if args.Kind != "files" {
		return nil, refuse(command.ErrUsage, "--kind %q is not a kind of source; there is: files", args.Kind)
	}
	m, err := meta(catalogue.KindSource, args.Name, c)
	if err != nil {
		return nil, err
	}
	s := catalogue.Source{Meta: m, Type: args.Kind, Path: args.Path, Shared: catalogue.SharedAdmins}
	answer, err := a.describeSource(ctx, s)
	if err != nil {
		return nil, err
	}
	return answer, a.create(ctx, c, &s, nil)
}

// describeSource shows what a source has; that it can be read at all is the
// check of a new one.
func (a *Activities) describeSource(ctx context.Context, s catalogue.Source) (*command.SourceAnswer, error) {
	src, err := a.OpenSource(s)
	if err != nil {
		return nil, refuse(command.ErrUsage, "source %q: %v", s.Name, err)
	}
	segments, err := src.Segments(ctx)
	if err != nil {
		return nil, refuse(command.ErrUsage, "source %q: %v", s.Name, err)
	}
	answer := &command.SourceAnswer{Source: s, SegmentList: []command.SegmentAnswer{}}
	for _, i := range segments {
		entry := command.SegmentAnswer{Name: i.Name, Bytes: i.Bytes}
		if described, err := src.Describe(ctx, i.Name); err != nil {
			entry.Error = err.Error()
		} else {
			entry.Fields = described.Fields
		}
		answer.SegmentList = append(answer.SegmentList, entry)
	}
	return answer, nil
}

// sourceList lists all sources for administrators, and the names and kinds of
// those that they may use for others.
func (a *Activities) sourceList(ctx context.Context, c caller) (any, error) {
	all, err := list[catalogue.Source](ctx, a, catalogue.KindSource)
	if err != nil || c.Role >= access.Admin {
		return all, err
	}
	shared := []catalogue.Source{}
	for _, s := range all {
		if access.May(c.Principal, access.OfSource(s)) {
			shared = append(shared, s.Outline())
		}
	}
	return shared, nil
}

// sourceShow shows a source with its segments; to those who may only use it,
// not where it is.
func (a *Activities) sourceShow(ctx context.Context, c caller, args command.Named) (any, error) {
	s, _, err := get[catalogue.Source](ctx, a, catalogue.KindSource, args.Name)
	if err != nil {
		return nil, err
	}
	answer, err := a.describeSource(ctx, s)
	if err == nil && c.Role < access.Admin {
		answer.Source = s.Outline()
	}
	return answer, err
}

func (a *Activities) sourceRemove(ctx context.Context, c caller, args command.Named) (any, error) {
	s, _, err := get[catalogue.Source](ctx, a, catalogue.KindSource, args.Name)
	if err != nil {
		return nil, err
	}
	exports, err := list[catalogue.Export](ctx, a, catalogue.KindExport)
	if err != nil {
		return nil, err
	}
	for _, e := range exports {
		if e.Source == s.Name {
			return nil, refuse(command.ErrConflict, "the export %q reads from the source %q; remove the export first", e.Name, s.Name)
		}
	}
	return s, a.remove(ctx, c, &s)
}
