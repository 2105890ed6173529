package admin

import (
	"context"
	"errors"

	"github.com/segment-export/segment-export/internal/catalogue"
	"github.com/segment-export/segment-export/internal/command"
	"github.com/segment-export/segment-export/internal/connect"
	"github.com/segment-export/segment-export/internal/preview"
	"github.com/segment-export/segment-export/internal/protocol"
	"github.com/segment-export/segment-export/internal/record"
	"github.com/segment-export/segment-export/internal/segment"
)

// exportPreview shows what an export that is not saved would make of the first
// rows of its segments.
func (a *Commands) exportPreview(ctx context.Context, c command.Caller, args protocol.ExportPreviewArgs) (any, error) {
	s, o, err := record.Find[catalogue.Source](ctx, a.Store, catalogue.KindSource, args.Source)
	if err != nil {
		return nil, err
	}
	src, err := a.openStored(s, o)
	if err != nil {
		return nil, err
	}
	var answer *protocol.PreviewAnswer
	err = a.inTime(ctx, func(ctx context.Context) error {
		answer, err = preview.Look(ctx, src, s, args.ExportSpec, c.Request.IssuedAt)
		return err
	})
	if closeErr := connect.Close(src); err == nil {
		err = closeErr
	}
	if err == nil {
		return answer, nil
	}
	if _, ok := errors.AsType[*segment.MissingFieldsError](err); ok {
		return nil, protocol.Refuse(protocol.ErrUsage, "%v", err)
	}
	if _, ok := errors.AsType[*preview.RuleError](err); ok {
		return nil, protocol.Refuse(protocol.ErrUsage, "%v", err)
	}
	return nil, sourceRefusal(s.Name, err)
}
