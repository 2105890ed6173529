package cli

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"syscall"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/segment-export/segment-export/internal/protocol"
	"github.com/segment-export/segment-export/starter/console"
)

const (
	// consolePort is where the console listens unless it is said otherwise.
	consolePort = 8234
	// readHeaders bounds how long a browser may take to say what it wants.
	readHeaders = 10 * time.Second
	// lastRequests is how long requests may take to end when the console stops.
	lastRequests = 3 * time.Second
)

func (s *session) consoleCommand() *cli.Command {
	return s.leaf("", leaf{
		name: "console", usage: "serve the same commands as pages in a browser",
		detail: `On this machine it prints a login address that works once; each login prints the next one. The console then acts as the
identity that this command line has.

At another --address it needs --tls-cert and --tls-key, and people log in at the OpenID Connect provider that the worker
trusts. The secret of a confidential client is in SEGMENT_EXPORT_OIDC_CLIENT_SECRET.`,
		example: "starter console\nstarter console --address 0.0.0.0:8443 --url https://console.example.com:8443 --tls-cert cert.pem --tls-key key.pem --oidc-issuer https://login.example.com --oidc-client-id segment-export",
		flags: append(providerFlags(),
			&cli.IntFlag{Name: "port", Value: consolePort, Usage: "listen on `PORT` of 127.0.0.1; 0 takes a free one, as does the default when it is in use"},
			&cli.StringFlag{Name: "address", Usage: "listen at `HOST:PORT` in place of --port"},
			&cli.StringFlag{Name: "url", Usage: "`URL` of the console as browsers see it", DefaultText: "https and the address"},
			&cli.StringFlag{Name: "tls-cert", Usage: "`FILE` with the certificate and its chain, as PEM"},
			&cli.StringFlag{Name: "tls-key", Usage: "`FILE` with the certificate's key, as PEM"},
			&cli.StringFlag{Name: "web-ui", Usage: "`URL` of the namespace in Temporal's Web UI that run pages link to"},
			&cli.BoolFlag{Name: "sandbox", Usage: "say on each page that nothing reaches Omnisend", DisableDefaultText: true},
			&cli.StringFlag{Name: "example", Usage: "with --sandbox: offer an example on the first visit; `DIR` below the worker's files root has its segments"},
		),
		do: func(c *cli.Context) error { return s.console(c) },
	})
}

// site is where a console listens and how browsers reach it.
type site struct {
	listener  net.Listener
	base      string // "https://console.example.com"
	hosts     []string
	cert, key string // files; empty: no TLS
}

// siteOf opens the site that the options name.
func (s *session) siteOf(c *cli.Context) (site, error) {
	p := site{cert: c.String("tls-cert"), key: c.String("tls-key")}
	if (p.cert == "") != (p.key == "") {
		return p, usage("--tls-cert and --tls-key go together")
	}
	address := c.String("address")
	switch {
	case address != "" && c.IsSet("port"):
		return p, usage("--address and --port cannot be combined")
	case address == "":
		address = net.JoinHostPort("127.0.0.1", strconv.Itoa(c.Int("port")))
	}
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return p, usage("--address %q is not HOST:PORT", address)
	}
	local := host == "localhost" || net.ParseIP(host).IsLoopback()
	if !local && p.cert == "" {
		return p, usage("--address %s can be reached by other machines, and without TLS others could read passwords and personal data: give --tls-cert and --tls-key", address)
	}
	if !local && s.setting(c, "oidc-issuer", issuerVariable, "") == "" {
		return p, usage("--address %s can be reached by other machines, so people must log in: give --oidc-issuer and --oidc-client-id", address)
	}
	if p.cert != "" {
		if _, err := tls.LoadX509KeyPair(p.cert, p.key); err != nil {
			return p, usage("--tls-cert, --tls-key: %v", err)
		}
	}
	p.listener, err = listen(c.Context, address)
	if errors.Is(err, syscall.EADDRINUSE) && !c.IsSet("port") && !c.IsSet("address") {
		p.listener, err = listen(c.Context, "127.0.0.1:0") // another console on this machine has the usual port
	}
	if err != nil {
		return p, usage("%s: %v; choose another with --port or --address", address, err)
	}
	return p, p.name(c.String("url"), host, local)
}

// name finds out under which names browsers reach the site.
func (p *site) name(address, host string, local bool) error {
	scheme := "http"
	if p.cert != "" {
		scheme = "https"
	}
	port := strconv.Itoa(p.listener.Addr().(*net.TCPAddr).Port)
	p.base = scheme + "://" + net.JoinHostPort(host, port)
	if address != "" {
		u, err := originOf(address)
		if err != nil {
			return err
		}
		if u.Scheme != scheme {
			return usage("--url %s is not %s", address, scheme)
		}
		p.base = u.Scheme + "://" + u.Host
		p.hosts = append(p.hosts, u.Host)
	}
	p.hosts = append(p.hosts, net.JoinHostPort(host, port))
	if local {
		p.hosts = append(p.hosts, "127.0.0.1:"+port, "localhost:"+port, "[::1]:"+port)
	}
	return nil
}

// console serves pages until it is interrupted.
func (s *session) console(c *cli.Context) error {
	at := savedLogin{Issuer: s.setting(c, "oidc-issuer", issuerVariable, ""), ClientID: s.setting(c, "oidc-client-id", clientVariable, "")}
	options := console.Options{
		Worker: consoleWorker{s}, Log: slog.New(slog.NewTextHandler(s.o.Err, &slog.HandlerOptions{Level: slog.LevelWarn})),
		Now: s.o.Now, Every: s.o.Ticker, WebUI: c.String("web-ui"), Sandbox: c.Bool("sandbox"), Example: c.String("example"),
	}
	if at.Issuer != "" {
		provider, err := s.provider(at, s.o.env(secretVariable))
		if err != nil {
			return err
		}
		options.Login, s.visitors = provider, true
	}
	if err := s.ready(c.Context); err != nil {
		return err
	}
	p, err := s.siteOf(c)
	if err != nil {
		return err
	}
	var pages *console.Console
	login := func() {}
	if options.Login == nil {
		login = func() { s.say("Log in: %s%s", p.base, pages.LoginPath()) }
	}
	options.Hosts, options.URL, options.TLS, options.LoggedIn = p.hosts, p.base, p.cert != "", func() { login() }
	if pages, err = console.New(options); err != nil {
		return err
	}
	fmt.Fprintf(s.o.Out, "Console: %s\n", p.base)
	login()
	return p.serve(c.Context, pages)
}

// serve answers requests until ctx ends.
func (p *site) serve(ctx context.Context, pages http.Handler) error {
	server := &http.Server{Handler: pages, ReadHeaderTimeout: readHeaders, BaseContext: func(net.Listener) context.Context { return ctx },
		TLSConfig: &tls.Config{MinVersion: tls.VersionTLS12}}
	stopped := make(chan error, 1)
	context.AfterFunc(ctx, func() {
		ctx, cancel := context.WithTimeout(context.Background(), lastRequests)
		defer cancel()
		stopped <- server.Shutdown(ctx)
	})
	var err error
	if p.cert != "" {
		err = server.ServeTLS(p.listener, p.cert, p.key)
	} else {
		err = server.Serve(p.listener)
	}
	if !errors.Is(err, http.ErrServerClosed) {
		return fail(protocol.ErrFailed, "the console stopped: %v", err)
	}
	if err := <-stopped; err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return fail(protocol.ErrFailed, "the console stopped: %v", err)
	}
	return nil
}

func listen(ctx context.Context, address string) (net.Listener, error) {
	var listen net.ListenConfig
	return listen.Listen(ctx, "tcp", address)
}

// consoleWorker gives the console's commands as this command line.
type consoleWorker struct{ s *session }

// Call carries out a command.
func (w consoleWorker) Call(ctx context.Context, do console.Order) (json.RawMessage, error) {
	return w.s.call(ctx, order{name: do.Name, args: do.Args, object: do.Object, secret: do.Secret, personal: do.Personal, token: do.Token})
}

// Progress asks a workflow how far it is.
func (w consoleWorker) Progress(ctx context.Context, workflowID string) (*protocol.Progress, error) {
	return w.s.server.Progress(ctx, workflowID)
}
