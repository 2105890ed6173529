package activities

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/segment-export/segment-export/internal/command"
	"github.com/segment-export/segment-export/internal/run"
	"github.com/segment-export/segment-export/internal/store"
)

// rejectsPerPage keeps an answer far below what Temporal takes.
const rejectsPerPage = 1000

// runsRejects returns a page of what a run did not carry over, and why: rows
// that were invalid first, then contacts that Omnisend turned down.
func (a *Activities) runsRejects(ctx context.Context, _ caller, args command.RejectsArgs) (any, error) {
	r, err := a.findRun(ctx, args.Run)
	if err != nil {
		return nil, err
	}
	report, err := decode[run.Report](r.Report)
	if err != nil {
		return nil, err
	}
	page := command.RejectsPage{Rejects: []command.Reject{}, Total: report.Invalid + report.Refused}
	first := args.Page * rejectsPerPage
	for _, group := range []int{rejectsRead, rejectsRefused} {
		blobs, err := a.Store.Blobs(ctx, r.ID, store.BlobReject, group)
		if err != nil {
			return nil, err
		}
		for _, b := range blobs {
			rejects, err := a.rejects(r.ID, b)
			if err != nil {
				return nil, err
			}
			for _, reject := range rejects {
				if page.Kept >= first && page.Kept < first+rejectsPerPage {
					page.Rejects = append(page.Rejects, reject)
				}
				page.Kept++
			}
		}
	}
	page.More = page.Kept > first+rejectsPerPage
	return sealedAnswer{page}, nil
}

// planSamples returns a few contacts as a run would send them, and a few rows
// of each reason for which some would not be sent.
func (a *Activities) planSamples(ctx context.Context, _ caller, args command.RunRef) (any, error) {
	r, err := a.findRun(ctx, args.Run)
	if err != nil {
		return nil, err
	}
	blob, err := a.Store.Blob(ctx, r.ID, store.BlobSamples, 0, 0)
	if errors.Is(err, store.ErrNotFound) {
		return nil, refuse(command.ErrNotFound, "run %s has no samples: it is no plan, it has not ended, or they have expired", r.ID)
	}
	if err != nil {
		return nil, err
	}
	data, err := a.openBlob(r.ID, blob)
	if err != nil {
		return nil, err
	}
	found, err := decode[samples](data)
	if err != nil {
		return nil, err
	}
	answer := command.SamplesAnswer{New: found.New, Changed: found.Changed, Leavers: found.Leavers}
	answer.Invalid, err = a.invalidSamples(ctx, r.ID)
	return sealedAnswer{answer}, err
}

func (a *Activities) invalidSamples(ctx context.Context, runID string) ([]command.Reject, error) {
	blobs, err := a.Store.Blobs(ctx, runID, store.BlobReject, rejectsRead)
	if err != nil {
		return nil, err
	}
	var chosen []command.Reject
	seen := map[string]int{}
	for _, b := range blobs {
		rejects, err := a.rejects(runID, b)
		if err != nil {
			return nil, err
		}
		for _, r := range rejects {
			if seen[r.Reason]++; seen[r.Reason] <= maxSamples {
				chosen = append(chosen, r)
			}
		}
	}
	slices.SortStableFunc(chosen, func(x, y command.Reject) int { return strings.Compare(x.Reason, y.Reason) })
	return chosen, nil
}
