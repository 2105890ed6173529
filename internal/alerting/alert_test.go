package alerting

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/segment-export/segment-export/internal/catalogue"
	"github.com/segment-export/segment-export/internal/run"
)

var start = time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC)

func all(late time.Duration) *catalogue.Alert {
	return &catalogue.Alert{Meta: catalogue.Meta{Name: "ops"}, On: catalogue.Conditions, Rejects: 0.05, Late: late}
}

func facts(open, last *run.Report) Facts {
	f := Facts{Export: "spring", Now: start, CreatedAt: start.Add(-time.Hour), Open: open, Last: last}
	if last != nil && last.Status.Complete() {
		f.LastSuccess = start
	}
	return f
}

func TestConditions(t *testing.T) {
	for name, c := range map[string]struct {
		facts Facts
		want  []catalogue.Condition
	}{
		"nothing has run":      {facts: facts(nil, nil)},
		"a run is open":        {facts: facts(&run.Report{Status: run.Running}, nil)},
		"parked":               {facts: facts(&run.Report{Status: run.Parked}, nil), want: []catalogue.Condition{catalogue.ConditionParked}},
		"failed":               {facts: facts(nil, &run.Report{Status: run.Failed}), want: []catalogue.Condition{catalogue.ConditionFailed}},
		"expired":              {facts: facts(nil, &run.Report{Status: run.Expired}), want: []catalogue.Condition{catalogue.ConditionFailed}},
		"skipped":              {facts: facts(nil, &run.Report{Status: run.Skipped}), want: []catalogue.Condition{catalogue.ConditionSkipped}},
		"canceled is no alarm": {facts: facts(nil, &run.Report{Status: run.Canceled})},
		"a few rejects":        {facts: facts(nil, &run.Report{Status: run.CompletedWithRejects, Read: 100, Invalid: 3, Refused: 2})},
		"many rejects": {facts: facts(nil, &run.Report{Status: run.CompletedWithRejects, Read: 100, Invalid: 4, Refused: 2}),
			want: []catalogue.Condition{catalogue.ConditionRejects}},
		"no rows": {facts: facts(nil, &run.Report{Status: run.Completed}), want: []catalogue.Condition{catalogue.ConditionZero}},
		"failed and parked since": {facts: facts(&run.Report{Status: run.Parked}, &run.Report{Status: run.Failed}),
			want: []catalogue.Condition{catalogue.ConditionFailed, catalogue.ConditionParked}},
	} {
		t.Run(name, func(t *testing.T) {
			var got []catalogue.Condition
			for _, x := range Find(all(0), c.facts) {
				got = append(got, x.Condition)
			}
			require.Equal(t, c.want, got)
		})
	}
	only := all(0)
	only.On = []catalogue.Condition{catalogue.ConditionParked}
	require.Empty(t, Find(only, facts(nil, &run.Report{Status: run.Failed})), "nobody asked")
}

func TestLate(t *testing.T) {
	f := facts(nil, nil)
	f.Now = f.CreatedAt.Add(26 * time.Hour)
	require.Empty(t, Find(all(26*time.Hour), f), "not longer than the limit")
	f.Now = f.Now.Add(time.Second)
	require.Contains(t, Find(all(26*time.Hour), f)[0].Reason, "never completed")
	f.LastSuccess = f.Now.Add(-time.Hour)
	require.Empty(t, Find(all(26*time.Hour), f))
	require.Empty(t, Find(all(0), f))
}

// People hear when a condition starts and when it ends, and not of every run in
// between.
func TestOnlyChangesAreTold(t *testing.T) {
	var s State
	a := all(0)
	ended := start
	ok := &run.Report{RunID: "r0", Status: run.Completed, Read: 10, EndedAt: &ended}
	failed := &run.Report{RunID: "r1", Status: run.Failed, Reason: "no such column", Action: "put it right"}
	s, n := s.Step(a, facts(nil, ok))
	require.Nil(t, n)
	s, n = s.Step(a, facts(nil, failed))
	require.Equal(t, "Segment export: spring failed", n.Subject())
	require.Equal(t, "spring failed: no such column\n  put it right\nLast run r1: failed; read 0, contacts 0, new 0, changed 0, unchanged 0, invalid 0, refused 0, unsent 0\n", n.Text())
	require.EqualValues(t, 1, n.Seq)
	for range 3 {
		s, n = s.Step(a, facts(nil, failed))
		require.Nil(t, n, "told already")
	}
	s, n = s.Step(a, facts(&run.Report{RunID: "r2", Status: run.Parked, Reason: "guard shrunk"}, failed))
	require.Equal(t, "Segment export: spring waits for an operator", n.Subject())
	require.Contains(t, n.Text(), "see: starter runs show r2")
	require.Contains(t, n.Text(), "Still: spring failed, since 2026-11-24 09:00:00 UTC.")
	s, n = s.Step(a, facts(nil, ok))
	require.Equal(t, "Segment export: spring runs end well again, no longer waits for an operator", n.Subject())
	require.Empty(t, s.Active)
	require.EqualValues(t, 3, n.Seq)
	_, n = s.Step(a, facts(nil, ok))
	require.Nil(t, n)
	require.Contains(t, (&Notice{Alert: "ops", Test: true}).Subject(), "a test of the alert ops")
}

// Each condition is reported once when it starts and once when it ends,
// however often it is looked at in between.
func TestEachConditionIsToldOnceAndItsEndOnce(t *testing.T) {
	well := facts(nil, &run.Report{RunID: "r0", Status: run.Completed, Read: 100})
	late := well
	late.Now = well.Now.Add(27 * time.Hour)
	for condition, f := range map[catalogue.Condition]Facts{
		catalogue.ConditionFailed:  facts(nil, &run.Report{RunID: "r1", Status: run.Failed}),
		catalogue.ConditionParked:  facts(&run.Report{RunID: "r1", Status: run.Parked}, well.Last),
		catalogue.ConditionSkipped: facts(nil, &run.Report{RunID: "r1", Status: run.Skipped}),
		catalogue.ConditionRejects: facts(nil, &run.Report{RunID: "r1", Status: run.CompletedWithRejects, Read: 100, Refused: 50}),
		catalogue.ConditionZero:    facts(nil, &run.Report{RunID: "r1", Status: run.Completed}),
		catalogue.ConditionLate:    late,
	} {
		t.Run(string(condition), func(t *testing.T) {
			a := all(26 * time.Hour)
			f.LastSuccess = well.LastSuccess
			s, n := State{}.Step(a, well)
			require.Nil(t, n)
			s, n = s.Step(a, f)
			require.NotNil(t, n)
			require.Len(t, n.Began, 1)
			require.Equal(t, condition, n.Began[0].Condition)
			s, n = s.Step(a, f)
			require.Nil(t, n, "told already")
			s, n = s.Step(a, well)
			require.NotNil(t, n)
			require.Empty(t, n.Began)
			require.Len(t, n.Over, 1)
			_, n = s.Step(a, well)
			require.Nil(t, n)
		})
	}
}
