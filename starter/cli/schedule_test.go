package cli_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/segment-export/segment-export/internal/protocol"
	"github.com/segment-export/segment-export/internal/run"
	"github.com/segment-export/segment-export/internal/schedule"
)

func TestScheduleRequests(t *testing.T) {
	for _, c := range []struct{ line, name, args, summary string }{
		{"schedule|set|spring|--every|mon,thu|--at|06:00,18:00|--tz|Europe/Warsaw", "schedule set",
			`{"export":"spring","calendar":{"every":"mon,thu","at":["06:00","18:00"],"zone":"Europe/Warsaw"}}`, "schedule set spring"},
		{"schedule|set|spring|--cron|30 6 * * mon-fri|--tz|UTC", "schedule set",
			`{"export":"spring","calendar":{"cron":"30 6 * * mon-fri","zone":"UTC"}}`, "schedule set spring"},
		{"schedule|off|spring", "schedule off", `{"export":"spring"}`, "schedule off spring"},
		{"schedule|on|spring", "schedule on", `{"export":"spring"}`, "schedule on spring"},
		{"schedule|follow-refresh|spring", "schedule follow-refresh", `{"export":"spring"}`, "schedule follow-refresh spring"},
		{"refresh|set|--every|day|--at|06:00|--tz|UTC", "refresh set", `{"calendar":{"every":"day","at":["06:00"],"zone":"UTC"}}`, "refresh set"},
		{"refresh|set|--follow|crm", "refresh set", `{"follow":"crm"}`, "refresh set crm"},
		{"refresh|on", "refresh on", "", "refresh on"},
		{"refresh|off", "refresh off", "", "refresh off"},
		{"refresh|show", "refresh show", "", "refresh show"},
		{"refresh|now|--after-source|--limit|1h", "refresh now", `{"after_source":true,"limit":3600000000000}`, "refresh now"},
		{"run|--all|--yes|--detach", "run all", `{"yes":true}`, "run all"},
	} {
		t.Run(c.line, func(t *testing.T) {
			b := newBench(t)
			b.answers(json.RawMessage("{}"))
			require.Equal(t, 0, b.run(strings.Split(c.line, "|")...), b.err.String())
			require.Equal(t, []string{c.name}, b.names())
			require.Equal(t, []string{c.summary}, b.server.summaries)
			if c.args == "" {
				require.Empty(t, b.server.requests[0].Args)
				return
			}
			require.JSONEq(t, c.args, string(b.server.requests[0].Args))
		})
	}
}

func TestScheduleUsage(t *testing.T) {
	for _, c := range []struct{ line, want string }{
		{"schedule|set|spring|--every|day|--at|06:00", "the time zone is missing"},
		{"schedule|set|spring|--every|day|--at|06:00|--tz|Local", `no time zone "Local"`},
		{"schedule|set|spring|--every|daily|--at|06:00", "none of day"},
		{"schedule|set|spring|--tz|UTC", "when is missing"},
		{"schedule|set|spring|--cron|nonsense|--tz|UTC", "five fields"},
		{"refresh|set|--follow|crm|--tz|UTC", "remove --tz"},
		{"refresh|now|--limit|1h", "--after-source"},
		{"run|--all|--limit|3", "for one export"},
		{"run|--all|spring", `use either "spring" or --all`},
	} {
		t.Run(c.line, func(t *testing.T) {
			b := newBench(t)
			require.Equal(t, 2, b.run(strings.Split(c.line, "|")...))
			require.Contains(t, b.err.String(), c.want)
			require.Empty(t, b.server.requests)
		})
	}
}

func TestTheZoneIsAskedForAndTimesAreShownInIt(t *testing.T) {
	b := newBench(t)
	b.terminal("Europe/Warsaw\n")
	b.answers(protocol.ScheduleAnswer{Export: "spring", Starts: "every day at 06:00 (Europe/Warsaw)", Zone: "Europe/Warsaw",
		Next: []time.Time{time.Date(2027, 3, 27, 5, 0, 0, 0, time.UTC), time.Date(2027, 3, 28, 4, 0, 0, 0, time.UTC)}})
	require.Equal(t, 0, b.run("schedule", "set", "spring", "--every", "day", "--at", "06:00"), b.err.String())
	require.Contains(t, b.err.String(), "Time zone")
	require.Equal(t, schedule.Calendar{Every: "day", At: []string{"06:00"}, Zone: "Europe/Warsaw"}, args[protocol.ScheduleSetArgs](b, 0).Calendar)
	require.Contains(t, b.out.String(), "Sat 2027-03-27 06:00 +0100 CET\n  Sun 2027-03-28 06:00 +0200 CEST\n")
}

func TestRunAllReportsEachAndEndsAsTheWorst(t *testing.T) {
	b := newBench(t)
	parked := finished(run.Parked)
	parked.Export = "autumn"
	b.answers(protocol.RunAllAnswer{Exports: []protocol.RunAllStart{
		{Export: "autumn", Run: &started}, {Export: "spring", Run: &started},
		{Export: "winter", Class: protocol.ErrConflict, Reason: "has an open run already"},
	}}, parked, finished(run.Completed))
	require.Equal(t, 4, b.run("run", "--all"), b.err.String())
	require.Regexp(t, `autumn +run-1 +parked`, b.out.String())
	require.Regexp(t, `spring +run-1 +completed`, b.out.String())
	require.Regexp(t, `winter .*has an open run already`, b.out.String())
}
