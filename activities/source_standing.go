package activities

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/segment-export/segment-export/internal/catalogue"
	"github.com/segment-export/segment-export/internal/segment"
)

// settled is how old the newest data must be before a refresh counts as
// finished: a file may still be being written.
const settled = 10 * time.Second

// sourceStanding is what a source says of its own refresh.
type sourceStanding struct {
	refreshed time.Time // the newest of its segments; zero when it cannot tell
	busy      string    // why it cannot be read just now; empty when it can
}

// sourceStanding asks a source when it was refreshed, and whether it is being.
func (a *Activities) sourceStanding(ctx context.Context, name string) (sourceStanding, error) {
	src, _, err := a.sourceOf(ctx, name)
	if err != nil {
		return sourceStanding{}, fmt.Errorf("source %q: %w", name, err)
	}
	now, err := a.Store.Now(ctx)
	if err != nil {
		return sourceStanding{}, err
	}
	at, err := a.refreshedAt(ctx, src, name)
	if closing := closeSource(src); closing != nil && err == nil {
		err = closing
	}
	busy, isBusy := errors.AsType[*segment.BusyError](err)
	switch {
	case isBusy:
		return sourceStanding{busy: busy.Reason}, nil
	case err != nil:
		return sourceStanding{}, fmt.Errorf("source %q: %w", name, err)
	}
	s := sourceStanding{refreshed: at}
	if age := now.Sub(at); age >= 0 && age < settled {
		s.busy = "its data was changed a moment ago"
	}
	return s, nil
}

// refreshedAt is when the newest of a source's segments was refreshed: as it
// lists them, or else as it describes those that exports use.
func (a *Activities) refreshedAt(ctx context.Context, src segment.Source, name string) (time.Time, error) {
	infos, err := src.Segments(ctx)
	if err != nil {
		return time.Time{}, err
	}
	var at time.Time
	for _, i := range infos {
		at = newest(at, i.RefreshedAt)
	}
	if !at.IsZero() {
		return at, nil
	}
	exports, err := list[catalogue.Export](ctx, a, catalogue.KindExport)
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
		at = newest(at, info.RefreshedAt)
	}
	return at, nil
}
