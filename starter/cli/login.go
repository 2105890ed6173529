package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/segment-export/segment-export/internal/localfile"
	"github.com/segment-export/segment-export/internal/protocol"
	"github.com/segment-export/segment-export/starter/login"
)

// The variables of the OpenID Connect provider, shared with the worker where it
// has them.
const (
	issuerVariable = "SEGMENT_EXPORT_OIDC_ISSUER"
	clientVariable = "SEGMENT_EXPORT_OIDC_CLIENT_ID"
	secretVariable = "SEGMENT_EXPORT_OIDC_CLIENT_SECRET"
)

const (
	// loginsFile keeps the logins of this user, by Temporal server and namespace.
	loginsFile = "logins.json"
	// callbackPath is where the provider sends the browser back to.
	callbackPath = "/callback"
	// loginTime is how long a person may take to log in.
	loginTime = 10 * time.Minute
)

// savedLogin is a login at a provider, for one worker.
type savedLogin struct {
	Issuer   string       `json:"issuer"`
	ClientID string       `json:"client_id"`
	Tokens   login.Tokens `json:"tokens"`
}

func providerFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "oidc-issuer", Usage: "`URL` of the OpenID Connect provider", DefaultText: issuerVariable},
		&cli.StringFlag{Name: "oidc-client-id", Usage: "`ID` of the client at the provider; the worker must expect it as audience", DefaultText: clientVariable},
	}
}

func (s *session) loginCommand() *cli.Command {
	return s.leaf("", leaf{
		name: "login", usage: "log in with a browser, for workers that identify people by tokens",
		detail: `Prints an address to open in a browser on this machine. The token is kept in logins.json, readable by you alone, and
renewed while the provider allows it. It is used for the Temporal server and namespace of this command line only.`,
		example: "starter login --oidc-issuer https://login.example.com --oidc-client-id segment-export\nstarter login",
		flags:   append(providerFlags(), &cli.IntFlag{Name: "port", Usage: "wait for the provider's answer on `PORT` of 127.0.0.1", DefaultText: "any free one"}),
		do:      func(c *cli.Context) error { return s.logIn(c) },
	})
}

func (s *session) logoutCommand() *cli.Command {
	return s.leaf("", leaf{
		name: "logout", usage: "forget the login of starter login", example: "starter logout",
		do: func(c *cli.Context) error {
			if err := s.connect(c.Context); err != nil {
				return err
			}
			return s.changeLogins(func(all map[string]savedLogin) { delete(all, s.server.Where()) })
		},
	})
}

// logIn lets a person log in with a browser and keeps the token.
func (s *session) logIn(c *cli.Context) error {
	if err := s.connect(c.Context); err != nil {
		return err
	}
	all, err := s.readLogins()
	if err != nil {
		return err
	}
	saved := all[s.server.Where()]
	saved.Issuer, saved.ClientID = s.setting(c, "oidc-issuer", issuerVariable, saved.Issuer), s.setting(c, "oidc-client-id", clientVariable, saved.ClientID)
	provider, err := s.provider(saved, "")
	if err != nil {
		return err
	}
	if saved.Tokens, err = s.throughBrowser(c.Context, provider, c.Int("port")); err != nil {
		return err
	}
	if err := s.changeLogins(func(all map[string]savedLogin) { all[s.server.Where()] = saved }); err != nil {
		return err
	}
	return show(c, s, protocol.WhoAmI, nil, func(p *page, a protocol.WhoAmIAnswer) { p.line("Logged in as %s, %s.", a.Name, a.Role) })
}

// setting is an option, else a variable, else what is known.
func (s *session) setting(c *cli.Context, flag, variable, known string) string {
	if c.IsSet(flag) {
		return c.String(flag)
	}
	if v := s.o.env(variable); v != "" {
		return v
	}
	return known
}

func (s *session) provider(at savedLogin, secret string) (*login.Provider, error) {
	if at.Issuer == "" {
		return nil, usage("--oidc-issuer is missing: it or %s names the provider", issuerVariable)
	}
	if at.ClientID == "" {
		return nil, usage("--oidc-client-id is missing: it or %s names the client at the provider", clientVariable)
	}
	p, err := login.New(login.Options{Issuer: at.Issuer, ClientID: at.ClientID, Secret: secret, Now: s.o.Now})
	if err != nil {
		return nil, usage("%v", err)
	}
	return p, nil
}

// throughBrowser waits on this machine for the browser to come back from the
// provider. Answers to other logins are refused, and waiting continues.
func (s *session) throughBrowser(ctx context.Context, provider *login.Provider, port int) (login.Tokens, error) {
	ctx, cancel := context.WithTimeout(ctx, loginTime)
	defer cancel()
	l, err := listen(ctx, net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return login.Tokens{}, usage("--port %d: %v; choose another with --port", port, err)
	}
	host := l.Addr().String()
	attempt, err := provider.Begin(ctx, "http://"+host+callbackPath)
	if err != nil {
		_ = l.Close()
		return login.Tokens{}, fail(protocol.ErrFailed, "%v", err)
	}
	type outcome struct {
		tokens login.Tokens
		err    error
	}
	outcomes := make(chan outcome, 1)
	server := &http.Server{ReadHeaderTimeout: readHeaders, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("Referrer-Policy", "no-referrer")
		if r.Host != host || r.URL.Path != callbackPath || r.Method != http.MethodGet {
			http.NotFound(w, r)
			return
		}
		tokens, err := provider.Finish(ctx, attempt, r.URL.Query())
		if errors.Is(err, login.ErrForeign) {
			http.Error(w, err.Error(), http.StatusForbidden)
			return
		}
		if err != nil {
			http.Error(w, "The login failed: "+err.Error(), http.StatusForbidden)
		} else {
			fmt.Fprintln(w, "Logged in. You can close this window.")
		}
		select {
		case outcomes <- outcome{tokens, err}:
		default:
		}
	})}
	go func() { _ = server.Serve(l) }()
	s.say("Open this address in a browser to log in:\n%s", attempt.URL)
	var got outcome
	select {
	case got = <-outcomes:
	case <-ctx.Done():
		got.err = fmt.Errorf("nobody logged in within %s", loginTime)
	}
	last, cancelLast := context.WithTimeout(context.WithoutCancel(ctx), lastRequests)
	defer cancelLast()
	_ = server.Shutdown(last)
	if got.err != nil {
		return login.Tokens{}, fail(protocol.ErrNotAllowed, "%v", got.err)
	}
	return got.tokens, nil
}

// useLogin takes the token of a login for this server, if there is one.
func (s *session) useLogin() error {
	all, err := s.readLogins()
	if err != nil {
		return err
	}
	if saved, ok := all[s.server.Where()]; ok {
		s.account = &saved
	}
	return nil
}

// ownToken is the token of who gives commands, renewed when it ends; empty: it
// is the identity of a data directory. It may be called by several goroutines.
func (s *session) ownToken(ctx context.Context) (string, error) {
	if s.account == nil {
		return s.token, nil
	}
	s.renewing.Lock()
	defer s.renewing.Unlock()
	if !s.account.Tokens.Due(s.o.Now()) {
		return s.account.Tokens.ID, nil
	}
	provider, err := s.provider(*s.account, "")
	if err != nil {
		return "", err
	}
	tokens, err := provider.Renew(ctx, s.account.Tokens)
	if err == nil {
		s.account.Tokens = tokens
		return tokens.ID, s.changeLogins(func(all map[string]savedLogin) { all[s.server.Where()] = *s.account })
	}
	// Another command may have renewed it meanwhile: a refresh token works once.
	all, readErr := s.readLogins()
	if other := all[s.server.Where()]; readErr == nil && !other.Tokens.Due(s.o.Now()) {
		s.account = &other
		return other.Tokens.ID, nil
	}
	return "", fail(protocol.ErrNotAllowed, "your login has ended (%v); log in again with: starter login", err)
}

func (s *session) readLogins() (map[string]savedLogin, error) {
	path, ok := s.configFile(loginsFile)
	if !ok {
		return map[string]savedLogin{}, nil
	}
	return readPrivate[savedLogin](path, "your logins")
}

// changeLogins changes what is kept of logins.
func (s *session) changeLogins(change func(map[string]savedLogin)) error {
	all, err := s.readLogins()
	if err != nil {
		return err
	}
	before := maps.Clone(all)
	change(all)
	if maps.Equal(before, all) {
		return nil
	}
	path, ok := s.configFile(loginsFile)
	if !ok {
		return fail(protocol.ErrNotAllowed, "a login needs a home directory: set HOME or %s", configVariable)
	}
	return writeConfig(path, all)
}

// configFile is the path of a file of this user's settings; false: there is
// none.
func (s *session) configFile(name string) (string, bool) {
	dir := s.o.env(configVariable)
	if !filepath.IsAbs(dir) {
		home := s.o.env("HOME")
		if home == "" {
			return "", false
		}
		dir = filepath.Join(home, ".config")
	}
	return filepath.Join(dir, "segment-export", name), true
}

// writeConfig writes a file that only this user can read.
func writeConfig(path string, content any) error {
	raw, err := json.MarshalIndent(content, "", "  ")
	if err == nil {
		err = os.MkdirAll(filepath.Dir(path), 0o700)
	}
	if err == nil {
		if err = localfile.Create(path, append(raw, '\n')); errors.Is(err, fs.ErrExist) {
			err = localfile.Replace(path, append(raw, '\n'))
		}
	}
	if err != nil {
		return fail(protocol.ErrFailed, "write %s: %v", path, err)
	}
	return nil
}

// originOf is the address of a site without path.
func originOf(address string) (*url.URL, error) {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.User != nil {
		return nil, usage("--url %q is not an address such as https://console.example.com", address)
	}
	return u, nil
}
