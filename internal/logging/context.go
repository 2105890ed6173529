package logging

import (
	"context"
	"log/slog"
)

type attributesKey struct{}

// With returns a context whose log lines carry these attributes too, such as
// the run and the export that they are about.
func With(ctx context.Context, attributes ...slog.Attr) context.Context {
	before, _ := ctx.Value(attributesKey{}).([]slog.Attr)
	return context.WithValue(ctx, attributesKey{}, append(before[:len(before):len(before)], attributes...))
}

// handler adds the attributes of the context, unless the line has them itself.
type handler struct{ slog.Handler }

func (h handler) Handle(ctx context.Context, r slog.Record) error {
	attributes, _ := ctx.Value(attributesKey{}).([]slog.Attr)
	for _, a := range attributes {
		there := false
		r.Attrs(func(own slog.Attr) bool {
			there = there || own.Key == a.Key
			return !there
		})
		if !there {
			r.AddAttrs(a)
		}
	}
	return h.Handler.Handle(ctx, r)
}

func (h handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return handler{h.Handler.WithAttrs(attrs)}
}
func (h handler) WithGroup(name string) slog.Handler { return handler{h.Handler.WithGroup(name)} }
