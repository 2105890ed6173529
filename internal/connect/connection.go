package connect

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/segment-export/segment-export/internal/reason"

	"github.com/segment-export/segment-export/internal/catalogue"
	"github.com/segment-export/segment-export/internal/omnisend"
	"github.com/segment-export/segment-export/internal/record"
	"github.com/segment-export/segment-export/internal/run"
	"github.com/segment-export/segment-export/internal/secretref"
	"github.com/segment-export/segment-export/internal/store"
)

// keyOf returns the API key of a connection; what is wrong with it parks a run.
func (a *Opener) keyOf(c catalogue.Connection, sealed []byte) (string, *run.Halt, error) {
	if c.APIKey != "" && c.APIKey != catalogue.CredentialStored {
		secret, err := a.Secrets.Resolve(c.APIKey)
		if e, ok := errors.AsType[*secretref.Error](err); ok {
			return "", &run.Halt{Kind: run.HaltPark, Reason: reason.Format("the API key of the connection %q cannot be found: %s", c.Name, e.Message),
				Action: reason.Text(e.Action + "; then resume")}, nil
		}
		return strings.TrimSpace(string(secret)), nil, err
	}
	key, err := a.Keyring.Open(sealed, KeyContext(c))
	if err != nil {
		return "", &run.Halt{Kind: run.HaltPark, Reason: reason.Format("the API key of the connection %q cannot be decrypted with this keyring", c.Name),
			Action: reason.Format("store the key again: starter connection rotate-key %q", c.Name)}, nil
	}
	return string(key), nil, nil
}

// KeyContext is the context that a connection's API key is sealed with. The
// endpoint is in it: a key opens for no other address than it was given for.
func KeyContext(c catalogue.Connection) string {
	return "connection/" + c.Name + "/" + c.Endpoint + "/key"
}

// Target opens a connection for a run to send over. It is called for each batch,
// so that a stopped connection, or a withdrawn agreement, ends an open run;
// verdicts are still collected (see open).
func (a *Opener) Target(ctx context.Context, name, runID string) (omnisend.API, catalogue.Connection, *run.Halt, error) {
	api, c, halt, err := a.Connection(ctx, name)
	if halt == nil && err == nil {
		if why, action := c.Barred(runID); why != "" {
			halt = &run.Halt{Kind: run.HaltStop, Reason: reason.Text(why), Action: reason.Text(action)}
		}
	}
	return api, c, halt, err
}

// Connection opens a connection: a client of its endpoint with its key, within the
// budget of its brand, that makes reads again when a passing fault breaks them.
func (a *Opener) Connection(ctx context.Context, name string) (omnisend.API, catalogue.Connection, *run.Halt, error) {
	c, o, err := record.Object[catalogue.Connection](ctx, a.Store, catalogue.KindConnection, name)
	if errors.Is(err, store.ErrNotFound) {
		return nil, c, &run.Halt{Kind: run.HaltFail, Reason: reason.Format("the connection %q does not exist any more", name),
			Action: "set another connection for the export"}, nil
	}
	if err != nil {
		return nil, c, nil, err
	}
	key, halt, err := a.keyOf(c, o.Sealed)
	if halt != nil || err != nil {
		return nil, c, halt, err
	}
	api, err := a.OpenAPI(c.Endpoint, key)
	if err != nil {
		return nil, c, &run.Halt{Kind: run.HaltFail, Reason: reason.Text(err.Error())}, nil
	}
	return omnisend.RetryReads(a.WithinBudget(api, c)), c, nil, nil
}

// mostWait is how long a run waits for the limit before it asks the budget
// again: an operator may have ended the pause.
const mostWait = 30 * time.Second

// HaltOf turns an API error that time or an operator fixes into a Halt; other
// errors come back as they are, to be retried.
func HaltOf(err error, connection string) (*run.Halt, error) {
	e, ok := errors.AsType[*omnisend.Error](err)
	if !ok {
		return nil, err
	}
	switch e.Class {
	case omnisend.Wait:
		return &run.Halt{Kind: run.HaltWait, Reason: "Omnisend's limit is used up", Wait: min(e.RetryAfter, mostWait)}, nil
	case omnisend.Park:
		h := &run.Halt{Kind: run.HaltPark, Reason: reason.Text("Omnisend refuses the calls of this export as a whole, whatever contacts are in them: " + e.Error()),
			Action: "upgrade this program, or report it with this message; then resume"}
		switch e.Status {
		case 401:
			h.Reason = reason.Text("Omnisend refused the API key: " + e.Error())
			h.Action = reason.Format("put the key right (starter connection rotate-key %q), then resume", connection)
		case 402:
			h.Reason = reason.Text("Omnisend asks for a payment: " + e.Error())
			h.Action = "look at the plan and the bills of the account in Omnisend, then resume"
		case 403:
			h.Reason = reason.Text("the API key lacks a permission, or Omnisend has blocked it for a while after many errors: " + e.Error())
			h.Action = "give the key the Contacts permission in Omnisend (Store settings > API keys), or wait an hour; then resume"
		case 410:
			h.Reason = reason.Text("Omnisend has retired the API version " + omnisend.Version + ": " + e.Error())
			h.Action = "upgrade this program, then resume"
		}
		return h, nil
	case omnisend.Fail:
		return &run.Halt{Kind: run.HaltFail, Reason: reason.Text("Omnisend refused a request that cannot be corrected: " + e.Error())}, nil
	}
	return nil, err
}

// CheckBrand makes sure that the key still works and belongs to the brand that
// the connection is bound to. An error of Omnisend comes back as it is.
func (a *Opener) CheckBrand(ctx context.Context, api omnisend.API, c catalogue.Connection) (*run.Halt, error) {
	brand, err := api.CurrentBrand(ctx)
	if e, ok := errors.AsType[*omnisend.Error](err); ok && e.Status == 403 && c.BrandStated {
		// A key limited to contacts may not read its brand; that it may list
		// batches shows that it is valid.
		_, err = api.ListBatches(ctx, omnisend.ListQuery{Limit: 1})
		brand.ID = c.BrandID
	}
	if err != nil {
		return nil, err
	}
	if brand.ID != c.BrandID {
		return &run.Halt{Kind: run.HaltPark, Reason: reason.Format("the API key of the connection %q belongs to brand %s now, the connection is bound to brand %s", c.Name, brand.ID, c.BrandID),
			Action: reason.Format("put a key of brand %s back (starter connection rotate-key %q), then resume; for another brand make a connection of its own", c.BrandID, c.Name)}, nil
	}
	return nil, nil
}
