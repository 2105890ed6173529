package login_test

import (
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/segment-export/segment-export/internal/access/oidc/oidctest"
	"github.com/segment-export/segment-export/starter/login"
)

const redirect = "http://127.0.0.1:1/callback"

func provider(t *testing.T) (*login.Provider, *oidctest.Provider) {
	t.Helper()
	at := oidctest.New(t)
	at.LogIn("ada", nil, "staff")
	p, err := login.New(login.Options{Issuer: at.URL, ClientID: oidctest.Audience, Now: time.Now})
	require.NoError(t, err)
	return p, at
}

// visit does what a browser does at the provider's page and returns the query of
// the address that it is sent back to.
func visit(t *testing.T, address string) url.Values {
	t.Helper()
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	got, err := client.Get(address)
	require.NoError(t, err)
	defer got.Body.Close()
	require.Equal(t, http.StatusFound, got.StatusCode)
	back, err := got.Location()
	require.NoError(t, err)
	return back.Query()
}

func TestLoginGivesATokenThatCanBeRenewed(t *testing.T) {
	p, at := provider(t)
	a, err := p.Begin(t.Context(), redirect)
	require.NoError(t, err)
	query, err := url.Parse(a.URL)
	require.NoError(t, err)
	assert.NotContains(t, a.URL, a.Verifier, "the verifier stays here")
	assert.Equal(t, "S256", query.Query().Get("code_challenge_method"))
	got, err := p.Finish(t.Context(), a, visit(t, a.URL))
	require.NoError(t, err)
	assert.NotEmpty(t, got.ID)
	assert.False(t, got.Due(time.Now()))
	assert.True(t, got.Due(got.Expiry.Add(-30*time.Second)))

	renewed, err := p.Renew(t.Context(), got)
	require.NoError(t, err)
	assert.NotEqual(t, got.Refresh, renewed.Refresh)
	_, err = p.Renew(t.Context(), got)
	require.ErrorContains(t, err, "invalid_grant", "a refresh token is used once")
	at.Revoke()
	_, err = p.Renew(t.Context(), renewed)
	require.ErrorContains(t, err, "invalid_grant")
}

func TestLoginRefusesAnswersOfOthers(t *testing.T) {
	p, at := provider(t)
	mine, err := p.Begin(t.Context(), redirect)
	require.NoError(t, err)
	other, err := p.Begin(t.Context(), redirect)
	require.NoError(t, err)
	_, err = p.Finish(t.Context(), mine, visit(t, other.URL))
	require.ErrorIs(t, err, login.ErrForeign, "another state")

	answer := visit(t, other.URL)
	answer.Set("state", mine.State)
	_, err = p.Finish(t.Context(), mine, answer)
	require.ErrorContains(t, err, "invalid_grant", "a code of another verifier")

	answer = visit(t, mine.URL)
	changed := mine
	changed.Nonce = "another"
	_, err = p.Finish(t.Context(), changed, answer)
	require.ErrorIs(t, err, login.ErrForeign, "another nonce")
	_, err = p.Finish(t.Context(), mine, answer)
	require.ErrorContains(t, err, "invalid_grant", "a code is used once")
	_, err = p.Finish(t.Context(), login.Attempt{}, url.Values{})
	require.ErrorIs(t, err, login.ErrForeign)

	at.LogIn("", nil)
	_, err = p.Finish(t.Context(), mine, visit(t, mine.URL))
	require.ErrorContains(t, err, "access_denied")
	answer.Set("error", "<script>")
	_, err = p.Finish(t.Context(), mine, answer)
	require.EqualError(t, err, "the provider refused the login: error")
}

func TestProvidersMustBeReachedOverTLS(t *testing.T) {
	for issuer, want := range map[string]string{"http://login.example.com": "is not https", "login": "is not a URL"} {
		_, err := login.New(login.Options{Issuer: issuer, ClientID: "x"})
		require.ErrorContains(t, err, want)
	}
	_, err := login.New(login.Options{Issuer: "https://login.example.com"})
	require.ErrorContains(t, err, "client ID")
	p, err := login.New(login.Options{Issuer: "http://127.0.0.1:1", ClientID: "x"})
	require.NoError(t, err)
	_, err = p.Begin(t.Context(), redirect)
	require.ErrorContains(t, err, "cannot be used")
}
