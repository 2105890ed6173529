package operate

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/segment-export/segment-export/internal/command"
	"github.com/segment-export/segment-export/internal/intake"
	"github.com/segment-export/segment-export/internal/job"
	"github.com/segment-export/segment-export/internal/protocol"
	"github.com/segment-export/segment-export/internal/record"
	"github.com/segment-export/segment-export/internal/run"
	"github.com/segment-export/segment-export/internal/store"
)

// rejectsPerPage keeps an answer far below what Temporal takes.
const rejectsPerPage = 1000

// runsRejects returns a page of what a run did not carry over, and why: rows
// that were invalid first, then contacts that Omnisend turned down.
func (a *Commands) runsRejects(ctx context.Context, c command.Caller, args protocol.RejectsArgs) (any, error) {
	r, err := a.RunOf(ctx, c, args.Run)
	if err != nil {
		return nil, err
	}
	report, err := record.Decode[run.Report](r.Report)
	if err != nil {
		return nil, err
	}
	page := protocol.RejectsPage{Rejects: []protocol.Reject{}, Total: report.Invalid + report.Refused}
	first := args.Page * rejectsPerPage
	err = a.EachReject(ctx, r.ID, func(reject protocol.Reject) {
		if page.Kept >= first && page.Kept < first+rejectsPerPage {
			page.Rejects = append(page.Rejects, reject)
		}
		page.Kept++
	}, job.RejectsRead, job.RejectsRefused)
	if err != nil {
		return nil, err
	}
	page.More = page.Kept > first+rejectsPerPage
	return page, nil
}

// planSamples returns a few contacts as a run would send them, and a few rows
// of each reason for which some would not be sent.
func (a *Commands) planSamples(ctx context.Context, c command.Caller, args protocol.RunRef) (any, error) {
	r, err := a.RunOf(ctx, c, args.Run)
	if err != nil {
		return nil, err
	}
	blob, err := a.Store.Blob(ctx, r.ID, store.BlobSamples, 0, 0)
	if errors.Is(err, store.ErrNotFound) {
		return nil, protocol.Refuse(protocol.ErrNotFound, "run %s has no samples: it is no plan, it has not ended, or they have expired", r.ID)
	}
	if err != nil {
		return nil, err
	}
	data, err := a.OpenBlob(r.ID, blob)
	if err != nil {
		return nil, err
	}
	found, err := record.Decode[intake.Samples](data)
	if err != nil {
		return nil, err
	}
	answer := protocol.SamplesAnswer{New: found.New, Changed: found.Changed, Leavers: found.Leavers, Dates: found.Dates}
	answer.Invalid, err = a.invalidSamples(ctx, r.ID)
	return answer, err
}

func (a *Commands) invalidSamples(ctx context.Context, runID string) ([]protocol.Reject, error) {
	var chosen []protocol.Reject
	seen := map[string]int{}
	err := a.EachReject(ctx, runID, func(r protocol.Reject) {
		if seen[r.Reason]++; seen[r.Reason] <= intake.MaxSamples {
			chosen = append(chosen, r)
		}
	}, job.RejectsRead)
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(chosen, func(x, y protocol.Reject) int { return strings.Compare(x.Reason, y.Reason) })
	return chosen, nil
}
