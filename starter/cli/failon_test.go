package cli_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/segment-export/segment-export/internal/protocol"
	"github.com/segment-export/segment-export/internal/run"
)

// The run under test has read 1,200 rows: 40 are invalid, 5 were refused.
func TestFailOn(t *testing.T) {
	before := func(invalid, refused int, reasons map[string]int) *protocol.RunAnswer {
		a := finished(run.CompletedWithRejects)
		a.RunID, a.Invalid, a.Refused, a.Reasons = "run-0", invalid, refused, reasons
		return &a
	}
	same := before(40, 5, map[string]int{"email_invalid": 40, "refused": 5})
	for _, c := range []struct {
		name   string
		rule   string
		env    string
		before *protocol.RunAnswer
		code   int
	}{
		{name: "the first run", code: 3},
		{name: "the same rejects as before", before: same, code: 0},
		{name: "fewer than before", before: before(60, 5, map[string]int{"email_invalid": 60, "refused": 5}), code: 0},
		{name: "more than before", before: before(39, 5, map[string]int{"email_invalid": 39, "refused": 5}), code: 3},
		{name: "as many, for another reason", before: before(40, 5, map[string]int{"email_missing": 40, "refused": 5}), code: 3},
		{name: "none before", before: before(0, 0, nil), code: 3},
		{name: "any", rule: "rejects", before: same, code: 3},
		{name: "the count is the limit", rule: "rejects>45", code: 0},
		{name: "above the count", rule: "rejects>44", code: 3},
		{name: "below the percentage", rule: "rejects>3.75%", code: 0},
		{name: "above the percentage", rule: "rejects > 3.7 %", code: 3},
		{name: "never", rule: "never", code: 0},
		{name: "from the environment", env: "never", code: 0},
		{name: "the option before the environment", rule: "rejects", env: "never", code: 3},
		{name: "not a rule", rule: "rejected", code: 2},
		{name: "not a limit", rule: "rejects>many", code: 2},
		{name: "a limit where there is none", rule: "new-rejects>5", code: 2},
		{name: "not a number", rule: "rejects>NaN", code: 2},
		{name: "more than all", rule: "rejects>101%", code: 2},
		{name: "not a rule in the environment", env: "often", code: 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(t)
			if c.env != "" {
				b.options.Env.(env)["SEGMENT_EXPORT_FAIL_ON"] = c.env
			}
			b.script(nil)
			ended := finished(run.CompletedWithRejects)
			if c.before != nil {
				ended.Difference = &protocol.RunDifference{Run: c.before.RunID}
			}
			b.answers(started, ended, c.before)
			words := []string{"run", "spring", "--yes"}
			if c.rule != "" {
				words = append(words, "--fail-on", c.rule)
			}
			require.Equal(t, c.code, b.run(words...), b.err.String())
			if c.code == 2 {
				require.Empty(t, b.names(), "no run starts when it is not known how it should end")
				require.Contains(t, b.err.String(), "is not new-rejects, rejects, rejects>N, rejects>N% or never")
			} else {
				require.Contains(t, b.out.String(), "email_invalid", "the report has them in each case")
			}
		})
	}
}

func TestFailOnIsOnlyAboutRejects(t *testing.T) {
	for status, code := range map[run.Status]int{run.Failed: 1, run.Parked: 4, run.Skipped: 6, run.Completed: 0} {
		b := newBench(t)
		b.script(nil)
		b.answers(started, finished(status))
		require.Equal(t, code, b.run("run", "spring", "--fail-on", "never"))
	}
}
