package cli

import (
	"context"
	"io"
	"os"
	"time"

	"go.temporal.io/sdk/contrib/envconfig"
	"golang.org/x/term"
)

// Options are what the command line takes from its environment.
type Options struct {
	Args []string // without the program's name
	Env  envconfig.EnvLookup
	In   io.Reader
	Out  io.Writer // answers
	Err  io.Writer // progress, questions, failures

	InTerminal  bool // a person can be asked
	OutTerminal bool
	ErrTerminal bool
	// Width is the number of columns of the terminal that Out or Err is.
	Width func() int
	// ReadSecret reads a line from the terminal without showing it. It returns
	// with an error when ctx ends.
	ReadSecret func(ctx context.Context) (string, error)

	Zone *time.Location // of the times that people see
	Now  func() time.Time
	// Ticker sends the time in intervals until it is stopped.
	Ticker func(time.Duration) (ticks <-chan time.Time, stop func())
	// Connect reaches the Temporal server. It is called at most once.
	Connect func(ctx context.Context, verbose bool) (Server, error)
}

// FromSystem returns the options of a real process, with an environment that
// may be another one.
func FromSystem(args []string, env envconfig.EnvLookup) Options {
	o := Options{
		Args: args,
		Env:  env,
		In:   os.Stdin, Out: os.Stdout, Err: os.Stderr,
		InTerminal:  term.IsTerminal(int(os.Stdin.Fd())),
		OutTerminal: term.IsTerminal(int(os.Stdout.Fd())),
		ErrTerminal: term.IsTerminal(int(os.Stderr.Fd())),
		Width:       terminalWidth,
		ReadSecret:  readSecret,
		Zone:        time.Local,
		Now:         time.Now,
		Ticker: func(d time.Duration) (<-chan time.Time, func()) {
			t := time.NewTicker(d)
			return t.C, t.Stop
		},
	}
	o.Connect = func(ctx context.Context, verbose bool) (Server, error) { return dial(ctx, o.Env, o.Err, verbose) }
	return o
}

// usualWidth is used for a terminal that does not report its width.
const usualWidth = 80

func terminalWidth() int {
	for _, f := range []*os.File{os.Stdout, os.Stderr} {
		if w, _, err := term.GetSize(int(f.Fd())); err == nil && w > 0 {
			return w
		}
	}
	return usualWidth
}

// readSecret reads from the terminal. A read cannot be
// interrupted: at the end of ctx it is left behind and the terminal restored.
func readSecret(ctx context.Context) (string, error) {
	fd := int(os.Stdin.Fd())
	before, err := term.GetState(fd)
	if err != nil {
		return "", err
	}
	type answer struct {
		text []byte
		err  error
	}
	answers := make(chan answer, 1)
	go func() {
		text, err := term.ReadPassword(fd)
		answers <- answer{text, err}
	}()
	select {
	case a := <-answers:
		return string(a.text), a.err
	case <-ctx.Done():
		_ = term.Restore(fd, before)
		return "", ctx.Err()
	}
}

// env returns a variable's value; empty when it is not set.
func (o *Options) env(name string) string {
	v, _ := o.Env.LookupEnv(name)
	return v
}
