package cli

import (
	"context"
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
		name: "console", usage: "Serve the same commands as pages in a browser",
		detail: `Prints a login address that works once; each login prints the next one. The console listens on this machine only,
and acts as the identity that this command line has.`,
		example: "starter console\nstarter console --port 0 --web-ui http://127.0.0.1:8233/namespaces/default",
		flags: []cli.Flag{
			&cli.IntFlag{Name: "port", Value: consolePort, Usage: "listen on `PORT` of 127.0.0.1; 0 takes a free one, as does the default when it is in use"},
			&cli.StringFlag{Name: "web-ui", Usage: "`URL` of the namespace in Temporal's Web UI that run pages link to"},
			&cli.BoolFlag{Name: "sandbox", Usage: "say on each page that nothing reaches Omnisend", DisableDefaultText: true},
			&cli.StringFlag{Name: "example", Usage: "with --sandbox: offer an example on the first visit; `DIR` below the worker's files root has its segments"},
		},
		do: func(c *cli.Context) error { return s.console(c) },
	})
}

// console serves pages until it is interrupted.
func (s *session) console(c *cli.Context) error {
	if err := s.ready(c.Context); err != nil {
		return err
	}
	l, err := listen(c.Context, c.Int("port"))
	if errors.Is(err, syscall.EADDRINUSE) && !c.IsSet("port") {
		l, err = listen(c.Context, 0) // another console on this machine has the usual port
	}
	if err != nil {
		return usage("--port %d: %v; choose another with --port", c.Int("port"), err)
	}
	port := strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
	base := "http://127.0.0.1:" + port
	var pages *console.Console
	login := func() { s.say("Log in: %s%s", base, pages.LoginPath()) }
	pages, err = console.New(console.Options{
		Worker: consoleWorker{s}, Log: slog.New(slog.NewTextHandler(s.o.Err, &slog.HandlerOptions{Level: slog.LevelWarn})),
		Now: s.o.Now, Every: s.o.Ticker, WebUI: c.String("web-ui"), Sandbox: c.Bool("sandbox"), Example: c.String("example"), LoggedIn: func() { login() },
		Hosts: []string{"127.0.0.1:" + port, "localhost:" + port, "[::1]:" + port},
	})
	if err != nil {
		return err
	}
	server := &http.Server{Handler: pages, ReadHeaderTimeout: readHeaders, BaseContext: func(net.Listener) context.Context { return c.Context }}
	fmt.Fprintf(s.o.Out, "Console: %s\n", base)
	login()
	stopped := make(chan error, 1)
	context.AfterFunc(c.Context, func() {
		ctx, cancel := context.WithTimeout(context.Background(), lastRequests)
		defer cancel()
		stopped <- server.Shutdown(ctx)
	})
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fail("failed", "the console stopped: %v", err)
	}
	if err := <-stopped; err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return fail("failed", "the console stopped: %v", err)
	}
	return nil
}

func listen(ctx context.Context, port int) (net.Listener, error) {
	var listen net.ListenConfig
	return listen.Listen(ctx, "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
}

// consoleWorker gives the console's commands as this command line.
type consoleWorker struct{ s *session }

// Call carries out a command.
func (w consoleWorker) Call(ctx context.Context, do console.Order) (json.RawMessage, error) {
	return w.s.call(ctx, order{name: do.Name, args: do.Args, object: do.Object, secret: do.Secret, personal: do.Personal})
}

// Progress asks a workflow how far it is.
func (w consoleWorker) Progress(ctx context.Context, workflowID string) (*protocol.Progress, error) {
	return w.s.server.Progress(ctx, workflowID)
}
