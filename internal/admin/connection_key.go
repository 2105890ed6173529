package admin

import (
	"context"
	"encoding/json"
	"errors"
	"strings"

	"github.com/segment-export/segment-export/internal/catalogue"
	"github.com/segment-export/segment-export/internal/command"
	"github.com/segment-export/segment-export/internal/connect"
	"github.com/segment-export/segment-export/internal/omnisend"
	"github.com/segment-export/segment-export/internal/protocol"
	"github.com/segment-export/segment-export/internal/record"
	"github.com/segment-export/segment-export/internal/secretref"
)

// connectionRotate replaces the API key by another one of the same brand.
func (a *Commands) connectionRotate(ctx context.Context, c command.Caller, args protocol.ConnectionRotateArgs) (any, error) {
	conn, o, err := record.Find[catalogue.Connection](ctx, a.Store, catalogue.KindConnection, args.Name)
	if err != nil {
		return nil, err
	}
	sealed, err := a.newKey(ctx, c, &conn, newKey{ref: args.APIKey})
	if err != nil {
		return nil, err
	}
	return &protocol.ConnectionAnswer{Connection: conn}, a.Replace(ctx, c, o, &conn, sealed)
}

// newKey says where an API key comes from: a reference, or sealed with the
// command; and whose it is said to be where the connection does not know yet.
type newKey struct{ ref, stated string }

// newKey checks a key for a connection with Omnisend, and returns what to store
// of it: nothing, sealed, when the worker looks it up.
func (a *Commands) newKey(ctx context.Context, c command.Caller, conn *catalogue.Connection, k newKey) ([]byte, error) {
	var key string
	var err error
	switch {
	case k.ref != "" && len(c.Request.Sealed) > 0:
		return nil, protocol.Refuse(protocol.ErrUsage, "the connection %q gets an API key or a reference to one, not both", conn.Name)
	case k.ref != "":
		key, err = a.referredKey(k.ref)
	default:
		key, err = a.secretKey(c)
	}
	if err != nil {
		return nil, err
	}
	bound := conn.BrandID
	if conn.BrandStated {
		k.stated = bound
	}
	if err := a.bindBrand(ctx, conn, key, k.stated); err != nil {
		return nil, err
	}
	if bound != "" && conn.BrandID != bound {
		return nil, protocol.Refuse(protocol.ErrUsage, "this key belongs to brand %s, the connection is bound to brand %s; make a connection of its own for another brand", conn.BrandID, bound)
	}
	conn.APIKey = catalogue.CredentialStored
	if k.ref != "" {
		conn.APIKey, key = k.ref, ""
	}
	return a.Keyring.Seal([]byte(key), connect.KeyContext(*conn))
}

// referredKey looks up the API key of a reference.
func (a *Commands) referredKey(ref string) (string, error) {
	secret, err := a.Secrets.Resolve(ref)
	if e, ok := errors.AsType[*secretref.Error](err); ok {
		return "", protocol.Refuse(protocol.ErrUsage, "%v", e)
	}
	return strings.TrimSpace(string(secret)), err
}

// secretKey opens the API key that came with a command.
func (a *Commands) secretKey(c command.Caller) (string, error) {
	data, err := a.Keyring.OpenEnvelope(c.Request.Sealed, protocol.Context(c.Request.ID))
	if err != nil {
		return "", protocol.Refuse(protocol.ErrUsage, "the API key did not arrive: it was sealed to another worker's key, or not at all")
	}
	var secret protocol.ConnectionSecret
	if err := json.Unmarshal(data, &secret); err != nil {
		return "", protocol.Refuse(protocol.ErrUsage, "the API key did not arrive whole")
	}
	key := strings.TrimSpace(secret.Key)
	if key == "" {
		return "", protocol.Refuse(protocol.ErrUsage, "the API key is empty")
	}
	return key, nil
}

// bindBrand asks Omnisend whose key it is and binds the connection to that
// brand. A key that may not read its brand needs it stated. Where the brand is
// known the requests draw on its budget; the one that finds it out is booked
// there afterwards.
func (a *Commands) bindBrand(ctx context.Context, conn *catalogue.Connection, key, stated string) error {
	api, err := a.OpenAPI(conn.Endpoint, key)
	if err != nil {
		return protocol.Refuse(protocol.ErrUsage, "%v", err)
	}
	known := *conn
	if known.BrandID == "" {
		known.BrandID = stated
	}
	if known.BrandID != "" {
		api = a.Connect().WithinBudget(api, known)
	}
	api = omnisend.RetryReads(api) // one passing fault must not fail the command
	brand, err := api.CurrentBrand(ctx)
	if err == nil && known.BrandID == "" {
		known.BrandID = brand.ID
		if err := a.Connect().BookCall(ctx, known); err != nil {
			return err
		}
	}
	e, isAPI := errors.AsType[*omnisend.Error](err)
	switch {
	case err == nil:
		if stated != "" && stated != brand.ID {
			return protocol.Refuse(protocol.ErrUsage, "--brand %s: the key belongs to brand %s (%s)", stated, brand.ID, brand.Name)
		}
		conn.BrandID, conn.BrandName, conn.BrandStated = brand.ID, brand.Name, false
		return nil
	case isAPI && e.Status == 403 && stated == "":
		return protocol.Refuse(protocol.ErrUsage, "the key may not read which brand it belongs to; give it the permission in Omnisend, or say the brand's id with --brand")
	case isAPI && e.Status == 403:
		if _, err := api.ListBatches(ctx, omnisend.ListQuery{Limit: 1}); err != nil {
			return notAnswered(err, conn.Endpoint)
		}
		conn.BrandID, conn.BrandStated = stated, true
		return nil
	case isAPI:
		return notAnswered(err, conn.Endpoint)
	}
	return err
}

// notAnswered says for a command why Omnisend could not be asked.
func notAnswered(err error, endpoint string) error {
	e, ok := errors.AsType[*omnisend.Error](err)
	switch {
	case !ok:
		return err
	case e.Class == omnisend.Wait:
		return protocol.Refuse(protocol.ErrConflict, "the calls that the brand may take are used up for now; try again in %d seconds", int(max(e.RetryAfter.Seconds(), 1)))
	case e.Status == 401:
		return protocol.Refuse(protocol.ErrFailed, "Omnisend does not accept this API key at %s", endpoint)
	case e.Status == 403:
		return protocol.Refuse(protocol.ErrFailed, "the key may not read contacts, or Omnisend has blocked it for a while after many errors: %v; give it the Contacts permission in Omnisend (Store settings > API keys), or try again in an hour", err)
	case e.Status == 402:
		return protocol.Refuse(protocol.ErrFailed, "Omnisend asks for a payment: %v; look at the plan and the bills of the account", err)
	}
	return protocol.Refuse(protocol.ErrFailed, "Omnisend could not be asked about the key at %s: %v", endpoint, err)
}
