package command

import (
	"bytes"
	"cmp"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/segment-export/segment-export/internal/access"
	"github.com/segment-export/segment-export/internal/catalogue"
	"github.com/segment-export/segment-export/internal/contact"
	"github.com/segment-export/segment-export/internal/fault"
	"github.com/segment-export/segment-export/internal/protocol"
	"github.com/segment-export/segment-export/internal/record"
	"github.com/segment-export/segment-export/internal/seal"
	"github.com/segment-export/segment-export/internal/store"
)

// Caller is who gives a command, and the command as it came.
type Caller struct {
	access.Principal
	Request *protocol.Request
	attempt Attempt
	Object  *string              // name of what the command is about, for the audit
	People  *bool                // set by a command that otherwise shows nothing of people: the answer is sealed, and the audit has an entry
	runs    map[string]store.Run // that the caller may use, as they were named
}

// Attempt is one attempt at a command: which one it is, and the run of the
// workflow that makes it.
type Attempt struct {
	Number    int32
	Execution string
}

// Handler reads the arguments of one command. It says what they are about, and
// carries the command out once the caller may use all of it. The answer is
// encoded, and sealed where the command's specification says that it is personal.
// With and Without make handlers.
type Handler struct {
	read func(c Caller) (about []protocol.Subject, do func(ctx context.Context) (any, error), err error)
}

// With reads the arguments of a command strictly: a field that this worker
// does not know may mean something.
func With[T protocol.Args](do func(ctx context.Context, c Caller, args T) (any, error)) Handler {
	return Handler{func(c Caller) ([]protocol.Subject, func(context.Context) (any, error), error) {
		var args T
		if len(c.Request.Args) > 0 {
			d := json.NewDecoder(bytes.NewReader(c.Request.Args))
			d.DisallowUnknownFields()
			if err := d.Decode(&args); err != nil {
				return nil, nil, protocol.Refuse(protocol.ErrUsage, "this worker does not understand the command's arguments (is the starter newer than the worker?): %v", err)
			}
		}
		return args.About(c.Request.Name), func(ctx context.Context) (any, error) { return do(ctx, c, args) }, nil
	}}
}

// Without is with for a command that takes no arguments.
func Without(do func(ctx context.Context, c Caller) (any, error)) Handler {
	return With(func(ctx context.Context, c Caller, _ protocol.None) (any, error) { return do(ctx, c) })
}

// Command carries out one command of the command line, after seeing to it that
// the caller may give it, and enters it in the audit. An attempt that is
// repeated carries the same command out again, which the handlers bear.
func (a *Desk) Command(ctx context.Context, request protocol.Request, at Attempt) (*protocol.Response, error) {
	spec, _ := access.Specified(request.Name) // one that is unknown changes something, if anything
	if err := a.reachStore(ctx, spec, request.Name, at); err != nil {
		return nil, err
	}
	c := Caller{Request: &request, attempt: at, Object: new(string), People: new(bool), runs: map[string]store.Run{}}
	var answer any
	err := fault.Guard(func() error {
		var err error
		answer, err = a.carryOut(ctx, &c)
		return err
	})
	if err := a.enter(ctx, c, err); err != nil {
		return nil, err
	}
	if err != nil {
		return nil, err
	}
	if request.ReplyTo == "" && !spec.Personal && !*c.People {
		return &protocol.Response{Body: record.Encode(answer)}, nil
	}
	key, err := seal.ParsePublicKey(request.ReplyTo)
	if err != nil {
		return nil, protocol.Refuse(protocol.ErrUsage, "the command brought no key to seal its answer to")
	}
	data, err := key.Seal(record.Encode(answer), protocol.Context(request.ID))
	return &protocol.Response{Sealed: data}, err
}

const (
	// storePatience is how long a store may take to answer at all.
	storePatience = 3 * time.Second
	// lookAttempts is how often a command that only looks asks for a store that is
	// away, which is about 3 s. One that changes something asks for all its time:
	// it may bridge the change from one database server to another.
	lookAttempts = 5
)

// reachStore checks that the store answers before a command starts: else
// it would fail halfway, and its error be about whatever came first.
func (a *Desk) reachStore(ctx context.Context, spec access.Command, name string, at Attempt) error {
	ask, cancel := context.WithTimeout(ctx, storePatience)
	defer cancel()
	err := a.Store.Ping(ask)
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	a.Log.WarnContext(ctx, "the store does not answer", "command", name, "error", err)
	message := fmt.Sprintf("the worker %s does not reach its store: its log says why, as does /readyz of each worker", a.Worker)
	if name == protocol.Status {
		if seen := (&protocol.StatusAnswer{}); a.QueueStatus(ctx, seen) == nil {
			message += fmt.Sprintf("; Temporal sees workers at work: %d, tasks that wait for one: %d", len(seen.Workers), seen.Backlog.Tasks)
		}
	}
	switch {
	case spec.Audited():
		// An attempt before this one may have found the store.
		return errors.New(message + "; look whether it was done before giving the command again")
	case ask.Err() != nil || at.Number >= lookAttempts:
		return protocol.Refuse(protocol.ErrFailed, "%s", message)
	}
	return errors.New(message)
}

// carryOut checks who asks and does it. It fills in the caller.
func (a *Desk) carryOut(ctx context.Context, c *Caller) (any, error) {
	h, ok := a.handlers[c.Request.Name]
	if !ok {
		return nil, protocol.Refuse(protocol.ErrUsage, "this worker has no command %q: is the starter newer than the worker?", c.Request.Name)
	}
	if c.Request.Name != protocol.Hello {
		var err error
		if c.Principal, err = a.identify(ctx, c.Request); err != nil {
			return nil, err
		}
		err = a.Store.BeginCommand(ctx, c.Request.ID, c.attempt.Execution)
		if errors.Is(err, store.ErrExists) {
			// Its proof was copied, or its workflow reset: nobody knows by whom.
			c.Principal = access.Principal{}
			return nil, protocol.Refuse(protocol.ErrRepeated, "duplicate command ID: the command was given before and is not carried out twice")
		}
		if err != nil {
			return nil, err
		}
	}
	if err := access.Check(c.Principal, c.Request.Name); err != nil {
		return nil, protocol.Refuse(protocol.ErrNotAllowed, "%v", err)
	}
	about, do, err := h.read(*c)
	if err != nil {
		return nil, err
	}
	if err := a.authorise(ctx, *c, about); err != nil {
		return nil, err
	}
	return do(ctx)
}

// enter puts a command into the audit. Looking changes nothing and is not
// entered, unless it was refused. What a command changed is kept by the store
// with each object's change.
func (a *Desk) enter(ctx context.Context, c Caller, outcome error) error {
	if spec, _ := access.Specified(c.Request.Name); outcome == nil && !spec.Audited() && !*c.People {
		return nil
	}
	entry := store.AuditEntry{ID: c.Request.ID, Actor: c.Name, Command: c.Request.Name, Outcome: "done"}
	entry.Object = *c.Object
	var about struct{ Name, Export, Run string }
	if json.Unmarshal(c.Request.Args, &about) == nil {
		entry.Object = cmp.Or(*c.Object, about.Name, about.Export, about.Run)
	}
	if c.Role > access.Nobody {
		entry.Detail = c.Request.Args
	} else { // else anybody could have anything kept
		entry.Command, entry.Object = cut(entry.Command), cut(entry.Object)
	}
	if outcome != nil {
		entry.Outcome = protocol.ErrFailed
		if r, ok := errors.AsType[*protocol.RefusalError](outcome); ok {
			entry.Outcome = r.Class
		}
		if entry.Outcome == protocol.ErrNotAllowed || entry.Outcome == protocol.ErrRepeated {
			// Not in place of the entry of a command whose id was used before.
			entry.ID += "/" + c.attempt.Execution
		}
	}
	return a.Store.AddAudit(ctx, entry)
}

// cut shortens what an unknown person wrote.
func cut(text string) string {
	const most = 100
	return strings.ToValidUTF8(text[:min(most, len(text))], "")
}

func (a *Desk) hello(context.Context, Caller) (any, error) {
	key := a.Keyring.PublicKey()
	return protocol.HelloAnswer{PublicKey: key.String(), Fingerprint: key.Fingerprint()}, nil
}

func (a *Desk) whoAmI(_ context.Context, c Caller) (any, error) {
	return protocol.WhoAmIAnswer{Name: c.Name, Role: c.Role.String()}, nil
}

// Meta is the bookkeeping of a new object. Its time is the command's, which is
// the same however often the command is attempted.
func Meta(kind catalogue.Kind, name string, c Caller) (catalogue.Meta, error) {
	if err := catalogue.CheckName(kind, name); err != nil {
		return catalogue.Meta{}, err
	}
	at := c.Request.IssuedAt.UTC()
	return catalogue.Meta{Name: name, Version: 1, CreatedBy: c.Name, CreatedAt: at, UpdatedBy: c.Name, UpdatedAt: at}, nil
}

// Named puts a keyed digest of the address on record in its place, so that what
// was done about one person can be found together.
func (c Caller) Named(digest contact.Digest) { *c.Object = "address " + hex.EncodeToString(digest[:8]) }
