package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/segment-export/segment-export/internal/protocol"
)

// lines reads a stream line by line without blocking the session: a read cannot be
// interrupted, so one goroutine does it for the whole session.
type lines struct {
	wanted chan struct{}
	read   chan lineRead
}

type lineRead struct {
	text string
	err  error
}

func newLines(r io.Reader) *lines {
	l := &lines{wanted: make(chan struct{}), read: make(chan lineRead, 1)}
	go func() {
		b := bufio.NewReader(r)
		for range l.wanted {
			text, err := b.ReadString('\n')
			if text != "" {
				err = nil
			}
			l.read <- lineRead{text, err}
		}
	}()
	return l
}

func (l *lines) next(ctx context.Context) (string, error) {
	select {
	case l.wanted <- struct{}{}:
	case <-ctx.Done():
		return "", ctx.Err()
	}
	select {
	case r := <-l.read:
		return strings.TrimRight(r.text, "\r\n"), r.err
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

// ask asks a question on the terminal; anything but y or yes is no.
func (s *session) ask(ctx context.Context, question string) (bool, error) {
	if s.in == nil {
		s.in = newLines(s.o.In)
	}
	fmt.Fprintf(s.o.Err, "%s [y/N] ", clean(question))
	text, err := s.in.next(ctx)
	if errors.Is(err, io.EOF) {
		fmt.Fprintln(s.o.Err)
		return false, nil
	}
	if err != nil {
		return false, err
	}
	switch strings.ToLower(strings.TrimSpace(text)) {
	case "y", "yes":
		return true, nil
	}
	return false, nil
}

// askText asks for a line on the terminal.
func (s *session) askText(ctx context.Context, question string) (string, error) {
	if s.in == nil {
		s.in = newLines(s.o.In)
	}
	fmt.Fprintf(s.o.Err, "%s: ", clean(question))
	text, err := s.in.next(ctx)
	if errors.Is(err, io.EOF) {
		fmt.Fprintln(s.o.Err)
		return "", nil
	}
	return strings.TrimSpace(text), err
}

// keyVariable holds an API key for connection add and rotate-key.
const keyVariable = "OMNISEND_API_KEY"

// maxKey bounds what is read as an API key: the path may lead to anything.
const maxKey = 64 << 10

// apiKey gets the API key from a file, the environment or the terminal, in this
// order, and never from the arguments, which other users of the machine see.
func (s *session) apiKey(ctx context.Context, file string) (string, error) {
	key, from, err := s.readKey(ctx, file)
	if err != nil {
		return "", err
	}
	key = strings.TrimSpace(key)
	switch {
	case key == "":
		return "", usage("the API key from %s is empty", from)
	case strings.ContainsAny(key, " \t\r\n"):
		return "", usage("the content of %s is not an API key: it has spaces or several lines", from)
	}
	return key, nil
}

func (s *session) readKey(ctx context.Context, file string) (key, from string, err error) {
	env := s.o.env(keyVariable)
	switch {
	case file == "-" && !s.o.InTerminal:
		key, err := readLimited(s.o.In)
		return key, "standard input", err
	case file != "" && file != "-":
		f, err := os.Open(file)
		if err != nil {
			return "", "", usage("--api-key-file: %v", err)
		}
		defer f.Close()
		key, err := readLimited(f)
		return key, file, err
	case file == "" && env != "":
		return env, keyVariable, nil
	case !s.o.InTerminal:
		return "", "", usage("there is no API key: use --api-key-file FILE (- for standard input), set %s, or run the command on a terminal, where it asks", keyVariable)
	}
	fmt.Fprint(s.o.Err, "Omnisend API key (not shown): ")
	key, err = s.o.ReadSecret(ctx)
	fmt.Fprintln(s.o.Err)
	if err != nil && ctx.Err() == nil && !errors.Is(err, io.EOF) {
		err = fail(protocol.ErrFailed, "read the API key from the terminal: %v", err)
	} else if errors.Is(err, io.EOF) {
		err = nil
	}
	return key, "the terminal", err
}

func readLimited(r io.Reader) (string, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxKey+1))
	if err != nil {
		return "", usage("the input cannot be read: %v", err)
	}
	if len(data) > maxKey {
		return "", usage("the input is too large: %d KiB at most", maxKey>>10)
	}
	return string(data), nil
}
