package oidc_test

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/require"

	"github.com/segment-export/segment-export/internal/access"
	"github.com/segment-export/segment-export/internal/access/oidc"
	"github.com/segment-export/segment-export/internal/access/oidc/oidctest"
	"github.com/segment-export/segment-export/internal/seal"
)

var now = time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC)

// bench is a worker that takes the tokens of a provider.
type bench struct {
	t        *testing.T
	keyring  *seal.Keyring
	provider *oidctest.Provider
	id       *oidc.Provider
}

func newBench(t *testing.T, change func(*oidc.Options)) *bench {
	t.Helper()
	keyring, err := seal.CreateKeyring(filepath.Join(t.TempDir(), "keyring.json"))
	require.NoError(t, err)
	b := &bench{t: t, keyring: keyring, provider: oidctest.New(t)}
	o := oidc.Options{Issuer: b.provider.URL, Audience: oidctest.Audience, Open: keyring.OpenEnvelope,
		Roles: map[string]access.Role{"ops": access.Admin, "marketing": access.Contributor, "board": access.Viewer}}
	if change != nil {
		change(&o)
	}
	b.id, err = oidc.New(o)
	require.NoError(t, err)
	return b
}

func claim() access.Claim {
	return access.Claim{CommandID: "c1", Command: "run", Digest: [32]byte{1}, IssuedAt: now}
}

// identify sends a token with a command as the starter does.
func (b *bench) identify(token string) (access.Person, error) {
	b.t.Helper()
	credential, err := access.SealToken(b.keyring.PublicKey(), claim(), token)
	require.NoError(b.t, err)
	return b.id.Identify(b.t.Context(), access.Evidence{Claim: claim(), Credential: credential}, now)
}

func (b *bench) refuses(token, says string) {
	b.t.Helper()
	_, err := b.identify(token)
	var refuted *access.IdentityError
	require.ErrorAs(b.t, err, &refuted)
	require.ErrorContains(b.t, err, says)
	for _, part := range []string{"ann", "mallory", "else", token} { // of the tokens below
		require.NotContains(b.t, strings.ReplaceAll(err.Error(), "another", ""), part)
	}
}

func TestTokensOfPeople(t *testing.T) {
	b := newBench(t, nil)
	for _, c := range []struct {
		groups []string
		want   access.Role
	}{
		{[]string{"ops"}, access.Admin},
		{[]string{"board", "marketing", "x"}, access.Contributor},
		{[]string{"board"}, access.Viewer},
	} {
		p, err := b.identify(b.provider.Token(b.provider.Of("ann", now, c.groups...)))
		require.NoError(t, err)
		require.Equal(t, c.want, p.Role)
		require.Equal(t, "ann", p.Name)
		require.Equal(t, b.provider.URL+"#sub-ann", p.Subject)
		require.NotContains(t, p.Groups, "x", "other groups are not kept")
		role, known := b.id.RoleOf(p.Groups)
		require.True(t, known)
		require.Equal(t, c.want, role)
	}
	require.Equal(t, 1, b.provider.Fetched(), "keys are kept")

	good := b.provider.Of("ann", now, "ops")
	p, err := b.identify(b.provider.Token(good.With("aud", []string{"other", oidctest.Audience})))
	require.NoError(t, err)
	require.Equal(t, access.Admin, p.Role)
	p, err = b.identify(b.provider.Token(good.With("preferred_username", nil).With("groups", "ops")))
	require.NoError(t, err)
	require.Equal(t, "sub-ann", p.Name)
}

func TestTokensThatAreRefused(t *testing.T) {
	b := newBench(t, nil)
	good := b.provider.Of("ann", now, "ops")
	require.NoError(t, func() error { _, err := b.identify(b.provider.Token(good)); return err }())
	b.refuses(b.provider.Token(good.With("exp", now.Add(-time.Second).Unix())), "expired at 2026-11-24T08:59:59Z: log in again")
	b.refuses(b.provider.Token(good.With("nbf", now.Add(time.Hour).Unix())), "not valid yet")
	b.refuses(b.provider.Token(good.With("iss", "https://else.example.com")), "from another issuer")
	b.refuses(b.provider.Token(good.With("aud", "else")), "for another audience")
	b.refuses(b.provider.Token(good.With("aud", nil)), "for another audience")
	b.refuses(b.provider.Token(good.With("sub", nil)), "names no subject")
	b.refuses(b.provider.Token(good.With("groups", nil)), `names no groups (claim "groups")`)
	b.refuses(b.provider.Token(good.With("groups", []string{})), "none of its groups has a role")
	b.refuses(b.provider.Token(good.With("groups", []string{"Ops", "admin"})), "none of its groups has a role")
	b.refuses(oidctest.Unsigned(t, good), "not accepted")
	b.refuses("not a token", "malformed")
	token := b.provider.Token(good)
	b.refuses(token[:len(token)-4]+"AAAA", "not signed by its issuer")
	parts := strings.Split(token, ".")
	other := strings.Split(b.provider.Token(good.With("preferred_username", "mallory")), ".")
	b.refuses(parts[0]+"."+other[1]+"."+parts[2], "not signed by its issuer")

	// A key that only claims to be the issuer's.
	fake := oidctest.RSA(t, "first")
	b.refuses(oidctest.Sign(t, jose.RS256, jose.JSONWebKey{Key: fake.Private, KeyID: "first"}, good), "not signed by its issuer")
}

// Everyone knows the public key. It must not be usable as a shared secret.
func TestPublicKeyIsNoSecret(t *testing.T) {
	b := newBench(t, nil)
	key := oidctest.RSA(t, "first")
	b.provider.Rotate(key)
	public := key.Private.Public().(*rsa.PublicKey)
	der, err := x509.MarshalPKIXPublicKey(public)
	require.NoError(t, err)
	good := b.provider.Of("ann", now, "ops")
	for _, secret := range [][]byte{der, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})} {
		b.refuses(oidctest.Sign(t, jose.HS256, jose.JSONWebKey{Key: secret, KeyID: "first"}, good), "not accepted")
	}
}

func TestKeysRotate(t *testing.T) {
	b := newBench(t, nil)
	good := b.provider.Of("ann", now, "ops")
	old := b.provider.Token(good)
	_, err := b.identify(old)
	require.NoError(t, err)
	ec := oidctest.EC(t, "second")
	b.provider.Rotate(ec)
	_, err = b.identify(b.provider.Token(good))
	require.NoError(t, err, "the new key is fetched when a token names it")
	b.refuses(old, "not signed by its issuer")
}

func TestCredentialIsForOneCommand(t *testing.T) {
	b := newBench(t, nil)
	credential, err := access.SealToken(b.keyring.PublicKey(), claim(), b.provider.Token(b.provider.Of("ann", now, "ops")))
	require.NoError(t, err)
	for name, change := range map[string]func(*access.Evidence){
		"another id":        func(e *access.Evidence) { e.Claim.CommandID = "c2" },
		"another command":   func(e *access.Evidence) { e.Claim.Command = "export remove" },
		"other arguments":   func(e *access.Evidence) { e.Claim.Digest[0] = 2 },
		"another time":      func(e *access.Evidence) { e.Claim.IssuedAt = now.Add(time.Second) },
		"the token itself":  func(e *access.Evidence) { e.Credential = []byte("ey") },
		"none":              func(e *access.Evidence) { e.Credential = nil },
		"a file's proof":    func(e *access.Evidence) { e.Credential, e.Proof = nil, access.Proof{MAC: make([]byte, 32)} },
		"too long ago":      func(e *access.Evidence) { e.Claim.IssuedAt = now.Add(-2 * access.ProofWindow) },
		"not yet given":     func(e *access.Evidence) { e.Claim.IssuedAt = now.Add(2 * access.ProofWindow) },
		"of another worker": func(e *access.Evidence) { e.Credential = newBench(t, nil).credential() },
	} {
		t.Run(name, func(t *testing.T) {
			e := access.Evidence{Claim: claim(), Credential: credential}
			change(&e)
			_, err := b.id.Identify(t.Context(), e, now)
			var refuted *access.IdentityError
			require.ErrorAs(t, err, &refuted)
		})
	}
}

func (b *bench) credential() []byte {
	c, err := access.SealToken(b.keyring.PublicKey(), claim(), b.provider.Token(b.provider.Of("ann", now, "ops")))
	require.NoError(b.t, err)
	return c
}

func TestProviderThatIsAway(t *testing.T) {
	b := newBench(t, nil)
	token := b.provider.Token(b.provider.Of("ann", now, "ops"))
	b.provider.Down(true)
	credential, err := access.SealToken(b.keyring.PublicKey(), claim(), token)
	require.NoError(t, err)
	e := access.Evidence{Claim: claim(), Credential: credential}
	_, err = b.id.Identify(t.Context(), e, now)
	var refuted *access.IdentityError
	require.Error(t, err)
	require.NotErrorAs(t, err, &refuted, "it may pass")
	b.provider.Down(false)
	_, err = b.id.Identify(t.Context(), e, now.Add(time.Second))
	require.Error(t, err, "not asked again at once")
	_, err = b.id.Identify(t.Context(), e, now.Add(6*time.Second))
	require.NoError(t, err)
}

func TestClaimsElsewhere(t *testing.T) {
	b := newBench(t, func(o *oidc.Options) { o.GroupsClaim, o.NameClaim = "realm_access.roles", "name" })
	claims := b.provider.Of("ann", now).With("realm_access", map[string]any{"roles": []string{"board"}}).With("name", "Ann Smith")
	p, err := b.identify(b.provider.Token(claims))
	require.NoError(t, err)
	require.Equal(t, access.Viewer, p.Role)
	require.Equal(t, "Ann Smith", p.Name)
}

func TestOptionsThatCannotWork(t *testing.T) {
	roles := map[string]access.Role{"ops": access.Admin}
	for says, o := range map[string]oidc.Options{
		"is not a URL":       {Issuer: "idp", Audience: "a", Roles: roles},
		"is not https":       {Issuer: "http://idp.example.com", Audience: "a", Roles: roles},
		"--oidc-audience is": {Issuer: "https://idp.example.com", Roles: roles},
		"--oidc-role is":     {Issuer: "https://idp.example.com", Audience: "a"},
	} {
		_, err := oidc.New(o)
		require.ErrorContains(t, err, says)
	}
	for _, texts := range [][]string{{"ops"}, {"owner=ops"}, {"admin="}, {"admin=x", "viewer=x"}} {
		_, err := oidc.ParseRoles(texts)
		require.ErrorContains(t, err, "--oidc-role")
	}
	got, err := oidc.ParseRoles([]string{"admin=ops", "viewer=all=staff"})
	require.NoError(t, err)
	require.Equal(t, map[string]access.Role{"ops": access.Admin, "all=staff": access.Viewer}, got)
}
