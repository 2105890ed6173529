package cli

import (
	"context"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/segment-export/segment-export/internal/protocol"
	"github.com/segment-export/segment-export/internal/run"
)

// failOnVariable holds the default of --fail-on, for scripts that set it once.
const failOnVariable = "SEGMENT_EXPORT_FAIL_ON"

// The rules of --fail-on. failOnRejects may be followed by a limit.
const (
	failOnNew     = "new-rejects"
	failOnRejects = "rejects"
	failOnNever   = "never"
)

const failOnHelp = `A run with rejects exits with 3 when --fail-on says so:
  new-rejects   a reason has more rejects than in the complete run before, or there is no run before (the default)
  rejects       there is any reject
  rejects>10    there are more than 10 rejects
  rejects>1%    more than 1 % of the rows that were read are rejects
  never         rejects do not matter
` + failOnVariable + ` sets another default. The report counts all rejects in each case.`

func failOnFlag() cli.Flag {
	return &cli.StringFlag{Name: "fail-on", Usage: "exit with 3 by this `RULE`: new-rejects, rejects, rejects>10, rejects>1%, or never", DefaultText: failOnNew}
}

// failOn is a rule that says with which rejects a complete run exits with 3.
type failOn struct {
	rule    string
	most    float64 // of failOnRejects
	percent bool    // most is of the rows read, in percent
}

// failOn reads the rule of a command line, or of the environment.
func (s *session) failOn(c *cli.Context) (failOn, error) {
	text, from := s.o.env(failOnVariable), failOnVariable
	if c.IsSet("fail-on") {
		text, from = c.String("fail-on"), "--fail-on"
	}
	if text == "" {
		text = failOnNew
	}
	f, ok := parseFailOn(text)
	if !ok {
		return f, usage("%s %q is not new-rejects, rejects, rejects>N, rejects>N%% or never", from, text)
	}
	return f, nil
}

func parseFailOn(text string) (failOn, bool) {
	text = strings.ReplaceAll(text, " ", "")
	rule, limit, limited := strings.Cut(text, ">")
	f := failOn{rule: rule}
	switch {
	case rule != failOnNew && rule != failOnRejects && rule != failOnNever, limited && rule != failOnRejects:
		return f, false
	case !limited:
		return f, true
	}
	limit, f.percent = strings.CutSuffix(limit, "%")
	var err error
	f.most, err = strconv.ParseFloat(limit, 64)
	return f, err == nil && f.most >= 0 && (!f.percent || f.most <= 100)
}

// exceeded says whether a run has more rejects than the rule allows. before is
// the complete run before it, nil when there is none.
func (f failOn) exceeded(r, before *run.Report) bool {
	rejects := float64(r.Invalid + r.Refused)
	switch {
	case f.rule == failOnNever:
		return false
	case f.rule == failOnRejects && f.percent:
		return 100*rejects > f.most*float64(r.Read)
	case f.rule == failOnRejects:
		return rejects > f.most
	case before == nil:
		return rejects > 0
	}
	for reason, n := range r.Reasons {
		if n > before.Reasons[reason] {
			return true
		}
	}
	return r.Invalid > before.Invalid || r.Refused > before.Refused
}

// runCode is the exit code of having waited for a run.
func (s *session) runCode(ctx context.Context, a *protocol.RunAnswer, f failOn) int {
	if a.Status != run.CompletedWithRejects {
		return statusCode(a.Status)
	}
	var before *run.Report
	if f.rule == failOnNew && a.Difference != nil {
		earlier, err := answer[protocol.RunAnswer](ctx, s, order{name: protocol.RunsShow, args: protocol.RunRef{Run: a.Difference.Run}})
		if err != nil {
			s.say("the rejects cannot be compared with those of run %s: %v", a.Difference.Run, err)
			return exitRejects
		}
		before = &earlier.Report
	}
	if f.exceeded(&a.Report, before) {
		return exitRejects
	}
	return exitDone
}
