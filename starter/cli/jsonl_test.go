package cli_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/segment-export/segment-export/internal/protocol"
	"github.com/segment-export/segment-export/internal/run"
	"github.com/segment-export/segment-export/starter/cli"
)

// events reads what --output jsonl wrote: the names of the events, and the lines.
func (b *bench) events() (names []string, lines []map[string]json.RawMessage) {
	b.t.Helper()
	for line := range strings.Lines(b.out.String()) {
		var e map[string]json.RawMessage
		require.NoError(b.t, json.Unmarshal([]byte(line), &e), line)
		var name string
		require.NoError(b.t, json.Unmarshal(e["event"], &name))
		require.Contains(b.t, e, "at")
		names, lines = append(names, name), append(lines, e)
	}
	return names, lines
}

func TestEachChangeIsALine(t *testing.T) {
	b := newBench(t)
	collecting, delivering := at(run.Running, run.PhaseCollect), at(run.Running, run.PhaseDeliver)
	b.script(collecting, collecting, collecting, delivering, nil)
	b.answers(started, finished(run.Completed))
	require.Equal(t, 0, b.run("run", "spring", "-o", "jsonl"), b.err.String())
	names, lines := b.events()
	require.Equal(t, []string{"started", "progress", "progress", "report"}, names, "what stays the same is not repeated")
	require.JSONEq(t, `{"run_id":"run-1","workflow_id":"export/spring"}`, string(lines[0]["started"]))
	var report protocol.RunAnswer
	require.NoError(t, json.Unmarshal(lines[3]["report"], &report))
	require.Equal(t, finished(run.Completed), report)
	require.NotContains(t, b.err.String(), "profiles", "progress is in the lines")
}

func TestFailuresAreLinesToo(t *testing.T) {
	b := newBench(t)
	b.answers(cli.Fail(protocol.ErrNotFound, "there is no export"))
	require.Equal(t, 1, b.run("run", "spring", "-o", "jsonl"))
	names, lines := b.events()
	require.Equal(t, []string{"error"}, names)
	require.JSONEq(t, `{"class":"not found","message":"there is no export"}`, string(lines[0]["error"]))
}

func TestAllRunsInOneStream(t *testing.T) {
	b := newBench(t)
	b.script(nil)
	b.answers(protocol.RunAllAnswer{Exports: []protocol.RunAllStart{
		{Export: "spring", Run: &started}, {Export: "summer", Class: protocol.ErrConflict, Reason: "a run is open"},
	}}, finished(run.Completed))
	require.Equal(t, 6, b.run("run", "--all", "-o", "jsonl"), b.err.String())
	names, _ := b.events()
	require.Equal(t, []string{"started", "report", "not_started"}, names)
}

func TestOnlyFollowedRunsAreStreams(t *testing.T) {
	b := newBench(t)
	require.Equal(t, 2, b.run("status", "-o", "jsonl"))
	require.Contains(t, b.err.String(), "is for commands that wait for a run")

	b.answers(started)
	require.Equal(t, 0, b.run("run", "spring", "--detach", "-o", "jsonl"))
	names, _ := b.events()
	require.Equal(t, []string{"started"}, names)
}
