package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/urfave/cli/v2"

	"github.com/segment-export/segment-export/internal/access"
	"github.com/segment-export/segment-export/internal/localfile"
	"github.com/segment-export/segment-export/internal/protocol"
	"github.com/segment-export/segment-export/internal/seal"
)

// fingerprintVariable pins the worker's public key.
const fingerprintVariable = "SEGMENT_EXPORT_WORKER_FINGERPRINT"

// session is one command line being carried out.
type session struct {
	o        *Options
	format   string
	quiet    bool
	verbose  bool
	server   Server
	file     string           // of the token, by option
	token    string           // who you are, to a worker that tells people by tokens
	account  *savedLogin      // else a login whose token is renewed
	renewing sync.Mutex       // held to use or renew it
	visitors bool             // each command brings a token of its own
	identity *access.Identity // else
	worker   seal.PublicKey   // that secrets are sealed to; the zero value: not known yet
	in       *lines           // questions' answers; made at the first question
	do       func() error     // what the command line says
}

// begin reads the common options.
func (s *session) begin(c *cli.Context) error {
	s.format, s.quiet, s.verbose, s.file = c.String("output"), c.Bool("quiet"), c.Bool("verbose"), c.String("token-file")
	if s.file == "" {
		s.file = s.o.env(tokenFileVariable)
	}
	if c.Bool("utc") {
		s.o.Zone = time.UTC
	}
	switch s.format {
	case formatText, formatJSON, formatYAML, formatJSONL:
		return nil
	}
	return usage("--output %q must be text, json, yaml or jsonl", s.format)
}

func (s *session) close() {
	if s.server != nil {
		s.server.Close()
	}
	if s.in != nil {
		close(s.in.wanted)
	}
}

// ready connects and finds out who gives the commands. It is done before any
// question is asked, so that nobody answers in vain.
func (s *session) ready(ctx context.Context) error {
	if err := s.connect(ctx); err != nil {
		return err
	}
	if s.worker.String() != "" {
		return nil
	}
	var err error
	if s.token, err = s.readToken(s.file); err != nil {
		return err
	}
	if s.token == "" && !s.visitors {
		if err := s.useLogin(); err != nil {
			return err
		}
	}
	if s.token != "" || s.account != nil || s.visitors {
		s.worker, err = s.meet(ctx)
		return err
	}
	if s.identity, err = s.loadIdentity(); err == nil {
		s.worker = s.identity.PublicKey
	}
	return err
}

// connect reaches the Temporal server.
func (s *session) connect(ctx context.Context) error {
	if s.server != nil {
		return nil
	}
	server, err := s.o.Connect(ctx, s.verbose)
	if err != nil {
		return err
	}
	s.server = server
	return nil
}

// prove adds to a request the proof of who gives it.
func (s *session) prove(request *protocol.Request, token string) (err error) {
	if token == "" {
		if s.identity == nil {
			return fail(protocol.ErrNotAllowed, "nobody has logged in")
		}
		request.Proof = access.Prove(s.identity.Secret, request.Claim())
		return nil
	}
	request.Credential, err = access.SealToken(s.worker, request.Claim(), token)
	return err
}

func (s *session) loadIdentity() (*access.Identity, error) {
	dir := s.o.env(localfile.Variable)
	if dir == "" {
		var err error
		if dir, err = localfile.Default(); err != nil {
			return nil, fail(protocol.ErrNotAllowed, "%v", err)
		}
	}
	path := filepath.Join(dir, access.IdentityFile)
	identity, err := access.LoadIdentity(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fail(protocol.ErrNotAllowed, "there is no identity at %s. Set %s to the data directory of the worker; or, if the worker identifies people by tokens, run starter login, set %s or use --token-file", path, localfile.Variable, tokenVariable)
	case err != nil:
		return nil, fail(protocol.ErrNotAllowed, "%v", err)
	}
	if pinned := s.o.env(fingerprintVariable); pinned != "" && !strings.EqualFold(pinned, identity.PublicKey.Fingerprint()) {
		return nil, fail(protocol.ErrNotAllowed, "%s is %s, but the worker's key in %s has the fingerprint %s: nothing was sent",
			fingerprintVariable, pinned, path, identity.PublicKey.Fingerprint())
	}
	return identity, nil
}

// order is one command to give to a worker.
type order struct {
	name     string
	args     any
	object   string // the name of what it is about, for Temporal's Web UI
	secret   any    // travels sealed
	personal bool   // the answer travels sealed
	token    string // of who gives it; empty: of the session
}

// call gives a command to a worker and returns its answer as JSON.
func (s *session) call(ctx context.Context, do order) (json.RawMessage, error) {
	if err := s.ready(ctx); err != nil {
		return nil, err
	}
	request := protocol.Request{ID: uuid.NewString(), Name: do.name, IssuedAt: s.o.Now().UTC()}
	if do.args != nil {
		var err error
		if request.Args, err = json.Marshal(do.args); err != nil {
			return nil, err
		}
	}
	if do.secret != nil {
		plain, err := json.Marshal(do.secret)
		if err != nil {
			return nil, err
		}
		if request.Sealed, err = s.worker.Seal(plain, protocol.Context(request.ID)); err != nil {
			return nil, err
		}
	}
	var reply seal.ReplyKey
	token := do.token
	if token == "" {
		var err error
		if token, err = s.ownToken(ctx); err != nil {
			return nil, err
		}
	}
	// Where people have names of their own, many answers hold them.
	personal := do.personal || token != ""
	if personal {
		var err error
		if reply, err = seal.NewReplyKey(); err != nil {
			return nil, err
		}
		request.ReplyTo = reply.Public().String()
	}
	if err := s.prove(&request, token); err != nil {
		return nil, err
	}
	response, err := s.server.Carry(ctx, request, strings.TrimSpace(do.name+" "+do.object))
	if err != nil {
		return nil, err
	}
	if !personal {
		return response.Body, nil
	}
	body, err := reply.Open(response.Sealed, protocol.Context(request.ID))
	if err != nil {
		return nil, fail(protocol.ErrFailed, "the worker's answer to %q cannot be decrypted: it was not encrypted for this command", do.name)
	}
	return body, nil
}

// answer gives a command to a worker and decodes its answer.
func answer[T any](ctx context.Context, s *session, do order) (T, error) {
	var v T
	raw, err := s.call(ctx, do)
	if err != nil {
		return v, err
	}
	return v, decode(raw, &v)
}

func decode(raw json.RawMessage, v any) error {
	if err := json.Unmarshal(raw, v); err != nil {
		return fail(protocol.ErrFailed, "the worker's answer cannot be read; starter and worker may be of different releases: %v", err)
	}
	return nil
}

// show gives a command and prints its answer: as it came in JSON and YAML, and
// through text for people.
func show[T any](c *cli.Context, s *session, name string, args any, text func(*page, T)) error {
	do := order{name: name, args: args}
	if n, ok := args.(protocol.Named); ok {
		do.object = n.Name
	}
	return carryOut(c, s, do, text)
}

func carryOut[T any](c *cli.Context, s *session, do order, text func(*page, T)) error {
	raw, err := s.call(c.Context, do)
	if err != nil {
		return err
	}
	var v T
	if err := decode(raw, &v); err != nil {
		return err
	}
	return s.print(raw, func(p *page) { text(p, v) })
}

// say tells something on the side, not part of the answer.
func (s *session) say(format string, args ...any) {
	fmt.Fprintln(s.o.Err, clean(fmt.Sprintf(format, args...)))
}
