package dataversetest

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// App is an app registration, and the user that it has in the environment.
type App struct {
	Tenant, Client string
	Secret         string
	SecretExpires  time.Time // zero: never
	Certificate    *x509.Certificate
	Disabled       bool // in the tenant
	Machine        bool // it is the identity of the machine itself
	NoConsent      bool // Dataverse is not among its permissions
	User           UserState
	// Unreadable are tables that its role does not cover.
	Unreadable []string
}

// UserState is what an app is in the environment.
type UserState int

// The states. A Viewer may read what Customer Insights makes.
const (
	Viewer UserState = iota
	NoUser
	DisabledUser
	BasicUser // without the role "Customer Insights Data Read Access"
)

type token struct {
	app     *App
	expires time.Time
}

// tokenLife is how long a token is good for.
const tokenLife = 3599 * time.Second

// Register adds an app registration, or replaces the one of that client id.
func (s *Server) Register(app App) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.apps[app.Client] = &app
}

// serveEntra answers for the login: the tenant's configuration, tokens, and
// the endpoint that gives tokens to managed identities.
func (s *Server) serveEntra(w http.ResponseWriter, r *http.Request) {
	tenant, rest, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	switch {
	case r.URL.Path == "/msi/token":
		s.managedIdentity(w, r)
	case r.URL.Path == "/metadata/identity/oauth2/token":
		s.instanceMetadata(w, r)
	case rest == "v2.0/.well-known/openid-configuration" && r.Method == http.MethodGet:
		if !s.hasTenant(tenant) {
			entraError(w, http.StatusBadRequest, "invalid_tenant", 90002, fmt.Sprintf("Tenant '%s' not found.", tenant))
			return
		}
		answerJSON(w, http.StatusOK, map[string]string{
			"token_endpoint": s.URL + "/" + tenant + "/oauth2/v2.0/token", "authorization_endpoint": s.URL + "/" + tenant + "/oauth2/v2.0/authorize",
			"issuer": s.URL + "/" + tenant + "/v2.0",
		})
	case rest == "oauth2/v2.0/token" && r.Method == http.MethodPost:
		s.giveToken(w, r, tenant)
	default:
		http.NotFound(w, r)
	}
}

func (s *Server) hasTenant(tenant string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, app := range s.apps {
		if app.Tenant == tenant {
			return true
		}
	}
	return false
}

func (s *Server) giveToken(w http.ResponseWriter, r *http.Request, tenant string) {
	if !s.hasTenant(tenant) {
		entraError(w, http.StatusBadRequest, "invalid_request", 90002, fmt.Sprintf("Tenant '%s' not found.", tenant))
		return
	}
	if err := r.ParseForm(); err != nil || r.PostForm.Get("grant_type") != "client_credentials" {
		entraError(w, http.StatusBadRequest, "unsupported_grant_type", 70003, "The app requested an unsupported grant type.")
		return
	}
	client := r.PostForm.Get("client_id")
	s.mu.Lock()
	app := s.apps[client]
	s.mu.Unlock()
	switch {
	case app == nil || app.Tenant != tenant:
		entraError(w, http.StatusBadRequest, "unauthorized_client", 700016, fmt.Sprintf("Application with identifier '%s' was not found in the directory.", client))
	case app.Disabled:
		entraError(w, http.StatusBadRequest, "unauthorized_client", 7000112, fmt.Sprintf("Application '%s' is disabled.", client))
	case !s.proves(w, app, tenant, r.PostForm):
	case !s.ownScope(r.PostForm.Get("scope")):
		entraError(w, http.StatusBadRequest, "invalid_resource", 500011, "The resource principal was not found in the tenant.")
	case app.NoConsent:
		entraError(w, http.StatusBadRequest, "invalid_grant", 65001, "The user or administrator has not consented to use the application.")
	default:
		answerJSON(w, http.StatusOK, map[string]any{"token_type": "Bearer", "expires_in": int(tokenLife.Seconds()), "access_token": s.newToken(app)})
	}
}

func (s *Server) ownScope(scope string) bool {
	for _, one := range strings.Fields(scope) {
		if one == s.URL+"/.default" {
			return true
		}
	}
	return false
}

// proves checks the secret or the assertion signed with the certificate's key.
func (s *Server) proves(w http.ResponseWriter, app *App, tenant string, form url.Values) bool {
	now := s.options.Now()
	secret, assertion := form.Get("client_secret"), form.Get("client_assertion")
	switch {
	case secret != "" && app.Secret == secret && !app.SecretExpires.IsZero() && now.After(app.SecretExpires):
		entraError(w, http.StatusUnauthorized, "invalid_client", 7000222, fmt.Sprintf("The provided client secret keys for app '%s' are expired.", app.Client))
		return false
	case secret != "" && app.Secret == secret:
		return true
	case secret != "":
		entraError(w, http.StatusUnauthorized, "invalid_client", 7000215, "Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, not the client secret ID.")
		return false
	case assertion == "" || form.Get("client_assertion_type") != "urn:ietf:params:oauth:client-assertion-type:jwt-bearer":
		entraError(w, http.StatusUnauthorized, "invalid_client", 7000218, "The request body must contain the following parameter: 'client_assertion' or 'client_secret'.")
		return false
	}
	// By the real time: it is the library that dates the assertion.
	_, err := jwt.ParseWithClaims(assertion, &jwt.RegisteredClaims{}, func(t *jwt.Token) (any, error) {
		if app.Certificate == nil {
			return nil, jwt.ErrTokenUnverifiable
		}
		sum := sha256.Sum256(app.Certificate.Raw)
		if t.Header["x5t#S256"] != base64.StdEncoding.EncodeToString(sum[:]) && t.Header["x5t#S256"] != base64.RawURLEncoding.EncodeToString(sum[:]) {
			return nil, jwt.ErrTokenUnverifiable
		}
		return app.Certificate.PublicKey, nil
	}, jwt.WithValidMethods([]string{"RS256", "PS256"}), jwt.WithIssuer(app.Client), jwt.WithSubject(app.Client),
		jwt.WithAudience(s.URL+"/"+tenant+"/oauth2/v2.0/token"), jwt.WithExpirationRequired())
	if err != nil {
		entraError(w, http.StatusUnauthorized, "invalid_client", 700027, "The certificate with identifier used to sign the client assertion is not registered on application.")
		return false
	}
	return true
}

func (s *Server) newToken(app *App) string {
	text := rand.Text()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tokens[text] = token{app: app, expires: s.options.Now().Add(tokenLife)}
	return text
}

// IdentityHeader is what a machine with a managed identity sends to /msi/token.
const IdentityHeader = "stand-in-identity"

// managedIdentity gives tokens as App Service does.
func (s *Server) managedIdentity(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	s.mu.Lock()
	app := s.apps[q.Get("client_id")]
	s.mu.Unlock()
	if r.Header.Get("X-Identity-Header") != IdentityHeader || q.Get("resource") != s.URL || app == nil {
		answerJSON(w, http.StatusBadRequest, map[string]any{"statusCode": 400, "message": "no such identity"})
		return
	}
	answerJSON(w, http.StatusOK, map[string]any{"access_token": s.newToken(app), "token_type": "Bearer", "resource": s.URL,
		"expires_on": fmt.Sprint(time.Now().Add(tokenLife).Unix()), "client_id": app.Client})
}

// instanceMetadata gives tokens as the Instance Metadata Service of a virtual
// machine does, which Azure has at 169.254.169.254.
func (s *Server) instanceMetadata(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	refused := func(text string) {
		answerJSON(w, http.StatusBadRequest, map[string]string{"error": "invalid_request", "error_description": text})
	}
	if r.Header.Get("Metadata") != "true" || r.Method != http.MethodGet {
		refused("Required metadata header not specified")
		return
	}
	if q.Get("api-version") != "2018-02-01" || q.Get("resource") != s.URL {
		refused("Required query variable is missing or wrong")
		return
	}
	s.mu.Lock()
	app := s.apps[q.Get("client_id")]
	if q.Get("client_id") == "" {
		for _, one := range s.apps {
			if one.Machine {
				app = one
			}
		}
	}
	s.mu.Unlock()
	if app == nil {
		refused("Identity not found")
		return
	}
	until := time.Now().Add(tokenLife)
	answerJSON(w, http.StatusOK, map[string]string{"access_token": s.newToken(app), "client_id": app.Client, "token_type": "Bearer", "resource": s.URL,
		"expires_in": fmt.Sprint(int(tokenLife.Seconds())), "expires_on": fmt.Sprint(until.Unix()), "ext_expires_in": fmt.Sprint(int(tokenLife.Seconds())),
		"not_before": fmt.Sprint(time.Now().Unix())})
}

// entraError writes an error as Microsoft Entra does.
func entraError(w http.ResponseWriter, status int, name string, code int, text string) {
	answerJSON(w, status, map[string]any{
		"error": name, "error_codes": []int{code}, "error_description": fmt.Sprintf("AADSTS%d: %s Trace ID: 0 Correlation ID: 0", code, text),
		"trace_id": "00000000-0000-0000-0000-000000000000", "correlation_id": "00000000-0000-0000-0000-000000000000",
	})
}

// Token gives a token for an app's user, as a login on another way would.
func (s *Server) Token(client string) string {
	s.mu.Lock()
	app := s.apps[client]
	s.mu.Unlock()
	return s.newToken(app)
}
