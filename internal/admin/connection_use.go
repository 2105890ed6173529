package admin

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/segment-export/segment-export/internal/catalogue"
	"github.com/segment-export/segment-export/internal/command"
	"github.com/segment-export/segment-export/internal/connect"
	"github.com/segment-export/segment-export/internal/protocol"
	"github.com/segment-export/segment-export/internal/record"
	"github.com/segment-export/segment-export/internal/run"
	"github.com/segment-export/segment-export/internal/scheduling"
	"github.com/segment-export/segment-export/internal/store"
)

// withdraw withdraws the agreement to the transfer of personal data. No run
// starts any more; the caller says whether open runs are canceled or may finish.
func (a *Commands) withdraw(ctx context.Context, c command.Caller, conn catalogue.Connection, o store.Object, running string) (any, error) {
	users, err := a.usersOf(ctx, conn.Name)
	if err != nil {
		return nil, err
	}
	open, err := a.openRunsOf(ctx, users)
	if err != nil {
		return nil, err
	}
	var ids []string
	for _, r := range open {
		ids = append(ids, r.ID)
	}
	switch running {
	case protocol.RunningCancel, protocol.RunningFinish:
	case "":
		if len(open) > 0 {
			return nil, protocol.Refuse(protocol.ErrConflict, "%d runs are open over the connection %q (%s); say what to do with them: --running %s or --running %s",
				len(open), conn.Name, strings.Join(ids, ", "), protocol.RunningCancel, protocol.RunningFinish)
		}
	default:
		return nil, protocol.Refuse(protocol.ErrUsage, "--running %q is neither %s nor %s", running, protocol.RunningCancel, protocol.RunningFinish)
	}
	if conn.Consent != nil { // else an earlier attempt, or another user, withdrew it already
		var finish []string
		if running == protocol.RunningFinish {
			finish = ids
		}
		conn.Withdraw(c.Name, c.Request.IssuedAt.UTC(), finish)
		if err := a.Replace(ctx, c, o, &conn, nil); err != nil {
			return nil, err
		}
	}
	if running == protocol.RunningFinish {
		return a.connectionAnswer(ctx, conn)
	}
	return a.endRuns(ctx, conn, open)
}

// connectionStop bars a connection and cancels its open runs; everything else
// stays as it is.
func (a *Commands) connectionStop(ctx context.Context, c command.Caller, args protocol.Named) (any, error) {
	conn, o, err := record.Find[catalogue.Connection](ctx, a.Store, catalogue.KindConnection, args.Name)
	if err != nil {
		return nil, err
	}
	if conn.Stopped == nil {
		conn.Stopped = &catalogue.Stop{By: c.Name, At: c.Request.IssuedAt.UTC()}
		if err := a.Replace(ctx, c, o, &conn, nil); err != nil {
			return nil, err
		}
	}
	users, err := a.usersOf(ctx, conn.Name)
	if err != nil {
		return nil, err
	}
	open, err := a.openRunsOf(ctx, users)
	if err != nil {
		return nil, err
	}
	return a.endRuns(ctx, conn, open)
}

func (a *Commands) connectionStart(ctx context.Context, c command.Caller, args protocol.Named) (any, error) {
	conn, o, err := record.Find[catalogue.Connection](ctx, a.Store, catalogue.KindConnection, args.Name)
	if err != nil {
		return nil, err
	}
	if conn.Stopped != nil {
		conn.Stopped = nil
		if err := a.Replace(ctx, c, o, &conn, nil); err != nil {
			return nil, err
		}
	}
	return a.connectionAnswer(ctx, conn)
}

// connectionResume ends the pause that a 429 of Omnisend put on the budget of
// the connection's brand, for every connection to that brand.
func (a *Commands) connectionResume(ctx context.Context, _ command.Caller, args protocol.Named) (any, error) {
	conn, _, err := record.Find[catalogue.Connection](ctx, a.Store, catalogue.KindConnection, args.Name)
	if err != nil {
		return nil, err
	}
	answer := protocol.ConnectionResumed{Name: conn.Name}
	if conn.CallsPerMinute == 0 {
		return answer, nil // it has no budget
	}
	left, err := a.Store.ResumeBrand(ctx, conn.Budget(), store.Limit{Calls: conn.Limit()})
	answer.Paused = left.Seconds()
	return answer, err
}

// endRuns cancels the open runs over a connection that was barred:
// each ends after the calls in flight and collects their verdicts.
func (a *Commands) endRuns(ctx context.Context, conn catalogue.Connection, open []store.Run) (any, error) {
	reason, _ := conn.Barred("")
	answer := &protocol.ConnectionAnswer{Connection: conn}
	for _, r := range open {
		err := a.ControlRun(ctx, r.ID, func(control *run.Control) error {
			control.Canceled, control.Stopped = true, reason
			return nil
		})
		if err != nil {
			return nil, err
		}
		if err := a.Cancel(ctx, r); err != nil && !errors.Is(err, scheduling.ErrGone) {
			return nil, err
		}
		answer.Canceled = append(answer.Canceled, r.ID)
	}
	var err error
	answer.Exports, err = a.usersOf(ctx, conn.Name)
	return answer, err
}

// renameConnection gives a connection another name; the exports that use it
// follow. An open run has the old name, so there must be none.
func (a *Commands) renameConnection(ctx context.Context, c command.Caller, conn catalogue.Connection, o store.Object, name string) (any, error) {
	if err := catalogue.CheckName(catalogue.KindConnection, name); err != nil {
		return nil, err
	}
	users, err := a.usersOf(ctx, conn.Name)
	if err != nil {
		return nil, err
	}
	if open, err := a.openRunsOf(ctx, users); err != nil {
		return nil, err
	} else if len(open) > 0 {
		return nil, protocol.Refuse(protocol.ErrConflict, "the connection %q cannot be renamed while run %s is open over it: wait for its end, or cancel it", conn.Name, open[0].ID)
	}
	key, err := a.Keyring.Open(o.Sealed, connect.KeyContext(conn))
	if err != nil {
		return nil, protocol.Refuse(protocol.ErrFailed, "the API key of the connection %q cannot be decrypted with this keyring, so it cannot be sealed for another name: store it again first (starter connection rotate-key %q)", conn.Name, conn.Name)
	}
	from := conn.Name
	conn.Name = name
	sealed, err := a.Keyring.Seal(key, connect.KeyContext(conn))
	if err != nil {
		return nil, err
	}
	now, err := a.Store.Now(ctx)
	if err != nil {
		return nil, err
	}
	conn.UpdatedBy, conn.UpdatedAt, conn.Version = c.Name, now, o.Version+1
	to := store.Object{Kind: string(catalogue.KindConnection), Name: name, Version: o.Version, Body: record.Encode(&conn), Sealed: sealed, Command: c.Request.ID}
	var others []store.Object
	for _, user := range users {
		e, eo, err := record.Object[catalogue.Export](ctx, a.Store, catalogue.KindExport, user)
		if err != nil {
			return nil, err
		}
		e.Connection, e.Version = name, eo.Version+1 // who changed it last, and when, stays: the export is the same
		eo.Body, eo.Sealed, eo.Command = record.Encode(&e), nil, c.Request.ID
		others = append(others, eo)
	}
	switch err := a.Store.RenameObject(ctx, from, to, others...); {
	case errors.Is(err, store.ErrExists):
		return nil, protocol.Refuse(protocol.ErrExists, "there is a connection %q already", name)
	case errors.Is(err, store.ErrConflict):
		return nil, protocol.Refuse(protocol.ErrConflict, "the connection %q or an export on it was changed by another user meanwhile; look at it and try again", from)
	case err != nil:
		return nil, err
	}
	return a.connectionAnswer(ctx, conn)
}

// connectionRemove removes a connection that no export uses, or does first with
// those that do what was said.
func (a *Commands) connectionRemove(ctx context.Context, c command.Caller, args protocol.ConnectionRemoveArgs) (any, error) {
	conn, _, err := record.Find[catalogue.Connection](ctx, a.Store, catalogue.KindConnection, args.Name)
	if err != nil {
		return nil, err
	}
	users, err := a.usersOf(ctx, conn.Name)
	if err != nil {
		return nil, err
	}
	switch args.Exports {
	case "":
		if len(users) > 0 {
			return nil, protocol.Refuse(protocol.ErrConflict, "the connection %q is in use; exports: %s; detach them (--detach) or remove them too (--remove-exports)",
				conn.Name, strings.Join(users, ", "))
		}
	case protocol.ExportsDetach, protocol.ExportsRemove:
	default:
		return nil, protocol.Refuse(protocol.ErrUsage, "%q is neither %s nor %s", args.Exports, protocol.ExportsDetach, protocol.ExportsRemove)
	}
	if open, err := a.openRunsOf(ctx, users); err != nil {
		return nil, err
	} else if len(open) > 0 {
		// Without the key the verdicts of their calls would be lost.
		return nil, protocol.Refuse(protocol.ErrConflict, "%d runs are open over the connection %q; stop it first (starter connection stop %q), and remove it when they have ended", len(open), conn.Name, conn.Name)
	}
	for _, user := range users {
		e, o, err := record.Object[catalogue.Export](ctx, a.Store, catalogue.KindExport, user)
		switch {
		case errors.Is(err, store.ErrNotFound):
			continue // another user was quicker
		case err != nil:
			return nil, err
		case args.Exports == protocol.ExportsRemove:
			err = a.RemoveExport(ctx, e, c.Request.ID)
		default:
			e.Connection = ""
			err = a.Replace(ctx, c, o, &e, nil)
		}
		if err != nil {
			return nil, fmt.Errorf("export %q: %w", user, err)
		}
	}
	answer := &protocol.ConnectionAnswer{Connection: conn, Exports: users}
	unsettled, err := a.Store.Unsettled(ctx, conn.BrandID, "", 0)
	if err != nil {
		return nil, err
	}
	if len(unsettled) > 0 {
		answer.Notes = append(answer.Notes, fmt.Sprintf("%d calls are without a verdict; another connection to brand %s asks for it, for 7 days", len(unsettled), conn.BrandID))
	}
	return answer, a.Remove(ctx, c, &conn)
}
