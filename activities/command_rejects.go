package activities

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/segment-export/segment-export/internal/protocol"
	"github.com/segment-export/segment-export/internal/run"
	"github.com/segment-export/segment-export/internal/store"
)

// rejectsPerPage keeps an answer far below what Temporal takes.
const rejectsPerPage = 1000

// runsRejects returns a page of what a run did not carry over, and why: rows
// that were invalid first, then contacts that Omnisend turned down.
func (a *Activities) runsRejects(ctx context.Context, _ caller, args protocol.RejectsArgs) (any, error) {
	r, err := a.findRun(ctx, args.Run)
	if err != nil {
		return nil, err
	}
	report, err := decode[run.Report](r.Report)
	if err != nil {
		return nil, err
	}
	page := protocol.RejectsPage{Rejects: []protocol.Reject{}, Total: report.Invalid + report.Refused}
	first := args.Page * rejectsPerPage
	err = a.eachReject(ctx, r.ID, func(reject protocol.Reject) {
		if page.Kept >= first && page.Kept < first+rejectsPerPage {
			page.Rejects = append(page.Rejects, reject)
		}
		page.Kept++
	}, rejectsRead, rejectsRefused)
	if err != nil {
		return nil, err
	}
	page.More = page.Kept > first+rejectsPerPage
	return sealedAnswer{page}, nil
}

// eachReject goes through the rejects that are kept of a run, group by group.
func (a *Activities) eachReject(ctx context.Context, runID string, do func(protocol.Reject), groups ...int) error {
	for _, group := range groups {
		blobs, err := a.Store.Blobs(ctx, runID, store.BlobReject, group)
		if err != nil {
			return err
		}
		for _, b := range blobs {
			rejects, err := a.rejects(runID, b)
			if err != nil {
				return err
			}
			for _, r := range rejects {
				do(r)
			}
		}
	}
	return nil
}

// planSamples returns a few contacts as a run would send them, and a few rows
// of each reason for which some would not be sent.
func (a *Activities) planSamples(ctx context.Context, _ caller, args protocol.RunRef) (any, error) {
	r, err := a.findRun(ctx, args.Run)
	if err != nil {
		return nil, err
	}
	blob, err := a.Store.Blob(ctx, r.ID, store.BlobSamples, 0, 0)
	if errors.Is(err, store.ErrNotFound) {
		return nil, refuse(protocol.ErrNotFound, "run %s has no samples: it is no plan, it has not ended, or they have expired", r.ID)
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
	answer := protocol.SamplesAnswer{New: found.New, Changed: found.Changed, Leavers: found.Leavers, Dates: found.Dates}
	answer.Invalid, err = a.invalidSamples(ctx, r.ID)
	return sealedAnswer{answer}, err
}

func (a *Activities) invalidSamples(ctx context.Context, runID string) ([]protocol.Reject, error) {
	var chosen []protocol.Reject
	seen := map[string]int{}
	err := a.eachReject(ctx, runID, func(r protocol.Reject) {
		if seen[r.Reason]++; seen[r.Reason] <= maxSamples {
			chosen = append(chosen, r)
		}
	}, rejectsRead)
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(chosen, func(x, y protocol.Reject) int { return strings.Compare(x.Reason, y.Reason) })
	return chosen, nil
}
