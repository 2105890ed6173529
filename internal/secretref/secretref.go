// Package secretref finds secrets that are given to the worker by name, so that
// they stay in the vault that mounts them: env:NAME is a variable of the
// worker's environment, file:NAME a file in its folder of secrets. It is read
// each time, so that a rotated secret counts at once.
package secretref

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

// Resolver finds secrets on the worker's machine. A person who may name a
// secret must not get at others of the machine: only variables with one of the
// prefixes and files below Dir are found.
type Resolver struct {
	Dir       string                      // folder of mounted secrets; empty: none
	LookupEnv func(string) (string, bool) // nil: os.LookupEnv
}

// Prefixes are what names of variables must begin with.
var Prefixes = []string{"OMNISEND_", "SOURCE_"}

// DefaultDir is where containers have their secrets.
const DefaultDir = "/run/secrets"

// maxSecret bounds what is read: a certificate with its chain fits many times.
const maxSecret = 64 << 10

// Error says why a reference gives no secret, and what to do about it.
type Error struct{ Message, Action string }

// Error says both.
func (e *Error) Error() string { return e.Message + "; " + e.Action }

var name = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// Check says whether a text is a reference at all; it looks nothing up.
func Check(ref string) error {
	kind, rest, ok := strings.Cut(ref, ":")
	switch {
	case !ok || kind != "env" && kind != "file":
		return &Error{fmt.Sprintf("%q is not a reference to a secret", ref), "write env:NAME or file:NAME"}
	case kind == "env" && !name.MatchString(rest):
		return &Error{fmt.Sprintf("%q names no variable", ref), "write env:NAME with letters, digits and underscores"}
	case kind == "env" && !slices.ContainsFunc(Prefixes, func(p string) bool { return strings.HasPrefix(rest, p) }):
		return &Error{fmt.Sprintf("the variable %s is not one that may be named", rest),
			"the names of variables with secrets begin with " + strings.Join(Prefixes, " or ")}
	case kind == "file" && rest == "":
		return &Error{fmt.Sprintf("%q names no file", ref), "write file:NAME, a file in the worker's folder of secrets"}
	}
	return nil
}

// Resolve returns the secret, without the line break that ends it. What cannot
// be found is an *Error.
func (r Resolver) Resolve(ref string) ([]byte, error) {
	if err := Check(ref); err != nil {
		return nil, err
	}
	kind, rest, _ := strings.Cut(ref, ":")
	read := r.file
	if kind == "env" {
		read = r.env
	}
	secret, err := read(rest)
	if err != nil {
		return nil, err
	}
	if secret = Trim(secret); len(secret) == 0 {
		return nil, &Error{fmt.Sprintf("the secret %s is empty on this worker", ref), "put the secret there"}
	}
	return secret, nil
}

// Trim removes the line break that an editor or echo adds at a file's end.
// What is not text, such as a certificate in PKCS#12, stays as it is.
func Trim(secret []byte) []byte {
	if !utf8.Valid(secret) {
		return secret
	}
	return bytes.TrimRight(secret, "\r\n")
}

func (r Resolver) env(name string) ([]byte, error) {
	lookup := r.LookupEnv
	if lookup == nil {
		lookup = os.LookupEnv
	}
	value, ok := lookup(name)
	if !ok {
		return nil, &Error{fmt.Sprintf("the variable %s is not set in the environment of this worker", name), "set it for every worker and start them again"}
	}
	return []byte(value), nil
}

func (r Resolver) file(path string) ([]byte, error) {
	if r.Dir == "" {
		return nil, &Error{"this worker has no folder of secrets", "start every worker with --secrets-dir"}
	}
	inside := path
	if filepath.IsAbs(path) {
		var err error
		if inside, err = filepath.Rel(r.Dir, path); err != nil || !filepath.IsLocal(inside) {
			return nil, outside(path)
		}
	}
	root, err := os.OpenRoot(r.Dir)
	if err != nil {
		return nil, &Error{"the worker's folder of secrets cannot be opened: " + cause(err), "mount it on every worker, or start them with another --secrets-dir"}
	}
	defer root.Close()
	f, err := root.Open(inside)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, &Error{fmt.Sprintf("the worker's folder of secrets has no file %s", path), "mount it on every worker"}
	case errors.Is(err, fs.ErrPermission):
		return nil, &Error{fmt.Sprintf("the worker may not read the secret file %s", path), "make it readable for the account that the worker runs as"}
	case err != nil:
		return nil, outside(path)
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, &Error{fmt.Sprintf("%s is not a regular file", path), "name a file with one secret"}
	}
	data, err := io.ReadAll(io.LimitReader(f, maxSecret+1))
	switch {
	case err != nil:
		return nil, &Error{fmt.Sprintf("the secret file %s cannot be read: %s", path, cause(err)), "mount it again"}
	case len(data) > maxSecret:
		return nil, &Error{fmt.Sprintf("the file %s is too large to be a secret", path), "name a file with one secret"}
	}
	return data, nil
}

func outside(path string) error {
	return &Error{fmt.Sprintf("the file %s is not in the worker's folder of secrets", path), "name a file in that folder (--secrets-dir of the worker)"}
}

// cause is an error of the file system without the path, which is nobody's
// business.
func cause(err error) string {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err.Error()
	}
	return "it cannot be used"
}
