package cli_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/segment-export/segment-export/internal/protocol"
	"github.com/segment-export/segment-export/internal/run"
	"github.com/segment-export/segment-export/starter/cli"
)

// completions are the values that are offered for the last word.
func (b *bench) completions(words ...string) (values []string) {
	b.t.Helper()
	require.Zero(b.t, b.run(append([]string{"__complete"}, words...)...))
	require.Empty(b.t, b.err.String(), "a completion prints nothing but candidates")
	for line := range strings.Lines(b.out.String()) {
		value, _, tabbed := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		require.True(b.t, tabbed, line)
		values = append(values, value)
	}
	return values
}

func named(names ...string) (all []any) {
	all = []any{}
	for _, n := range names {
		all = append(all, map[string]string{"name": n})
	}
	return all
}

func TestCompletion(t *testing.T) {
	runs := protocol.RunsPage{Runs: []*protocol.RunAnswer{{Report: run.Report{RunID: "0123456789", Export: "spring"}}}}
	for _, c := range []struct {
		words   string // separated by |, the last one is completed
		answers []any
		want    []string // that are among the values
		exactly bool
	}{
		{words: "", want: []string{"source", "connection", "run", "completion"}},
		{words: "conn", want: []string{"connection"}},
		{words: "runs|", want: []string{"list", "show", "retry-rejects"}},
		{words: "run|", answers: []any{named("spring", "Summer sale")}, want: []string{"spring", "Summer sale"}, exactly: true},
		{words: "run|--yes|", answers: []any{named("spring")}, want: []string{"spring"}, exactly: true},
		{words: "run|spring|", exactly: true},
		{words: "run|--", want: []string{"--yes", "--fail-on", "--output", "--help"}},
		{words: "connection|show|", answers: []any{named("Spring shop")}, want: []string{"Spring shop"}, exactly: true},
		{words: "connection|add|", exactly: true},
		{words: "source|test|", answers: []any{named("crm")}, want: []string{"crm"}, exactly: true},
		{words: "export|add|new|--connection|", answers: []any{named("shop")}, want: []string{"shop"}, exactly: true},
		{words: "export|add|new|--source=", answers: []any{named("crm")}, want: []string{"--source=crm"}, exactly: true},
		{words: "export|add|new|--source|=", answers: []any{named("crm")}, want: []string{"crm"}, exactly: true},
		{words: "export|add|new|--source|=|c", answers: []any{named("crm")}, want: []string{"crm"}, exactly: true},
		{words: "schedule|set|", answers: []any{named("spring")}, want: []string{"spring"}, exactly: true},
		{words: "runs|show|", answers: []any{named("spring"), runs}, want: []string{"spring", "01234567"}, exactly: true},
		{words: "runs|list|--status|", want: []string{"completed with rejects", "failed"}},
		{words: "runs|approve|spring|--guard|", want: []string{"shrunk", "opt-outs"}},
		{words: "status|-o|", want: []string{"text", "json", "yaml", "jsonl"}, exactly: true},
		{words: "completion|", want: []string{"bash", "fish", "powershell", "zsh"}, exactly: true},
		{words: "alert|show|", answers: []any{named("ops")}, want: []string{"ops"}, exactly: true},
		{words: "nonsense|", exactly: true},
		{words: "run|", answers: []any{cli.Fail("no worker", "nobody is there")}, exactly: true},
		{words: "run|", answers: []any{named("a\nb", "\x1b[31m", "good")}, want: []string{"good"}, exactly: true},
	} {
		b := newBench(t)
		b.answers(c.answers...)
		got := b.completions(strings.Split(c.words, "|")...)
		if c.exactly {
			require.Equal(t, c.want, got, c.words)
		} else {
			require.Subset(t, got, c.want, c.words)
		}
	}
}

// The script for bash offers what begins with the word, and escapes spaces.
func TestBashCompletion(t *testing.T) {
	b := newBench(t)
	require.Zero(t, b.run("completion", "bash"))
	dir := t.TempDir()
	script := filepath.Join(dir, "script")
	require.NoError(t, os.WriteFile(script, b.out.Bytes(), 0o600))
	// The words that the program got, for the test to see, and its answer.
	program := filepath.Join(dir, "starter")
	require.NoError(t, os.WriteFile(program, []byte("#!/bin/sh\nprintf '<%s>' \"$@\" >'"+dir+"/got'\nprintf 'spring\\t\\nSpring shop\\tabout it\\nsummer\\t\\n'\n"), 0o700))
	for line, want := range map[string]string{
		"COMP_WORDS=(starter run S) COMP_CWORD=2; _starter_completion PROGRAM S":              `[Spring\ shop]`,
		"COMP_WORDS=(starter run \\\"Sp) COMP_CWORD=2; _starter_completion PROGRAM Sp":        "[Spring shop]",
		"COMP_WORDS=(starter run '') COMP_CWORD=2; _starter_completion PROGRAM ''":            `[spring][Spring\ shop][summer]`,
		"COMP_WORDS=(starter connection show x) COMP_CWORD=3; _starter_completion PROGRAM zz": "[]",
	} {
		var out bytes.Buffer
		command := exec.CommandContext(t.Context(), "bash", "-c", "source "+script+"; "+strings.ReplaceAll(line, "PROGRAM", program)+`; printf '[%s]' "${COMPREPLY[@]}"`)
		command.Stdout, command.Stderr = &out, &out
		require.NoError(t, command.Run(), out.String())
		require.Equal(t, want, out.String(), line)
	}
	require.Equal(t, 2, b.run("completion", "tcsh"))
	require.Contains(t, b.err.String(), "the shells are bash, fish, powershell, zsh")
}

func TestManualHasEveryCommand(t *testing.T) {
	b := newBench(t)
	require.Zero(t, b.run("man"))
	for _, part := range []string{".SH NAME", `.SS starter connection rotate-key`, "TEMPORAL_TLS_*", `rejects>1%`} {
		require.True(t, strings.Contains(b.out.String(), part), part)
	}
}
