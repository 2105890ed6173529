package activities

import (
	"context"
	"encoding/json"
	"errors"
	"strings"

	"github.com/segment-export/segment-export/internal/access"
	"github.com/segment-export/segment-export/internal/catalogue"
	"github.com/segment-export/segment-export/internal/command"
	"github.com/segment-export/segment-export/internal/omnisend"
)

// connectionHandlers are the commands about connections.
var connectionHandlers = map[string]handler{
	command.ConnectionAdd:    with((*Activities).connectionAdd),
	command.ConnectionList:   without((*Activities).connectionList),
	command.ConnectionShow:   with((*Activities).connectionShow),
	command.ConnectionEdit:   with((*Activities).connectionEdit),
	command.ConnectionRotate: with((*Activities).connectionRotate),
	command.ConnectionRemove: with((*Activities).connectionRemove),
}

const (
	defaultShare       = 0.75
	defaultMaxContacts = 1_000_000
)

func (a *Activities) connectionAdd(ctx context.Context, c caller, args command.ConnectionAddArgs) (any, error) {
	if !args.Agree {
		return nil, refuse(command.ErrUsage, "a connection needs somebody's agreement to the transfer of personal data: --agree")
	}
	m, err := meta(catalogue.KindConnection, args.Name, c)
	if err != nil {
		return nil, err
	}
	conn := catalogue.Connection{Meta: m, Type: catalogue.TypeOmnisend, Shared: catalogue.SharedAdmins, Endpoint: a.Endpoint, Share: defaultShare,
		CallsPerMinute: omnisend.CallsPerMinute, MaxContacts: defaultMaxContacts,
		Consent: &catalogue.Consent{By: c.Name, At: m.CreatedAt, Version: catalogue.TransferStatementVersion, Wording: catalogue.TransferStatement}}
	if args.Share != nil {
		conn.Share = *args.Share
	}
	if args.CallsPerMinute != nil {
		conn.CallsPerMinute = *args.CallsPerMinute
	}
	if err := conn.Check(); err != nil {
		return nil, err
	}
	key, err := a.secretKey(c)
	if err != nil {
		return nil, err
	}
	if err := a.bindBrand(ctx, &conn, key, args.Brand); err != nil {
		return nil, err
	}
	sealed, err := a.Keyring.Seal([]byte(key), keyContext(conn))
	if err != nil {
		return nil, err
	}
	return &conn, a.create(ctx, c, &conn, sealed)
}

// secretKey opens the API key that came with a command.
func (a *Activities) secretKey(c caller) (string, error) {
	data, err := a.Keyring.OpenEnvelope(c.request.Sealed, command.Context(c.request.ID))
	if err != nil {
		return "", refuse(command.ErrUsage, "the API key did not arrive: it was sealed to another worker's key, or not at all")
	}
	var secret command.ConnectionSecret
	if err := json.Unmarshal(data, &secret); err != nil {
		return "", refuse(command.ErrUsage, "the API key did not arrive whole")
	}
	key := strings.TrimSpace(secret.Key)
	if key == "" {
		return "", refuse(command.ErrUsage, "the API key is empty")
	}
	return key, nil
}

// bindBrand asks Omnisend whose key it is and binds the connection to that
// brand. A key that may not read its brand needs it stated.
func (a *Activities) bindBrand(ctx context.Context, conn *catalogue.Connection, key, stated string) error {
	api, err := a.OpenAPI(conn.Endpoint, key)
	if err != nil {
		return refuse(command.ErrUsage, "%v", err)
	}
	brand, err := api.CurrentBrand(ctx)
	e, isAPI := errors.AsType[*omnisend.Error](err)
	switch {
	case err == nil:
		if stated != "" && stated != brand.ID {
			return refuse(command.ErrUsage, "--brand %s: the key belongs to brand %s (%s)", stated, brand.ID, brand.Name)
		}
		conn.BrandID, conn.BrandName = brand.ID, brand.Name
		return nil
	case isAPI && e.Status == 403 && stated == "":
		return refuse(command.ErrUsage, "the key may not read which brand it belongs to; give it the permission in Omnisend, or say the brand's id with --brand")
	case isAPI && e.Status == 403:
		if _, err := api.ListBatches(ctx, omnisend.ListQuery{Limit: 1}); err != nil {
			return refuse(command.ErrFailed, "the key may not read contacts: %v; give it the Contacts permission in Omnisend (Store settings > API keys)", err)
		}
		conn.BrandID, conn.BrandStated = stated, true
		return nil
	case isAPI && e.Status == 401:
		return refuse(command.ErrFailed, "Omnisend does not accept this API key at %s", conn.Endpoint)
	case isAPI:
		return refuse(command.ErrFailed, "Omnisend could not be asked about the key at %s: %v", conn.Endpoint, err)
	}
	return err
}

// connectionList lists all connections for administrators, and the names and
// kinds of those that they may use for others.
func (a *Activities) connectionList(ctx context.Context, c caller) (any, error) {
	all, err := list[catalogue.Connection](ctx, a, catalogue.KindConnection)
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

func (a *Activities) connectionShow(ctx context.Context, c caller, args command.Named) (any, error) {
	conn, _, err := get[catalogue.Connection](ctx, a, catalogue.KindConnection, args.Name)
	if c.Role < access.Admin {
		conn = conn.Outline()
	}
	return conn, err
}

func (a *Activities) connectionEdit(ctx context.Context, c caller, args command.ConnectionEditArgs) (any, error) {
	conn, o, err := get[catalogue.Connection](ctx, a, catalogue.KindConnection, args.Name)
	if err != nil {
		return nil, err
	}
	if args.Share != nil {
		conn.Share = *args.Share
	}
	if args.CallsPerMinute != nil {
		conn.CallsPerMinute = *args.CallsPerMinute
	}
	if err := conn.Check(); err != nil {
		return nil, err
	}
	return &conn, a.replace(ctx, c, o, &conn, nil)
}

// connectionRotate replaces the API key by another one of the same brand.
func (a *Activities) connectionRotate(ctx context.Context, c caller, args command.Named) (any, error) {
	conn, o, err := get[catalogue.Connection](ctx, a, catalogue.KindConnection, args.Name)
	if err != nil {
		return nil, err
	}
	key, err := a.secretKey(c)
	if err != nil {
		return nil, err
	}
	bound := conn
	stated := ""
	if conn.BrandStated {
		stated = conn.BrandID
	}
	if err := a.bindBrand(ctx, &bound, key, stated); err != nil {
		return nil, err
	}
	if bound.BrandID != conn.BrandID {
		return nil, refuse(command.ErrUsage, "this key belongs to brand %s, the connection is bound to brand %s; make a connection of its own for another brand", bound.BrandID, conn.BrandID)
	}
	sealed, err := a.Keyring.Seal([]byte(key), keyContext(conn))
	if err != nil {
		return nil, err
	}
	return &bound, a.replace(ctx, c, o, &bound, sealed)
}

func (a *Activities) connectionRemove(ctx context.Context, c caller, args command.Named) (any, error) {
	conn, _, err := get[catalogue.Connection](ctx, a, catalogue.KindConnection, args.Name)
	if err != nil {
		return nil, err
	}
	exports, err := list[catalogue.Export](ctx, a, catalogue.KindExport)
	if err != nil {
		return nil, err
	}
	var users []string
	for _, e := range exports {
		if e.Connection == conn.Name {
			users = append(users, e.Name)
		}
	}
	if len(users) > 0 {
		return nil, refuse(command.ErrConflict, "the connection %q is used by %d exports: %s; remove them first", conn.Name, len(users), strings.Join(users, ", "))
	}
	return conn, a.remove(ctx, c, &conn)
}
