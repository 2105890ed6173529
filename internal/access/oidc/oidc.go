// Package oidc tells people by the tokens of an OpenID Connect provider. The
// tokens are verified by github.com/coreos/go-oidc, its keys are found by
// discovery and follow their rotation.
package oidc

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"

	"github.com/segment-export/segment-export/internal/access"
	"github.com/segment-export/segment-export/internal/omnisend"
)

// Options say whose tokens are taken, and what they give a right to.
type Options struct {
	Issuer      string // as the provider names itself; https unless on this machine
	Audience    string // that tokens must be made for
	GroupsClaim string // that names the groups; "groups". Dots lead into objects
	NameClaim   string // what to call a person; empty: preferred_username, email, sub
	Roles       map[string]access.Role
	// Open opens what was sealed to this worker.
	Open func(sealed []byte, context string) ([]byte, error)
	// Client makes the requests to the provider; nil: one with a timeout.
	Client *http.Client
}

// algorithms are the signatures that are taken: by a key that only the provider
// has. None, and secrets shared with others, are not among them.
var algorithms = []string{oidc.RS256, oidc.RS384, oidc.RS512, oidc.ES256, oidc.ES384, oidc.ES512, oidc.PS256, oidc.PS384, oidc.PS512, oidc.EdDSA}

// askAgain is how long a provider that could not be reached is left alone.
const askAgain = 5 * time.Second

// timeout bounds a request to the provider: a command takes 30 s at most.
const timeout = 10 * time.Second

// Provider is an access.Identifier.
type Provider struct {
	o Options

	mu       sync.Mutex
	provider *oidc.Provider // nil until it was reached
	tried    time.Time
	failed   error
}

// New returns a provider, which is asked for its keys when they are needed.
func New(o Options) (*Provider, error) {
	u, err := url.Parse(o.Issuer)
	switch {
	case err != nil || u.Host == "":
		return nil, fmt.Errorf("--oidc-issuer %q is not a URL", o.Issuer)
	case u.Scheme != "https" && !omnisend.IsLoopback(o.Issuer):
		return nil, fmt.Errorf("--oidc-issuer %s is not https: its keys could be anybody's", o.Issuer)
	case o.Audience == "":
		return nil, errors.New("--oidc-audience is missing: without it tokens made for other programs would be taken")
	case len(o.Roles) == 0:
		return nil, errors.New("--oidc-role is missing: nobody would have a role; give --oidc-role admin=GROUP")
	}
	if o.GroupsClaim == "" {
		o.GroupsClaim = "groups"
	}
	if o.Client == nil {
		o.Client = &http.Client{Timeout: timeout}
	}
	return &Provider{o: o}, nil
}

// ParseRoles reads ROLE=GROUP; a group may have one role.
func ParseRoles(texts []string) (map[string]access.Role, error) {
	roles := map[string]access.Role{}
	for _, text := range texts {
		name, group, ok := strings.Cut(text, "=")
		if !ok || group == "" {
			return nil, fmt.Errorf("--oidc-role %q is not ROLE=GROUP", text)
		}
		role, err := access.ParseRole(name)
		if err != nil {
			return nil, fmt.Errorf("--oidc-role %s: %w", text, err)
		}
		if other, ok := roles[group]; ok && other != role {
			return nil, fmt.Errorf("--oidc-role: the group %q is given two roles, %s and %s", group, other, role)
		}
		roles[group] = role
	}
	return roles, nil
}

// RoleOf is the highest role that one of the groups gives.
func (p *Provider) RoleOf(groups []string) (access.Role, bool) {
	role := access.Nobody
	for _, g := range groups {
		role = max(role, p.o.Roles[g])
	}
	return role, true
}

// Identify opens the token that came with a command and verifies it.
func (p *Provider) Identify(ctx context.Context, e access.Evidence, now time.Time) (access.Person, error) {
	if err := e.Claim.Fresh(now); err != nil {
		return access.Person{}, access.Refuted("%v", err)
	}
	if len(e.Credential) == 0 {
		return access.Person{}, access.Refuted("no token came with the command, and this worker knows people by the tokens of %s: set SEGMENT_EXPORT_TOKEN or give --token-file", p.o.Issuer)
	}
	token, err := access.OpenToken(p.o.Open, e.Claim, e.Credential)
	if err != nil {
		return access.Person{}, access.Refuted("%v", err)
	}
	provider, err := p.reach(ctx, now)
	if err != nil {
		return access.Person{}, err
	}
	verifier := provider.Verifier(&oidc.Config{ClientID: p.o.Audience, SupportedSigningAlgs: algorithms, Now: func() time.Time { return now }})
	verified, err := verifier.Verify(ctx, token)
	if err != nil {
		return access.Person{}, refuted(err)
	}
	return p.person(verified)
}

// reach returns the provider, asking it for its configuration if it was not
// reached yet. It does so once at a time, and not again at once.
func (p *Provider) reach(ctx context.Context, now time.Time) (*oidc.Provider, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.provider != nil {
		return p.provider, nil
	}
	if age := now.Sub(p.tried); p.failed != nil && age >= 0 && age < askAgain {
		return nil, p.failed
	}
	// The keys are fetched with this context too, long after the command.
	found, err := oidc.NewProvider(oidc.ClientContext(context.WithoutCancel(ctx), p.o.Client), p.o.Issuer)
	if err != nil {
		p.tried, p.failed = now, fmt.Errorf("the provider of identities: %w", err)
		return nil, p.failed
	}
	p.provider, p.failed = found, nil
	return found, nil
}

// refuted says why a token was not taken, and repeats nothing of it: the
// library's errors do.
func refuted(err error) error {
	if expired, ok := errors.AsType[*oidc.TokenExpiredError](err); ok {
		return access.Refuted("the token expired at %s: log in again", expired.Expiry.UTC().Format(time.RFC3339))
	}
	text := err.Error()
	if strings.Contains(text, "fetching keys") {
		return errors.New("the keys of the provider of identities cannot be fetched")
	}
	for part, why := range map[string]string{
		"issued by a different provider": "it is from another issuer",
		"expected audience":              "it is for another audience",
		"before the nbf":                 "it is not valid yet",
		"unexpected signature algorithm": "its signature is of a kind that is not taken",
	} {
		if strings.Contains(text, part) {
			return access.Refuted("the token was not accepted: %s", why)
		}
	}
	return access.Refuted("the token was not accepted: it is malformed, or not signed by its issuer")
}

// person reads who a token is about.
func (p *Provider) person(token *oidc.IDToken) (access.Person, error) {
	var claims map[string]any
	if err := token.Claims(&claims); err != nil || token.Subject == "" {
		return access.Person{}, access.Refuted("the token was not accepted: it names no subject")
	}
	groups, found := groupsIn(claims, p.o.GroupsClaim)
	role, _ := p.RoleOf(groups)
	switch {
	case !found:
		return access.Person{}, access.Refuted("the token names no groups (claim %q), so it gives no role: have the provider put them into it, or ask the operator of the worker about --oidc-groups-claim", p.o.GroupsClaim)
	case role == access.Nobody:
		return access.Person{}, access.Refuted("the token is good, but none of its groups has a role here: ask the operator of the worker to give one of them a role (--oidc-role)")
	}
	return access.Person{Subject: p.o.Issuer + "#" + token.Subject, Name: p.name(claims, token.Subject), Groups: p.known(groups), Role: role}, nil
}

// known keeps the groups that have a role: the others are nobody's business.
func (p *Provider) known(groups []string) []string {
	kept := []string{}
	for _, g := range groups {
		if _, ok := p.o.Roles[g]; ok && !slices.Contains(kept, g) {
			kept = append(kept, g)
		}
	}
	slices.Sort(kept)
	return kept
}

// name is what to call a person.
func (p *Provider) name(claims map[string]any, subject string) string {
	from := []string{p.o.NameClaim}
	if p.o.NameClaim == "" {
		from = []string{"preferred_username", "email"}
	}
	for _, claim := range from {
		if name, ok := claims[claim].(string); ok && strings.TrimSpace(name) != "" {
			return strings.TrimSpace(name)
		}
	}
	return subject
}

// groupsIn finds the groups: a list of texts, or one text. The claim may have a
// dot in its name, or the dots lead into objects.
func groupsIn(claims map[string]any, claim string) ([]string, bool) {
	value, ok := claims[claim]
	if !ok {
		first, rest, dotted := strings.Cut(claim, ".")
		if inner, isObject := claims[first].(map[string]any); dotted && isObject {
			return groupsIn(inner, rest)
		}
		return nil, false
	}
	switch v := value.(type) {
	case string:
		return []string{v}, true
	case []any:
		var groups []string
		for _, g := range v {
			if text, ok := g.(string); ok {
				groups = append(groups, text)
			}
		}
		return groups, true
	}
	return nil, false
}
