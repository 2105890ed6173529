package connect

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/segment-export/segment-export/internal/catalogue"
	"github.com/segment-export/segment-export/internal/record"
	"github.com/segment-export/segment-export/internal/segment"
)

// settled is how old the newest data must be before a refresh counts as
// finished: a file may still be being written.
const settled = 10 * time.Second

// Standing is what a source says of its own refresh.
type Standing struct {
	Refreshed time.Time // the newest of its segments; zero when it cannot tell
	Busy      string    // why it cannot be read just now; empty when it can
}

// Standing asks a source when it was refreshed, and whether it is being.
func (a *Opener) Standing(ctx context.Context, name string) (Standing, error) {
	src, _, err := a.Source(ctx, name)
	if err != nil {
		return Standing{}, fmt.Errorf("source %q: %w", name, err)
	}
	now, err := a.Store.Now(ctx)
	if err != nil {
		return Standing{}, err
	}
	at, err := a.refreshedAt(ctx, src, name)
	if closing := Close(src); closing != nil && err == nil {
		err = closing
	}
	busy, isBusy := errors.AsType[*segment.BusyError](err)
	switch {
	case isBusy:
		return Standing{Busy: busy.Reason}, nil
	case err != nil:
		return Standing{}, fmt.Errorf("source %q: %w", name, err)
	}
	s := Standing{Refreshed: at}
	if age := now.Sub(at); age >= 0 && age < settled {
		s.Busy = "its data was changed a moment ago"
	}
	return s, nil
}

// refreshedAt is when the newest of a source's segments was refreshed: as it
// lists them, or else as it describes those that exports use.
func (a *Opener) refreshedAt(ctx context.Context, src segment.Source, name string) (time.Time, error) {
	infos, err := src.Segments(ctx)
	if err != nil {
		return time.Time{}, err
	}
	var at time.Time
	for _, i := range infos {
		at = slices.MaxFunc([]time.Time{at, i.RefreshedAt}, time.Time.Compare)
	}
	if !at.IsZero() {
		return at, nil
	}
	exports, err := record.List[catalogue.Export](ctx, a.Store, catalogue.KindExport)
	if err != nil {
		return time.Time{}, err
	}
	var used []string
	for _, e := range exports {
		for _, s := range e.Segments {
			if e.Source == name && !slices.Contains(used, s.Segment) {
				used = append(used, s.Segment)
			}
		}
	}
	for _, s := range used {
		info, err := src.Describe(ctx, s)
		switch {
		case errors.Is(err, segment.ErrEmpty) || errors.Is(err, segment.ErrNotFound) || errors.Is(err, segment.ErrMalformed):
			// The run says so with its place.
		case err != nil:
			return time.Time{}, err
		}
		at = slices.MaxFunc([]time.Time{at, info.RefreshedAt}, time.Time.Compare)
	}
	return at, nil
}
