package cli_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/segment-export/segment-export/internal/access"
	"github.com/segment-export/segment-export/internal/protocol"
	"github.com/segment-export/segment-export/internal/seal"
)

const token = "eyJ.token-do-not-show.x"

// withToken gives the bench a token and no identity file.
func (b *bench) withToken() {
	dir := b.t.TempDir()
	b.options.Env = env{"SEGMENT_EXPORT_TOKEN": token, "HOME": dir, "SEGMENT_EXPORT_DATA_DIR": filepath.Join(dir, "none")}
}

// hello is the worker's introduction.
func hello(key seal.PublicKey) protocol.HelloAnswer {
	return protocol.HelloAnswer{PublicKey: key.String(), Fingerprint: key.Fingerprint()}
}

func (b *bench) pin(key seal.PublicKey) {
	b.options.Env.(env)["SEGMENT_EXPORT_WORKER_FINGERPRINT"] = key.Fingerprint()
}

// requireTokenSealed checks the nth request: the token is in its credential, for
// it alone, and nowhere else.
func (b *bench) requireTokenSealed(n int) {
	b.t.Helper()
	r := b.server.requests[n]
	got, err := access.OpenToken(b.keyring.OpenEnvelope, r.Claim(), r.Credential)
	require.NoError(b.t, err)
	require.Equal(b.t, token, got)
	other := r
	other.ID = "another"
	_, err = access.OpenToken(b.keyring.OpenEnvelope, other.Claim(), r.Credential)
	require.ErrorIs(b.t, err, access.ErrNoToken)
	raw, err := json.Marshal(b.server.requests)
	require.NoError(b.t, err)
	require.NotContains(b.t, string(raw)+b.out.String()+b.err.String(), token)
	require.Empty(b.t, r.Proof.MAC)
}

func TestTokenIsSealedToThePinnedWorker(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	require.NoError(t, os.WriteFile(file, []byte(token+"\n"), 0o600))
	for name, prepare := range map[string]func(e env) []string{
		"environment": func(env) []string { return nil },
		"option":      func(e env) []string { e["SEGMENT_EXPORT_TOKEN"] = "other"; return []string{"--token-file", file} },
		"file variable": func(e env) []string {
			delete(e, "SEGMENT_EXPORT_TOKEN")
			e["SEGMENT_EXPORT_TOKEN_FILE"] = file
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.withToken()
			b.pin(b.keyring.PublicKey())
			b.answers(hello(b.keyring.PublicKey()), sealedAnswer{protocol.WhoAmIAnswer{Name: "ann", Role: "viewer"}})
			require.Equal(t, 0, b.run(append([]string{"whoami"}, prepare(b.options.Env.(env))...)...), b.err.String())
			require.Equal(t, "ann, viewer\n", b.out.String())
			require.Equal(t, []string{"hello", "whoami"}, b.names())
			require.Empty(t, b.server.requests[0].Credential, "nothing is sent before the key is known")
			b.requireTokenSealed(1)
		})
	}
}

func TestTokenIsNotSentToAnotherWorker(t *testing.T) {
	b := newBench(t)
	b.withToken()
	other, err := seal.NewReplyKey()
	require.NoError(t, err)
	b.pin(b.keyring.PublicKey())
	b.answers(hello(other.Public()))
	require.Equal(t, 5, b.run("whoami"))
	require.Contains(t, b.err.String(), "no token was sent")

	delete(b.options.Env.(env), "SEGMENT_EXPORT_WORKER_FINGERPRINT")
	b.answers(hello(other.Public()))
	require.Equal(t, 5, b.run("whoami"), "nobody can be asked")
	require.Contains(t, b.err.String(), other.Public().Fingerprint())
	require.Contains(t, b.err.String(), "No token was sent")
	for _, answer := range []string{"n\n", ""} {
		b.terminal(answer)
		b.answers(hello(other.Public()))
		require.Equal(t, 5, b.run("whoami"))
		require.Contains(t, b.err.String(), "not trusted")
	}
	for _, r := range b.server.requests {
		require.Equal(t, "hello", r.Name)
	}
}

func TestWorkerIsRemembered(t *testing.T) {
	b := newBench(t)
	b.withToken()
	b.terminal("yes\n")
	key := b.keyring.PublicKey()
	answers := func() []any {
		return []any{hello(key), sealedAnswer{protocol.WhoAmIAnswer{Name: "ann", Role: "admin"}}}
	}
	b.answers(answers()...)
	require.Equal(t, 0, b.run("whoami"), b.err.String())
	require.Contains(t, b.err.String(), key.Fingerprint())

	b.options.InTerminal = false // it is known from now on
	b.answers(answers()...)
	require.Equal(t, 0, b.run("whoami"), b.err.String())

	other, err := seal.NewReplyKey()
	require.NoError(t, err)
	b.terminal("yes\n")
	b.answers(hello(other.Public()))
	require.Equal(t, 5, b.run("whoami"), "another key in its place is not asked about")
	require.Contains(t, b.err.String(), "no token was sent")
}

func TestTokensThatAreNone(t *testing.T) {
	for _, bad := range []string{" ", "two words", "two\nlines"} {
		b := newBench(t)
		b.withToken()
		b.options.Env.(env)["SEGMENT_EXPORT_TOKEN"] = bad
		require.Equal(t, 2, b.run("whoami"))
		require.Contains(t, b.err.String(), "not a token")
		require.Empty(t, b.server.requests)
	}
	b := newBench(t)
	b.withToken()
	require.Equal(t, 2, b.run("whoami", "--token-file", "/nowhere/at/all"))
}
