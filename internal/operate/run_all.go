package operate

import (
	"context"
	"errors"
	"slices"

	"github.com/google/uuid"

	"github.com/segment-export/segment-export/internal/catalogue"
	"github.com/segment-export/segment-export/internal/command"
	"github.com/segment-export/segment-export/internal/protocol"
	"github.com/segment-export/segment-export/internal/record"
	"github.com/segment-export/segment-export/internal/run"
)

// runAll starts a run of every export that also runs automatically.
func (a *Commands) runAll(ctx context.Context, c command.Caller, args protocol.RunAllArgs) (any, error) {
	exports, err := a.ScheduledExports(ctx)
	if err != nil {
		return nil, err
	}
	r, _, err := a.Refresh(ctx)
	if err != nil {
		return nil, err
	}
	names := exports.Own
	if r.On {
		names = append(names, exports.Refreshed...)
	}
	if len(names) == 0 {
		return nil, protocol.Refuse(protocol.ErrConflict, "no export has an active schedule: the system refresh is off, and no export has a schedule of its own that is on; run one with: starter run EXPORT")
	}
	slices.Sort(names)
	if err := a.ReapTerminated(ctx); err != nil {
		return nil, err
	}
	answer := protocol.RunAllAnswer{Exports: []protocol.RunAllStart{}}
	for _, name := range names {
		start, err := a.runOneOfAll(ctx, c, name, args)
		if err != nil {
			return nil, err
		}
		answer.Exports = append(answer.Exports, start)
	}
	return answer, nil
}

// runOneOfAll begins one; what stands in its way does not stand in the others'.
func (a *Commands) runOneOfAll(ctx context.Context, c command.Caller, name string, args protocol.RunAllArgs) (protocol.RunAllStart, error) {
	start := protocol.RunAllStart{Export: name}
	e, _, err := record.Find[catalogue.Export](ctx, a.Store, catalogue.KindExport, name)
	if err == nil {
		err = a.MayHave(ctx, c, &e)
	}
	if err == nil {
		id := uuid.NewSHA1(uuid.NameSpaceURL, []byte("run/"+c.Request.ID+"/"+name)).String()
		var answer any
		answer, err = a.BeginRun(ctx, id, name, run.Request{Actor: c.Name, Yes: args.Yes, Full: args.Full}, false)
		if started, ok := answer.(protocol.RunStarted); ok {
			start.Run = &started
		}
	}
	if r, refused := errors.AsType[*protocol.RefusalError](err); refused {
		start.Class, start.Reason = r.Class, r.Message
		return start, nil
	}
	return start, err
}
