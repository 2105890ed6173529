package connect

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/segment-export/segment-export/internal/reason"

	"github.com/segment-export/segment-export/internal/catalogue"
	"github.com/segment-export/segment-export/internal/record"
	"github.com/segment-export/segment-export/internal/run"
	"github.com/segment-export/segment-export/internal/secretref"
	"github.com/segment-export/segment-export/internal/segment"
	"github.com/segment-export/segment-export/internal/store"
)

// CredentialContext is the context that a source's credential is sealed with.
// Where the source leads to is in it: the credential opens for no other place
// than it was given for.
func CredentialContext(s *catalogue.Source) string {
	return "source/" + s.Name + "/credential/" + s.Destination()
}

// Source opens a source as it is now, so that a credential that was replaced
// counts at once. The caller closes it with closeSource.
func (a *Opener) Source(ctx context.Context, name string) (segment.Source, catalogue.Source, error) {
	s, o, err := record.Object[catalogue.Source](ctx, a.Store, catalogue.KindSource, name)
	if errors.Is(err, store.ErrNotFound) {
		return nil, s, &segment.AccessError{Message: fmt.Sprintf("the source %q does not exist any more", name),
			Action: "set another source for the export"}
	}
	if err != nil {
		return nil, s, err
	}
	secret, err := a.Credential(&s, o.Sealed)
	if err != nil {
		return nil, s, err
	}
	src, err := a.OpenSource(s, secret)
	if err != nil {
		// Nothing was asked of it: its settings are what is wrong.
		return nil, s, &segment.AccessError{Message: err.Error(), Action: fmt.Sprintf("put its settings right: starter source edit %q", s.Name)}
	}
	return src, s, nil
}

// Credential returns what a source logs in with; nil when it has none. What is
// wrong with it is an *segment.AccessError.
func (a *Opener) Credential(s *catalogue.Source, sealed []byte) ([]byte, error) {
	again := fmt.Sprintf("give it again: starter source edit %q --credential-file FILE", s.Name)
	switch s.Credential {
	case "":
		return nil, nil
	case catalogue.CredentialStored:
		secret, err := a.Keyring.Open(sealed, CredentialContext(s))
		if err != nil {
			return nil, &segment.AccessError{Message: "its stored credential cannot be decrypted with this keyring for the place that it leads to", Action: again}
		}
		return secret, nil
	}
	secret, err := a.Secrets.Resolve(s.Credential)
	if e, ok := errors.AsType[*secretref.Error](err); ok {
		return nil, &segment.AccessError{Message: "its credential cannot be found: " + e.Message, Action: e.Action}
	}
	return secret, err
}

// Close gives up what a source holds besides its readers.
func Close(s segment.Source) error {
	if c, ok := s.(io.Closer); ok {
		return c.Close()
	}
	return nil
}

// ViewOf names the place that a source is read from: a cursor of one place is
// none of another.
func ViewOf(s catalogue.Source) []byte {
	sum := sha256.Sum256(append([]byte(s.Type+" "), record.Encode(s.Settings())...))
	return sum[:8]
}

// sourceFaultError marks an error as the source's: others are retried as they are.
type sourceFaultError struct{ error }

func (f *sourceFaultError) Unwrap() error { return f.error }

// SourceFault marks an error as the source's.
func SourceFault(err error) error { return &sourceFaultError{err} }

// Trouble is since when a source has given nothing but errors, or nothing since
// it is busy.
type Trouble struct {
	Since time.Time `json:"since,omitzero"`
	Tries int       `json:"tries,omitempty"`
	Busy  time.Time `json:"busy,omitzero"`
}

// SourceHalt says what must happen before it is worth trying a source again.
// What only a person with access to the data can fix fails the run: nothing was
// sent yet, so nothing is half done. An error that may pass is waited for, where
// the run shows it, until it has lasted too long to be one.
func (a *Opener) SourceHalt(ctx context.Context, name string, t *Trouble, err error) (*run.Halt, error) {
	_, missing := errors.AsType[*segment.MissingFieldsError](err)
	access, refused := errors.AsType[*segment.AccessError](err)
	busy, isBusy := errors.AsType[*segment.BusyError](err)
	_, isFault := errors.AsType[*sourceFaultError](err)
	switch {
	case missing || errors.Is(err, segment.ErrNotFound) || errors.Is(err, segment.ErrMalformed):
		return &run.Halt{Kind: run.HaltFail, Reason: reason.Format("source %q: %v", name, err),
			Action: "put the data or the export's mapping right and run again; nothing was sent"}, nil
	case refused:
		*t = Trouble{}
		return &run.Halt{Kind: run.HaltPark, Reason: reason.Format("source %q: %s", name, access.Message), Action: reason.Text(access.Action + "; then resume")}, nil
	case isBusy:
		return a.busyHalt(ctx, name, t, busy)
	case !isFault || errors.Is(err, context.Canceled):
		return nil, err
	}
	now, clock := a.Store.Now(ctx)
	if clock != nil {
		return nil, errors.Join(err, clock)
	}
	if t.Tries == 0 {
		t.Since = now
	}
	t.Tries++
	lasted := now.Sub(t.Since)
	if lasted < a.SourcePatience {
		return &run.Halt{Kind: run.HaltWait, Reason: reason.Format("source %q: %v; it is tried again", name, err), Wait: min(time.Minute, time.Second<<min(t.Tries, 6))}, nil
	}
	h := &run.Halt{Kind: run.HaltPark, Reason: reason.Format("source %q could not be read for %s, in %d tries: %v", name, lasted.Round(time.Second), t.Tries, err),
		Action: reason.Format("see what is wrong (starter source test %q), then resume", name)}
	*t = Trouble{}
	return h, nil
}

// busyHalt waits for a source that is busy with itself, but not for ever: a
// refresh that hangs never ends.
func (a *Opener) busyHalt(ctx context.Context, name string, t *Trouble, busy *segment.BusyError) (*run.Halt, error) {
	now, err := a.Store.Now(ctx)
	if err != nil {
		return nil, err
	}
	*t = Trouble{Busy: t.Busy}
	if t.Busy.IsZero() {
		t.Busy = now
	}
	if lasted := now.Sub(t.Busy); lasted >= a.SourceReady {
		*t = Trouble{}
		return &run.Halt{Kind: run.HaltPark, Reason: reason.Format("source %q could not be read for %s: %s", name, lasted.Round(time.Second), busy.Reason),
			Action: reason.Format("see what keeps it (starter source test %q; in Customer Insights, Settings > System > Status), then resume", name)}, nil
	}
	return &run.Halt{Kind: run.HaltWait, Reason: reason.Format("source %q: %s", name, busy.Reason), Wait: busy.RetryAfter}, nil
}
