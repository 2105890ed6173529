package cli_test

import (
	"context"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/segment-export/segment-export/internal/catalogue"
	"github.com/segment-export/segment-export/internal/protocol"
)

const key = "key-5f3b-do-not-show"

// sealedKey opens the secret of a request as the worker does.
func (b *bench) sealedKey(r protocol.Request) string {
	b.t.Helper()
	plain, err := b.keyring.OpenEnvelope(r.Sealed, protocol.Context(r.ID))
	require.NoError(b.t, err)
	var secret protocol.ConnectionSecret
	require.NoError(b.t, json.Unmarshal(plain, &secret))
	return secret.Key
}

func (b *bench) requireNotShown() {
	b.t.Helper()
	require.NotContains(b.t, b.out.String()+b.err.String(), key)
	for i, r := range b.server.requests {
		raw, err := json.Marshal(r)
		require.NoError(b.t, err)
		require.NotContains(b.t, string(raw)+b.server.summaries[i], key)
	}
}

func TestAPIKey(t *testing.T) {
	file := filepath.Join(t.TempDir(), "key.txt")
	require.NoError(t, os.WriteFile(file, []byte(key+"\r\n"), 0o600))
	for _, c := range []struct {
		name     string
		prepare  func(b *bench)
		line     string
		want     string // key that was sent
		question bool
	}{
		{"file before environment", func(b *bench) { b.options.Env.(env)["OMNISEND_API_KEY"] = "other" }, "connection|add|shop|--agree|--api-key-file|" + file, key, false},
		{"standard input", func(b *bench) { b.options.In = strings.NewReader(key + "\n") }, "connection|add|shop|--agree|--api-key-file|-", key, false},
		{"environment", func(b *bench) { b.options.Env.(env)["OMNISEND_API_KEY"] = key }, "connection|add|shop|--agree", key, false},
		{"terminal", func(b *bench) { b.terminal("") }, "connection|add|shop|--agree", key, true},
		{"terminal asked for by dash", func(b *bench) { b.terminal("") }, "connection|add|shop|--agree|--api-key-file|-", key, true},
		{"agreed on the terminal", func(b *bench) { b.terminal("Yes\n") }, "connection|add|shop", key, true},
		{"rotate", func(b *bench) { b.options.Env.(env)["OMNISEND_API_KEY"] = key }, "connection|rotate-key|shop", key, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(t)
			c.prepare(b)
			if c.question {
				b.options.ReadSecret = func(context.Context) (string, error) { return key, nil }
			}
			b.answers(catalogue.Connection{Meta: catalogue.Meta{Name: "shop"}})
			require.Equal(t, 0, b.run(strings.Split(c.line, "|")...), b.err.String())
			require.Equal(t, c.want, b.sealedKey(b.server.requests[0]))
			b.requireNotShown()
		})
	}
}

func TestAPIKeyRefused(t *testing.T) {
	dir := t.TempDir()
	write := func(name, content string) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
		return path
	}
	for _, c := range []struct{ name, file, want string }{
		{"none", "", "there is no API key"},
		{"no file", filepath.Join(dir, "none"), "no such file"},
		{"empty", write("empty", " \n"), "is empty"},
		{"something else", write("else", "two "+key), "not an API key"},
		{"large", write("large", strings.Repeat("x", 70_000)), "too large"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(t)
			line := []string{"connection", "rotate-key", "shop"}
			if c.file != "" {
				line = append(line, "--api-key-file", c.file)
			}
			require.Equal(t, 2, b.run(line...))
			require.Contains(t, b.err.String(), c.want)
			require.Empty(t, b.server.requests)
			b.requireNotShown()
		})
	}
}

func TestAgreement(t *testing.T) {
	b := newBench(t)
	b.options.Env.(env)["OMNISEND_API_KEY"] = key
	require.Equal(t, 2, b.run("connection", "add", "shop"), "nobody can be asked")
	require.Contains(t, b.err.String(), catalogue.TransferStatement)

	for _, answer := range []string{"n\n", "\n", ""} {
		b.terminal(answer)
		require.Equal(t, 2, b.run("connection", "add", "shop"))
		require.Contains(t, b.err.String(), catalogue.TransferStatement)
		require.Contains(t, b.err.String(), "not agreed")
	}
	require.Empty(t, b.server.requests)

	b.terminal("y\n")
	b.answers(catalogue.Connection{})
	require.Equal(t, 0, b.run("connection", "add", "shop", "--brand", "b1", "--share", "0.5", "--calls-per-minute", "0"))
	require.JSONEq(t, `{"name":"shop","brand":"b1","agree":true,"share":0.5,"calls_per_minute":0}`, string(b.server.requests[0].Args))
}

// stuck never answers.
type stuck struct{ asked, end chan struct{} }

func (s stuck) Read([]byte) (int, error) {
	close(s.asked)
	<-s.end
	return 0, io.EOF
}

func TestInterruptedQuestion(t *testing.T) {
	b := newBench(t)
	b.terminal("")
	in := stuck{make(chan struct{}), make(chan struct{})}
	defer close(in.end)
	b.options.In = in
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		<-in.asked
		cancel()
	}()
	require.Equal(t, 130, b.runIn(ctx, "connection", "add", "shop"))
}

func TestRejects(t *testing.T) {
	pages := func() []any {
		return []any{
			finished("completed with rejects"),
			sealedAnswer{protocol.RejectsPage{Rejects: []protocol.Reject{{Segment: "buyers", Row: 7, ID: "C7", Email: `a "b",c@x`, Reason: "email_invalid"}}, More: true, Kept: 2, Total: 3}},
			sealedAnswer{protocol.RejectsPage{Rejects: []protocol.Reject{{ID: "C9", Email: "d@example.com", Reason: "refused", Refused: true}}, Kept: 2, Total: 3}},
		}
	}
	b := newBench(t)
	file := filepath.Join(t.TempDir(), "rejects.csv")
	b.answers(pages()...)
	require.Equal(t, 0, b.run("runs", "rejects", "spring", "--csv", file), b.err.String())
	content, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, "segment,row,id,email,reason,refused,said\nbuyers,7,C7,\"a \"\"b\"\",c@x\",email_invalid,false,\n,,C9,d@example.com,refused,true,\n", string(content))
	info, err := os.Stat(file)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	require.Contains(t, b.err.String(), "only 2 of 3 rejects were kept")
	require.NotContains(t, b.err.String()+b.out.String(), "example.com")
	require.Equal(t, []string{"runs show", "runs rejects", "runs rejects"}, b.names())
	require.Equal(t, protocol.RejectsArgs{RunRef: protocol.RunRef{Run: "run-1"}, Page: 1}, args[protocol.RejectsArgs](b, 2))
	require.NotEqual(t, b.server.requests[1].ReplyTo, b.server.requests[2].ReplyTo, "a key for each answer")

	require.Equal(t, 2, b.run("runs", "rejects", "--csv", file))
	require.Contains(t, b.err.String(), "exists already")
	b.answers(pages()...)
	require.Equal(t, 0, b.run("runs", "rejects", "--csv", file, "--force"))

	b.answers(pages()[:2]...)
	b.server.answers = append(b.server.answers, context.DeadlineExceeded)
	other := filepath.Join(t.TempDir(), "other.csv")
	require.Equal(t, 1, b.run("runs", "rejects", "--csv", other))
	left, err := os.ReadDir(filepath.Dir(other))
	require.NoError(t, err)
	require.Empty(t, left, "no half file")

	b.answers(pages()...)
	require.Equal(t, 0, b.run("runs", "rejects", "-o", "json"))
	require.JSONEq(t, `[{"segment":"buyers","row":7,"id":"C7","email":"a \"b\",c@x","reason":"email_invalid"},{"id":"C9","email":"d@example.com","reason":"refused","refused":true}]`, b.out.String())
	b.answers(pages()...)
	require.Equal(t, 0, b.run("runs", "rejects"))
	require.Contains(t, b.out.String(), "refused by Omnisend")
}
