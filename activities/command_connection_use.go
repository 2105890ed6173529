package activities

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"go.temporal.io/api/serviceerror"

	"github.com/segment-export/segment-export/internal/catalogue"
	"github.com/segment-export/segment-export/internal/protocol"
	"github.com/segment-export/segment-export/internal/run"
	"github.com/segment-export/segment-export/internal/store"
)

// withdraw takes back the agreement to the transfer of personal data. Nothing
// begins any more; what is going on is canceled or may finish, which has to be
// said.
func (a *Activities) withdraw(ctx context.Context, c caller, conn catalogue.Connection, o store.Object, running string) (any, error) {
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
			return nil, refuse(protocol.ErrConflict, "%d runs are going on over the connection %q (%s); say what to do with them: --running %s or --running %s",
				len(open), conn.Name, strings.Join(ids, ", "), protocol.RunningCancel, protocol.RunningFinish)
		}
	default:
		return nil, refuse(protocol.ErrUsage, "--running %q is neither %s nor %s", running, protocol.RunningCancel, protocol.RunningFinish)
	}
	if conn.Consent != nil { // else an earlier attempt, or somebody, took it back already
		var finish []string
		if running == protocol.RunningFinish {
			finish = ids
		}
		conn.Withdraw(c.Name, c.request.IssuedAt.UTC(), finish)
		if err := a.replace(ctx, c, o, &conn, nil); err != nil {
			return nil, err
		}
	}
	if running == protocol.RunningFinish {
		return a.connectionAnswer(ctx, conn)
	}
	return a.endRuns(ctx, conn, open)
}

// connectionStop bars a connection and cancels what is going on over it;
// everything else stays as it is.
func (a *Activities) connectionStop(ctx context.Context, c caller, args protocol.Named) (any, error) {
	conn, o, err := get[catalogue.Connection](ctx, a, catalogue.KindConnection, args.Name)
	if err != nil {
		return nil, err
	}
	if conn.Stopped == nil {
		conn.Stopped = &catalogue.Stop{By: c.Name, At: c.request.IssuedAt.UTC()}
		if err := a.replace(ctx, c, o, &conn, nil); err != nil {
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

func (a *Activities) connectionStart(ctx context.Context, c caller, args protocol.Named) (any, error) {
	conn, o, err := get[catalogue.Connection](ctx, a, catalogue.KindConnection, args.Name)
	if err != nil {
		return nil, err
	}
	if conn.Stopped != nil {
		conn.Stopped = nil
		if err := a.replace(ctx, c, o, &conn, nil); err != nil {
			return nil, err
		}
	}
	return a.connectionAnswer(ctx, conn)
}

// connectionResume ends the pause that a 429 of Omnisend put on the budget of
// the connection's brand, for every connection to that brand.
func (a *Activities) connectionResume(ctx context.Context, _ caller, args protocol.Named) (any, error) {
	conn, _, err := get[catalogue.Connection](ctx, a, catalogue.KindConnection, args.Name)
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

// endRuns cancels the runs that are going on over a connection that was barred:
// each ends after the calls in flight and collects their verdicts.
func (a *Activities) endRuns(ctx context.Context, conn catalogue.Connection, open []store.Run) (any, error) {
	reason, _ := conn.Barred("")
	answer := &protocol.ConnectionAnswer{Connection: conn}
	for _, r := range open {
		err := a.controlRun(ctx, r.ID, func(control *run.Control) error {
			control.Canceled, control.Stopped = true, reason
			return nil
		})
		if err != nil {
			return nil, err
		}
		err = a.Temporal.CancelWorkflow(ctx, protocol.WorkflowID(r.Export, r.Plan), "")
		if _, ended := errors.AsType[*serviceerror.NotFound](err); err != nil && !ended {
			return nil, err
		}
		answer.Canceled = append(answer.Canceled, r.ID)
	}
	var err error
	answer.Exports, err = a.usersOf(ctx, conn.Name)
	return answer, err
}

// renameConnection gives a connection another name; the exports that use it
// follow. A run that is going on knows it by the old one, so there must be none.
func (a *Activities) renameConnection(ctx context.Context, c caller, conn catalogue.Connection, o store.Object, name string) (any, error) {
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
		return nil, refuse(protocol.ErrConflict, "the connection %q cannot be renamed while run %s is going on over it: wait for its end, or cancel it", conn.Name, open[0].ID)
	}
	key, err := a.Keyring.Open(o.Sealed, keyContext(conn))
	if err != nil {
		return nil, refuse(protocol.ErrFailed, "the API key of the connection %q cannot be decrypted with this keyring, so it cannot be sealed for another name: store it again first (starter connection rotate-key %q)", conn.Name, conn.Name)
	}
	from := conn.Name
	conn.Name = name
	sealed, err := a.Keyring.Seal(key, keyContext(conn))
	if err != nil {
		return nil, err
	}
	now, err := a.Store.Now(ctx)
	if err != nil {
		return nil, err
	}
	conn.UpdatedBy, conn.UpdatedAt, conn.Version = c.Name, now, o.Version+1
	to := store.Object{Kind: string(catalogue.KindConnection), Name: name, Version: o.Version, Body: encode(&conn), Sealed: sealed, Command: c.request.ID}
	var others []store.Object
	for _, user := range users {
		e, eo, err := object[catalogue.Export](ctx, a, catalogue.KindExport, user)
		if err != nil {
			return nil, err
		}
		e.Connection, e.Version = name, eo.Version+1 // who changed it last, and when, stays: the export is the same
		eo.Body, eo.Sealed, eo.Command = encode(&e), nil, c.request.ID
		others = append(others, eo)
	}
	switch err := a.Store.RenameObject(ctx, from, to, others...); {
	case errors.Is(err, store.ErrExists):
		return nil, refuse(protocol.ErrExists, "there is a connection %q already", name)
	case errors.Is(err, store.ErrConflict):
		return nil, refuse(protocol.ErrConflict, "the connection %q or an export on it was changed by somebody else meanwhile; look at it and try again", from)
	case err != nil:
		return nil, err
	}
	return a.connectionAnswer(ctx, conn)
}

// connectionRemove removes a connection that no export uses, or does first with
// those that do what was said.
func (a *Activities) connectionRemove(ctx context.Context, c caller, args protocol.ConnectionRemoveArgs) (any, error) {
	conn, _, err := get[catalogue.Connection](ctx, a, catalogue.KindConnection, args.Name)
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
			return nil, refuse(protocol.ErrConflict, "the connection %q is in use; exports: %s; detach them (--detach) or remove them too (--remove-exports)",
				conn.Name, strings.Join(users, ", "))
		}
	case protocol.ExportsDetach, protocol.ExportsRemove:
	default:
		return nil, refuse(protocol.ErrUsage, "%q is neither %s nor %s", args.Exports, protocol.ExportsDetach, protocol.ExportsRemove)
	}
	if open, err := a.openRunsOf(ctx, users); err != nil {
		return nil, err
	} else if len(open) > 0 {
		// Without the key nobody would learn what became of their calls.
		return nil, refuse(protocol.ErrConflict, "%d runs are going on over the connection %q; stop it first (starter connection stop %q), and remove it when they have ended", len(open), conn.Name, conn.Name)
	}
	for _, user := range users {
		e, o, err := object[catalogue.Export](ctx, a, catalogue.KindExport, user)
		switch {
		case errors.Is(err, store.ErrNotFound):
			continue // somebody was quicker
		case err != nil:
			return nil, err
		case args.Exports == protocol.ExportsRemove:
			err = a.removeExport(ctx, e, c.request.ID)
		default:
			e.Connection = ""
			err = a.replace(ctx, c, o, &e, nil)
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
	return answer, a.remove(ctx, c, &conn)
}
