package cli

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"strings"

	"github.com/google/uuid"

	"github.com/segment-export/segment-export/internal/localfile"
	"github.com/segment-export/segment-export/internal/protocol"
	"github.com/segment-export/segment-export/internal/seal"
)

// The variables of who you are to a worker that tells people by tokens.
const (
	tokenVariable     = "SEGMENT_EXPORT_TOKEN"
	tokenFileVariable = "SEGMENT_EXPORT_TOKEN_FILE"
	configVariable    = "XDG_CONFIG_HOME"
)

// knownWorkers is the file with the keys of workers that a person has confirmed.
const knownWorkers = "known_workers.json"

// readToken gets the token from a file or the environment, and never from the
// arguments, which other users of the machine see; empty when there is none.
func (s *session) readToken(file string) (string, error) {
	token, from := s.o.env(tokenVariable), tokenVariable
	if file == "" && token == "" {
		return "", nil
	}
	if file != "" {
		f, err := os.Open(file)
		if err != nil {
			return "", usage("--token-file: %v", err)
		}
		defer f.Close()
		if token, err = readLimited(f); err != nil {
			return "", usage("--token-file %s: it is too large, or cannot be read", file)
		}
		from = file
	}
	if token = strings.TrimSpace(token); token == "" || strings.ContainsAny(token, " \t\r\n") {
		return "", usage("the content of %s is not a token: it is empty, or has spaces or several lines", from)
	}
	return token, nil
}

// meet asks the worker for its key and makes sure that it is the right one: a
// token that is sealed to another key belongs to the holder of that key.
func (s *session) meet(ctx context.Context) (seal.PublicKey, error) {
	request := protocol.Request{ID: uuid.NewString(), Name: protocol.Hello, IssuedAt: s.o.Now().UTC()}
	response, err := s.server.Carry(ctx, request, protocol.Hello)
	if err != nil {
		return seal.PublicKey{}, err
	}
	var hello protocol.HelloAnswer
	if err := decode(response.Body, &hello); err != nil {
		return seal.PublicKey{}, err
	}
	key, err := seal.ParsePublicKey(hello.PublicKey)
	if err != nil {
		return key, fail(protocol.ErrFailed, "the worker's answer holds no key: %v", err)
	}
	return key, s.trust(ctx, key)
}

// trust refuses a key that is neither pinned nor known, after asking on a
// terminal.
func (s *session) trust(ctx context.Context, key seal.PublicKey) error {
	if pinned := s.o.env(fingerprintVariable); pinned != "" {
		if !strings.EqualFold(pinned, key.Fingerprint()) {
			return fail(protocol.ErrNotAllowed, "%s is %s, but the worker's key has the fingerprint %s: no token was sent",
				fingerprintVariable, pinned, key.Fingerprint())
		}
		return nil
	}
	path, err := s.knownPath()
	if err != nil {
		return err
	}
	known, err := readKnown(path)
	if err != nil {
		return err
	}
	where := s.server.Where()
	switch known[where] {
	case key.Fingerprint():
		return nil
	case "":
	default:
		return fail(protocol.ErrNotAllowed, "the key of the worker on %s has the fingerprint %s, but in %s it is %s: no token was sent. "+
			"If the keyring was replaced on purpose, remove the entry from the file", where, key.Fingerprint(), path, known[where])
	}
	if !s.o.InTerminal {
		return fail(protocol.ErrNotAllowed, "the key of the worker on %s has the fingerprint %s, which is not known here. Compare it with the output of "+
			"worker keyring show, then set %s to it. No token was sent", where, key.Fingerprint(), fingerprintVariable)
	}
	s.say("The worker on %s is not known yet. Its key has the fingerprint\n   %s\nCompare it with the output of: worker keyring show", where, key.Fingerprint())
	agreed, err := s.ask(ctx, "Is it the same?")
	if err != nil {
		return err
	}
	if !agreed {
		return fail(protocol.ErrNotAllowed, "the worker's key is not trusted: no token was sent")
	}
	known[where] = key.Fingerprint()
	return writeConfig(path, known)
}

// knownPath is where keys are remembered.
func (s *session) knownPath() (string, error) {
	path, ok := s.configFile(knownWorkers)
	if !ok {
		return "", fail(protocol.ErrNotAllowed, "there is no home directory to store the worker's key in: set %s to its fingerprint", fingerprintVariable)
	}
	return path, nil
}

func readKnown(path string) (map[string]string, error) {
	return readPrivate[string](path, "the keys of known workers")
}

// readPrivate reads a file of names with values that only its owner may read;
// what it holds is for the message. Without the file there are none.
func readPrivate[T any](path, what string) (map[string]T, error) {
	all := map[string]T{}
	raw, _, err := localfile.Read(path)
	if errors.Is(err, fs.ErrNotExist) {
		return all, nil
	}
	if err == nil {
		err = json.Unmarshal(raw, &all)
	}
	if err != nil {
		return nil, fail(protocol.ErrNotAllowed, "%s: %s: %v", what, path, err)
	}
	return all, nil
}
