package cli_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/segment-export/segment-export/internal/protocol"
	"github.com/segment-export/segment-export/internal/run"
)

func TestStatusTellsTheWhole(t *testing.T) {
	b := newBench(t)
	now := b.clock.Now()
	last := finished(run.CompletedWithRejects)
	b.answers(protocol.StatusAnswer{
		At:      now,
		Workers: []protocol.WorkerStatus{{Identity: "7@one", LastSeen: now.Add(-3 * time.Second), Build: "v2"}, {Identity: "8@two", LastSeen: now}},
		Backlog: protocol.BacklogStatus{Tasks: 1, Age: 4 * time.Second},
		Budgets: []protocol.BudgetStatus{{Connection: "shop", Used: 120, Limit: 300, Paused: 20 * time.Second}, {Connection: "local"}},
		Exports: []protocol.ExportStatus{{Export: "spring", Last: &last, LastSuccess: *last.EndedAt}, {Export: "new"}},
		Next:    []protocol.ScheduleStatus{{Schedule: "schedule/spring", Next: now.Add(time.Hour), Lag: 2 * time.Minute}},
		Attend: []protocol.AttendStatus{{Export: "autumn", RunID: "r9", Status: run.Parked, Reason: "guard shrunk: fewer",
			Action: "continue with: starter runs approve r9 --guard shrunk"},
			{Connection: "shop", Reason: "stopped by ann", Action: "start it"},
			{Alert: "ops", Reason: "2 messages are not delivered", Action: "test it"}},
		Problems: []string{"something"},
	})
	require.Zero(t, b.run("status"), b.err.String())
	want := `2 workers are running, 1 task is waiting, the oldest for 4 s
  7@one, seen 3 s ago, build v2
  8@two, seen under 1 s ago
Unknown: something

CONNECTION  CALLS IN 60 S         LIMIT  PAUSED FOR
shop                  120  300 a minute  20 s
local                   0          none

EXPORT  NOW  LAST RUN                                         LAST SUCCESS
spring       completed with rejects, 2026-11-24 09:01Z  2026-11-24 09:01Z
new          never

SCHEDULE         NEXT START
schedule/spring  2026-11-24 10:00Z  2 min 0 s late

3 things need your attention:
  autumn is parked: guard shrunk: fewer
    continue with: starter runs approve r9 --guard shrunk
  Connection shop: stopped by ann
    start it
  Alert ops: 2 messages are not delivered
    test it
`
	squeeze := func(s string) string { return strings.Join(strings.Fields(s), " ") }
	require.Equal(t, squeeze(want), squeeze(b.out.String()))

	b.answers(protocol.StatusAnswer{At: now})
	require.Zero(t, b.run("status"))
	require.Contains(t, b.out.String(), "0 workers are running, no task is waiting")
	require.Contains(t, b.out.String(), "Nothing needs your attention")
}
