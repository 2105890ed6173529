package activities

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/temporal"

	"github.com/segment-export/segment-export/internal/access"
	"github.com/segment-export/segment-export/internal/catalogue"
	"github.com/segment-export/segment-export/internal/fault"
	"github.com/segment-export/segment-export/internal/protocol"
	"github.com/segment-export/segment-export/internal/seal"
	"github.com/segment-export/segment-export/internal/spelling"
	"github.com/segment-export/segment-export/internal/store"
)

// caller is who gives a command, and the command as it came.
type caller struct {
	access.Principal
	request *protocol.Request
	object  *string // name of what the command is about, for the audit
	people  *bool   // a command that only looks shows rows of people, and is entered in the audit
}

// refusal is a command's failure of a class that the starter knows.
type refusal struct {
	class   string
	message string
}

func (r *refusal) Error() string { return r.message }

func refuse(class, format string, args ...any) error {
	return &refusal{class: class, message: fmt.Sprintf(format, args...)}
}

// sealedAnswer is an answer that holds personal data.
type sealedAnswer struct{ content any }

// handler carries out one command and returns its answer: something to encode,
// or a sealedAnswer. It is made by with or without, which see to it that the
// caller may use what the command is about.
type handler struct {
	do func(a *Activities, ctx context.Context, c caller) (any, error)
}

// with reads the arguments of a command strictly: a field that this worker
// does not know may mean something. Then it sees to it that the caller may use
// everything that the arguments are about.
func with[T protocol.Args](do func(a *Activities, ctx context.Context, c caller, args T) (any, error)) handler {
	return handler{func(a *Activities, ctx context.Context, c caller) (any, error) {
		var args T
		if len(c.request.Args) > 0 {
			d := json.NewDecoder(bytes.NewReader(c.request.Args))
			d.DisallowUnknownFields()
			if err := d.Decode(&args); err != nil {
				return nil, refuse(protocol.ErrUsage, "this worker does not understand the command's arguments (is the starter newer than the worker?): %v", err)
			}
		}
		if err := a.authorise(ctx, c, args.About(c.request.Name)); err != nil {
			return nil, err
		}
		return do(a, ctx, c, args)
	}}
}

// without is with for a command that takes no arguments.
func without(do func(a *Activities, ctx context.Context, c caller) (any, error)) handler {
	return with(func(a *Activities, ctx context.Context, c caller, _ protocol.None) (any, error) { return do(a, ctx, c) })
}

// handlers are all commands; each group stands in the file that carries it out.
var handlers = merged(identityHandlers, accessHandlers, sourceHandlers, connectionHandlers, exportHandlers, runHandlers, personHandlers,
	verifyHandlers, statusHandlers, alertHandlers, scheduleHandlers, refreshHandlers)

func merged(groups ...map[string]handler) map[string]handler {
	all := map[string]handler{}
	for _, g := range groups {
		maps.Copy(all, g)
	}
	return all
}

// identityHandlers are the commands of introduction.
var identityHandlers = map[string]handler{
	protocol.Hello:  without((*Activities).hello),
	protocol.WhoAmI: without((*Activities).whoAmI),
}

// Command carries out one command of the command line, after seeing to it that
// the caller may give it, and enters it in the audit. An attempt that is
// repeated carries the same command out again, which the handlers bear.
func (a *Activities) Command(ctx context.Context, request protocol.Request) (*protocol.Response, error) {
	if err := a.reachStore(ctx, request.Name); err != nil {
		return nil, applicationError(err)
	}
	c := caller{request: &request, object: new(string), people: new(bool)}
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
		return nil, applicationError(err)
	}
	sealed, personal := answer.(sealedAnswer)
	if !personal && request.ReplyTo == "" {
		return &protocol.Response{Body: encode(answer)}, nil
	}
	if !personal { // whoever asks wants it between themselves and the worker
		sealed.content = answer
	}
	key, err := seal.ParsePublicKey(request.ReplyTo)
	if err != nil {
		return nil, applicationError(refuse(protocol.ErrUsage, "the command brought no key to seal its answer to"))
	}
	data, err := key.Seal(encode(sealed.content), protocol.Context(request.ID))
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

// reachStore sees to it that the store answers before a command is begun: else
// it would fail halfway, and its error be about whatever came first.
func (a *Activities) reachStore(ctx context.Context, name string) error {
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
		if seen := (&protocol.StatusAnswer{}); a.queueStatus(ctx, seen) == nil {
			message += fmt.Sprintf("; Temporal sees workers at work: %d, tasks that wait for one: %d", len(seen.Workers), seen.Backlog.Tasks)
		}
	}
	switch {
	case !access.Looks(name):
		// An attempt before this one may have found the store.
		return errors.New(message + "; look whether it was done before giving the command again")
	case ask.Err() != nil || activity.GetInfo(ctx).Attempt >= lookAttempts:
		return refuse(protocol.ErrFailed, "%s", message)
	}
	return errors.New(message)
}

// carryOut checks who asks and does it. It fills in the caller.
func (a *Activities) carryOut(ctx context.Context, c *caller) (any, error) {
	h, ok := handlers[c.request.Name]
	if !ok {
		return nil, refuse(protocol.ErrUsage, "this worker has no command %q: is the starter newer than the worker?", c.request.Name)
	}
	if c.request.Name != protocol.Hello {
		var err error
		if c.Principal, err = a.identify(ctx, c.request); err != nil {
			return nil, err
		}
		err = a.Store.BeginCommand(ctx, c.request.ID, activity.GetInfo(ctx).WorkflowExecution.RunID)
		if errors.Is(err, store.ErrExists) {
			// Its proof was copied, or its workflow reset: nobody knows by whom.
			c.Principal = access.Principal{}
			return nil, refuse(protocol.ErrRepeated, "duplicate command ID: the command was given before and is not carried out twice")
		}
		if err != nil {
			return nil, err
		}
	}
	if err := access.Check(c.Principal, c.request.Name); err != nil {
		return nil, refuse(protocol.ErrNotAllowed, "%v", err)
	}
	return h.do(a, ctx, *c)
}

// enter puts a command into the audit. Looking changes nothing and is not
// entered, unless it was refused. What a command changed is kept by the store
// with each object's change.
func (a *Activities) enter(ctx context.Context, c caller, outcome error) error {
	if outcome == nil && access.Looks(c.request.Name) && !*c.people {
		return nil
	}
	entry := store.AuditEntry{ID: c.request.ID, Actor: c.Name, Command: c.request.Name, Outcome: "done"}
	entry.Object = *c.object
	var about struct{ Name, Export, Run string }
	if json.Unmarshal(c.request.Args, &about) == nil {
		entry.Object = cmp.Or(*c.object, about.Name, about.Export, about.Run)
	}
	if c.Role > access.Nobody {
		entry.Detail = c.request.Args
	} else { // else anybody could have anything kept
		entry.Command, entry.Object = cut(entry.Command), cut(entry.Object)
	}
	if outcome != nil {
		entry.Outcome = protocol.ErrFailed
		if r, ok := errors.AsType[*refusal](outcome); ok {
			entry.Outcome = r.class
		}
		if entry.Outcome == protocol.ErrNotAllowed || entry.Outcome == protocol.ErrRepeated {
			// Not in place of the entry of a command whose id was used before.
			entry.ID += "/" + activity.GetInfo(ctx).WorkflowExecution.RunID
		}
	}
	return a.Store.AddAudit(ctx, entry)
}

// cut shortens what somebody unknown wrote.
func cut(text string) string {
	const most = 100
	return strings.ToValidUTF8(text[:min(most, len(text))], "")
}

// applicationError gives Temporal an error of a class that the starter knows;
// others are retried within the command's time.
func applicationError(err error) error {
	if r, ok := errors.AsType[*refusal](err); ok {
		return refused(r.message, r.class)
	}
	if e, ok := errors.AsType[*catalogue.Error](err); ok {
		return refused(e.Message, protocol.ErrUsage)
	}
	return err
}

// refused is an error for the caller. Nothing is wrong with the worker, so
// Temporal's client does not log it as if there were.
func refused(message, class string) error {
	return temporal.NewApplicationErrorWithOptions(message, class, temporal.ApplicationErrorOptions{
		NonRetryable: true, Category: temporal.ApplicationErrorCategoryBenign})
}

func (a *Activities) hello(context.Context, caller) (any, error) {
	key := a.Keyring.PublicKey()
	return protocol.HelloAnswer{PublicKey: key.String(), Fingerprint: key.Fingerprint()}, nil
}

func (a *Activities) whoAmI(_ context.Context, c caller) (any, error) {
	return protocol.WhoAmIAnswer{Name: c.Name, Role: c.Role.String()}, nil
}

// get reads an object by name for a command, with a hint when it is not there.
func get[T any](ctx context.Context, a *Activities, kind catalogue.Kind, name string) (T, store.Object, error) {
	v, o, err := object[T](ctx, a, kind, name)
	if !errors.Is(err, store.ErrNotFound) {
		return v, o, err
	}
	all, err := a.Store.Objects(ctx, string(kind))
	if err != nil {
		return v, o, err
	}
	var names []string
	for _, other := range all {
		names = append(names, other.Name)
	}
	hint := fmt.Sprintf("see: starter %s list", kind)
	if near := spelling.Nearest(name, names); near != "" {
		hint = fmt.Sprintf("did you mean %q?", near)
	}
	return v, o, refuse(protocol.ErrNotFound, "there is no %s %q; %s", kind, name, hint)
}

// list reads all objects of a kind.
func list[T any](ctx context.Context, a *Activities, kind catalogue.Kind) ([]T, error) {
	objects, err := a.Store.Objects(ctx, string(kind))
	if err != nil {
		return nil, err
	}
	all := make([]T, 0, len(objects))
	for _, o := range objects {
		v, err := decode[T](o.Body)
		if err != nil {
			return nil, err
		}
		all = append(all, v)
	}
	return all, nil
}

// meta is the bookkeeping of a new object. Its time is the command's, which is
// the same however often the command is attempted.
func meta(kind catalogue.Kind, name string, c caller) (catalogue.Meta, error) {
	if err := catalogue.CheckName(kind, name); err != nil {
		return catalogue.Meta{}, err
	}
	at := c.request.IssuedAt.UTC()
	return catalogue.Meta{Name: name, Version: 1, CreatedBy: c.Name, CreatedAt: at, UpdatedBy: c.Name, UpdatedAt: at}, nil
}
