package operate

import (
	"context"
	"strings"
	"time"

	"github.com/segment-export/segment-export/internal/access"
	"github.com/segment-export/segment-export/internal/catalogue"
	"github.com/segment-export/segment-export/internal/command"
	"github.com/segment-export/segment-export/internal/job"
	"github.com/segment-export/segment-export/internal/protocol"
	"github.com/segment-export/segment-export/internal/record"
	"github.com/segment-export/segment-export/internal/store"
)

// overview shows a page of exports. It asks the store alone, and a number of
// times that depends on the page and not on how many exports there are.
func (a *Commands) overview(ctx context.Context, c command.Caller, args protocol.OverviewArgs) (any, error) {
	exports, err := record.List[catalogue.Export](ctx, a.Store, catalogue.KindExport)
	if err != nil {
		return nil, err
	}
	answer := &protocol.OverviewAnswer{All: len(exports), Cards: []protocol.ExportCard{}}
	if find := strings.ToLower(strings.TrimSpace(args.Find)); find != "" {
		found := exports[:0]
		for _, e := range exports {
			if strings.Contains(strings.ToLower(e.Name), find) {
				found = append(found, e)
			}
		}
		exports = found
	}
	size := args.Limit
	if size <= 0 || size > protocol.CardsPerPage {
		size = protocol.CardsPerPage
	}
	answer.Found = len(exports)
	answer.Pages = max(1, (len(exports)+size-1)/size)
	answer.Page = min(max(1, args.Page), answer.Pages)
	from := (answer.Page - 1) * size
	starts, err := a.nextStarts(ctx)
	if err != nil {
		return nil, err
	}
	for _, e := range exports[from:min(from+size, len(exports))] {
		card, err := a.card(ctx, c, e, min(max(1, args.Runs), protocol.RunsPerCard))
		if err != nil {
			return nil, err
		}
		if e.Connection != "" {
			card.Next = starts(e.Name)
		}
		answer.Cards = append(answer.Cards, *card)
	}
	return answer, nil
}

func (a *Commands) card(ctx context.Context, c command.Caller, e catalogue.Export, most int) (*protocol.ExportCard, error) {
	card := &protocol.ExportCard{Name: e.Name, Connection: e.Connection, Source: e.Source, Permissions: protocol.MayEdit,
		Segments: []string{}, Runs: []protocol.RunBrief{}}
	for _, s := range e.Segments {
		card.Segments = append(card.Segments, s.Segment)
	}
	reached, err := a.Reached(ctx, &e)
	if err != nil {
		return nil, err
	}
	for _, o := range reached {
		if !access.May(c.Principal, o) {
			card.Permissions = protocol.MayView
		}
	}
	runs, err := a.Store.ListRuns(ctx, store.RunFilter{Export: e.Name, Limit: most})
	if err != nil {
		return nil, err
	}
	for _, r := range runs {
		full, err := job.Answer(r)
		if err != nil {
			return nil, err
		}
		brief := protocol.RunBrief{RunID: full.RunID, Status: full.Status, At: full.StartedAt, Delivered: full.Delivered,
			Unchanged: full.Unchanged, Rejected: full.Refused + full.Invalid}
		if brief.At.IsZero() {
			brief.At = full.CreatedAt
		}
		card.Runs = append(card.Runs, brief)
	}
	return card, nil
}

// nextStarts says when each export starts next by its calendar, or by that of
// the system refresh; zero: not by a calendar.
func (a *Commands) nextStarts(ctx context.Context) (func(export string) time.Time, error) {
	now, err := a.Store.Now(ctx)
	if err != nil {
		return nil, err
	}
	schedules, err := record.List[catalogue.Schedule](ctx, a.Store, catalogue.KindSchedule)
	if err != nil {
		return nil, err
	}
	own := map[string]time.Time{}
	for _, s := range schedules {
		own[s.Name] = time.Time{}
		if !s.Off {
			own[s.Name] = s.Calendar.Next(now)
		}
	}
	refresh, _, err := a.Refresh(ctx)
	if err != nil {
		return nil, err
	}
	var system time.Time
	if refresh.On && refresh.Calendar != nil {
		system = refresh.Calendar.Next(now)
	}
	return func(export string) time.Time {
		if at, ok := own[export]; ok {
			return at
		}
		return system
	}, nil
}
