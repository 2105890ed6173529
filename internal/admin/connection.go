package admin

import (
	"context"

	"github.com/segment-export/segment-export/internal/access"
	"github.com/segment-export/segment-export/internal/catalogue"
	"github.com/segment-export/segment-export/internal/command"
	"github.com/segment-export/segment-export/internal/omnisend"
	"github.com/segment-export/segment-export/internal/protocol"
	"github.com/segment-export/segment-export/internal/record"
	"github.com/segment-export/segment-export/internal/store"
)

// connectionHandlers are the commands about connections.
func (a *Commands) connectionHandlers() map[string]command.Handler {
	return map[string]command.Handler{
		protocol.ConnectionAdd:    command.With(a.connectionAdd),
		protocol.ConnectionList:   command.Without(a.connectionList),
		protocol.ConnectionShow:   command.With(a.connectionShow),
		protocol.ConnectionEdit:   command.With(a.connectionEdit),
		protocol.ConnectionTest:   command.With(a.connectionTest),
		protocol.ConnectionShare:  command.With(a.connectionShare),
		protocol.ConnectionStop:   command.With(a.connectionStop),
		protocol.ConnectionStart:  command.With(a.connectionStart),
		protocol.ConnectionResume: command.With(a.connectionResume),
		protocol.ConnectionRotate: command.With(a.connectionRotate),
		protocol.ConnectionRemove: command.With(a.connectionRemove),
	}
}

const (
	defaultShare       = 0.75
	defaultMaxContacts = 1_000_000
)

func (a *Commands) connectionAdd(ctx context.Context, c command.Caller, args protocol.ConnectionAddArgs) (any, error) {
	if !args.Agree {
		return nil, protocol.Refuse(protocol.ErrUsage, "a connection needs an agreement to the transfer of personal data: --agree")
	}
	m, err := command.Meta(catalogue.KindConnection, args.Name, c)
	if err != nil {
		return nil, err
	}
	conn := catalogue.Connection{Meta: m, Type: catalogue.TypeOmnisend, Shared: catalogue.SharedAdmins, Endpoint: a.Endpoint, Share: defaultShare,
		CallsPerMinute: omnisend.CallsPerMinute, MaxContacts: defaultMaxContacts}
	conn.Agree(c.Name, m.CreatedAt)
	if err := settle(&conn, args.ConnectionSettings); err != nil {
		return nil, err
	}
	sealed, err := a.newKey(ctx, c, &conn, newKey{ref: args.APIKey, stated: args.Brand})
	if err != nil {
		return nil, err
	}
	return &protocol.ConnectionAnswer{Connection: conn}, a.Create(ctx, c, &conn, sealed)
}

// settle changes what is said of a connection.
func settle(conn *catalogue.Connection, s protocol.ConnectionSettings) error {
	if s.Shared != nil {
		shared, err := catalogue.ParseSharing(string(*s.Shared))
		if err != nil {
			return err
		}
		conn.Shared = shared
	}
	if s.Share != nil {
		conn.Share = *s.Share
	}
	if s.CallsPerMinute != nil {
		conn.CallsPerMinute = *s.CallsPerMinute
	}
	if s.MaxContacts != nil {
		conn.MaxContacts = *s.MaxContacts
	}
	return conn.Check()
}

// connectionList lists all connections for administrators, and the names and
// kinds of those that they may use for others.
func (a *Commands) connectionList(ctx context.Context, c command.Caller) (any, error) {
	all, err := record.List[catalogue.Connection](ctx, a.Store, catalogue.KindConnection)
	if err != nil || c.Role >= access.Admin {
		return all, err
	}
	shared := []catalogue.Connection{}
	for _, conn := range all {
		if access.May(c.Principal, access.OfConnection(conn)) {
			shared = append(shared, conn.Outline())
		}
	}
	return shared, nil
}

func (a *Commands) connectionShow(ctx context.Context, c command.Caller, args protocol.Named) (any, error) {
	conn, _, err := record.Find[catalogue.Connection](ctx, a.Store, catalogue.KindConnection, args.Name)
	if err != nil {
		return nil, err
	}
	if c.Role < access.Admin {
		return protocol.ConnectionAnswer{Connection: conn.Outline()}, nil
	}
	answer, err := a.connectionAnswer(ctx, conn)
	if err != nil {
		return nil, err
	}
	minutes, err := a.Store.BudgetHour(ctx, conn.Budget())
	for _, m := range minutes {
		answer.Hour = append(answer.Hour, protocol.BudgetMinute{At: m.At, Calls: m.Calls, Refused: m.Refused, Limit: m.Limit})
	}
	return answer, err
}

// connectionAnswer shows a connection with who uses it.
func (a *Commands) connectionAnswer(ctx context.Context, conn catalogue.Connection) (*protocol.ConnectionAnswer, error) {
	answer := &protocol.ConnectionAnswer{Connection: conn}
	var err error
	if answer.Exports, err = a.usersOf(ctx, conn.Name); err != nil {
		return nil, err
	}
	open, err := a.openRunsOf(ctx, answer.Exports)
	for _, r := range open {
		answer.Running = append(answer.Running, r.ID)
	}
	return answer, err
}

// usersOf lists the exports that use a connection.
func (a *Commands) usersOf(ctx context.Context, connection string) ([]string, error) {
	exports, err := record.List[catalogue.Export](ctx, a.Store, catalogue.KindExport)
	var users []string
	for _, e := range exports {
		if e.Connection == connection {
			users = append(users, e.Name)
		}
	}
	return users, err
}

// openRunsOf lists the runs and plans of exports that have not ended.
func (a *Commands) openRunsOf(ctx context.Context, exports []string) ([]store.Run, error) {
	if err := a.ReapTerminated(ctx); err != nil {
		return nil, err
	}
	var open []store.Run
	for _, name := range exports {
		for _, plan := range []bool{false, true} {
			r, err := a.OpenRun(ctx, name, plan)
			if err != nil {
				return nil, err
			}
			if r != nil {
				open = append(open, *r)
			}
		}
	}
	return open, nil
}

func (a *Commands) connectionEdit(ctx context.Context, c command.Caller, args protocol.ConnectionEditArgs) (any, error) {
	conn, o, err := record.Find[catalogue.Connection](ctx, a.Store, catalogue.KindConnection, args.Name)
	if err != nil {
		return nil, err
	}
	if err := ofVersion(args.Version, conn.Meta, catalogue.KindConnection); err != nil {
		return nil, err
	}
	if err := settle(&conn, args.ConnectionSettings); err != nil {
		return nil, err
	}
	switch {
	case args.Agree && args.Withdraw:
		return nil, protocol.Refuse(protocol.ErrUsage, "agree or withdraw, not both")
	case args.Withdraw:
		return a.withdraw(ctx, c, conn, o, args.Running)
	case args.Agree:
		conn.Agree(c.Name, c.Request.IssuedAt.UTC())
	}
	if args.Rename != "" && args.Rename != conn.Name {
		if args.APIKey != "" {
			return nil, protocol.Refuse(protocol.ErrUsage, "a new name and a new key are two changes: give them one after the other")
		}
		return a.renameConnection(ctx, c, conn, o, args.Rename)
	}
	var sealed []byte
	if args.APIKey != "" && args.APIKey != conn.APIKey {
		if sealed, err = a.newKey(ctx, c, &conn, newKey{ref: args.APIKey}); err != nil {
			return nil, err
		}
	}
	if err := a.Replace(ctx, c, o, &conn, sealed); err != nil {
		return nil, err
	}
	return a.connectionAnswer(ctx, conn)
}

// ofVersion refuses a change that was made from another version than the one
// that is there: another user has changed it meanwhile.
func ofVersion(made int64, m catalogue.Meta, kind catalogue.Kind) error {
	if made == 0 || made == m.Version {
		return nil
	}
	// By whom is not told here: the text passes through Temporal.
	return protocol.Refuse(protocol.ErrConflict, "the %s %q has version %d now, and the change was made from version %d: it was changed meanwhile, at %s; look at it (starter %s show %q) and make the change again",
		kind, m.Name, m.Version, made, m.UpdatedAt.Format("2006-01-02 15:04:05 MST"), kind, m.Name)
}

func (a *Commands) connectionShare(ctx context.Context, c command.Caller, args protocol.ConnectionShareArgs) (any, error) {
	return a.connectionEdit(ctx, c, protocol.ConnectionEditArgs{Name: args.Name, ConnectionSettings: protocol.ConnectionSettings{Shared: &args.With}})
}

// connectionTest asks Omnisend whether the key works, as a run's first step
// does, and what it may. That it may write contacts only a write can show.
func (a *Commands) connectionTest(ctx context.Context, _ command.Caller, args protocol.Named) (any, error) {
	if _, _, err := record.Find[catalogue.Connection](ctx, a.Store, catalogue.KindConnection, args.Name); err != nil {
		return nil, err
	}
	api, conn, halt, err := a.Connect().Connection(ctx, args.Name)
	if err != nil {
		return nil, err
	}
	if halt != nil {
		return nil, protocol.Refuse(protocol.ErrFailed, "%s; %s", halt.Reason, halt.Action)
	}
	if halt, err = a.Connect().CheckBrand(ctx, api, conn); halt == nil && err == nil {
		_, err = api.ListBatches(ctx, omnisend.ListQuery{Limit: 1})
	}
	switch {
	case err != nil:
		return nil, notAnswered(err, conn.Endpoint)
	case halt != nil:
		return nil, protocol.Refuse(protocol.ErrFailed, "%s; %s", halt.Reason, halt.Action)
	}
	_, err = api.ListSegments(ctx, "")
	return protocol.ConnectionTested{Name: conn.Name, BrandID: conn.BrandID, BrandName: conn.BrandName,
		ReadBrand: !conn.BrandStated, Segments: err == nil}, nil
}
