package operate

import (
	"context"
	"encoding/base64"
	"fmt"
	"time"

	"github.com/segment-export/segment-export/internal/catalogue"
	"github.com/segment-export/segment-export/internal/command"
	"github.com/segment-export/segment-export/internal/job"
	"github.com/segment-export/segment-export/internal/protocol"
	"github.com/segment-export/segment-export/internal/record"
	"github.com/segment-export/segment-export/internal/run"
	"github.com/segment-export/segment-export/internal/store"
)

func (a *Commands) runsList(ctx context.Context, _ command.Caller, args protocol.RunsListArgs) (any, error) {
	f := store.RunFilter{Export: args.Export, Status: args.Status, Plans: args.Plans, Since: args.Since, Before: args.Before,
		Limit: min(args.Limit, protocol.RunsPerPage)}
	if f.Limit <= 0 {
		f.Limit = protocol.RunsPerPage
	}
	if args.Page != "" {
		var err error
		if f.After, err = placeOf(args.Page); err != nil {
			return nil, err
		}
	}
	if f.Status != "" {
		if _, err := run.ParseStatus(f.Status); err != nil {
			return nil, protocol.Refuse(protocol.ErrUsage, "%v", err)
		}
	}
	runs, err := a.Store.ListRuns(ctx, f)
	if err != nil {
		return nil, err
	}
	if len(runs) == 0 && f.Export != "" {
		// An export that was removed has runs too.
		if _, _, err := record.Find[catalogue.Export](ctx, a.Store, catalogue.KindExport, f.Export); err != nil {
			return nil, err
		}
	}
	page := protocol.RunsPage{Runs: make([]*protocol.RunAnswer, 0, len(runs))}
	for _, r := range runs {
		answer, err := job.Answer(r)
		if err != nil {
			return nil, err
		}
		page.Runs = append(page.Runs, answer)
	}
	if n := len(runs); n == f.Limit {
		page.Next = pageAfter(runs[n-1])
	}
	return page, nil
}

// pageAfter is the token of the page that begins after a run; it stays good
// when the run is gone.
func pageAfter(r store.Run) string {
	return base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, "%d %s", r.CreatedAt.UnixMicro(), r.ID))
}

func placeOf(token string) (store.RunPlace, error) {
	var micros int64
	var p store.RunPlace
	text, err := base64.RawURLEncoding.DecodeString(token)
	if err == nil {
		_, err = fmt.Sscanf(string(text), "%d %s", &micros, &p.ID)
	}
	if err != nil {
		return p, protocol.Refuse(protocol.ErrUsage, "--page %q is no page of a list of runs", token)
	}
	p.CreatedAt = time.UnixMicro(micros).UTC()
	return p, nil
}

// runsShow tells of a run, and what has changed since the one before it.
func (a *Commands) runsShow(ctx context.Context, c command.Caller, args protocol.RunRef) (any, error) {
	r, err := a.RunOf(ctx, c, args.Run)
	if err != nil {
		return nil, err
	}
	answer, err := job.Answer(r)
	if err != nil || !whole(&answer.Report) {
		return answer, err
	}
	const searched = 20
	earlier, err := a.Store.ListRuns(ctx, store.RunFilter{Export: r.Export,
		After: store.RunPlace{CreatedAt: r.CreatedAt, ID: r.ID}, Limit: searched})
	if err != nil {
		return nil, err
	}
	for _, e := range earlier {
		before, err := job.Answer(e)
		if err != nil {
			return nil, err
		}
		if whole(&before.Report) {
			answer.Difference = difference(&answer.Report, &before.Report)
			break
		}
	}
	return answer, nil
}

// whole says that a run looked at everything and came to its end.
func whole(r *run.Report) bool {
	return r.Status.Complete() && !r.Plan && r.Canary == nil && !r.Removes
}

func difference(now, before *run.Report) *protocol.RunDifference {
	d := &protocol.RunDifference{Run: before.RunID, StartedAt: before.StartedAt, Members: map[string]int{}, Numbers: map[string]int{
		"read": now.Read - before.Read, "invalid": now.Invalid - before.Invalid, "contacts": now.Contacts - before.Contacts,
		"delivered": now.Delivered - before.Delivered, "unchanged": now.Unchanged - before.Unchanged,
		"refused": now.Refused - before.Refused, "leavers": now.Leavers - before.Leavers, "calls": now.Calls - before.Calls,
	}}
	if now.EndedAt != nil && before.EndedAt != nil {
		d.Seconds = (now.EndedAt.Sub(now.StartedAt) - before.EndedAt.Sub(before.StartedAt)).Seconds()
	}
	for _, s := range now.Segments {
		d.Members[s.Segment] += s.Members
	}
	for _, s := range before.Segments {
		d.Members[s.Segment] -= s.Members
	}
	return d
}
