package cli

import (
	"bytes"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/segment-export/segment-export/internal/reason"

	"github.com/stretchr/testify/require"

	"github.com/segment-export/segment-export/internal/protocol"
	"github.com/segment-export/segment-export/internal/run"
)

// stage shows progress to a display at chosen times.
type stage struct {
	now time.Time
	out bytes.Buffer
}

func newStage() *stage { return &stage{now: time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC)} }

func (s *stage) lines() *lineDisplay {
	return &lineDisplay{out: &s.out, zone: time.UTC, now: func() time.Time { return s.now }}
}

func delivering(sent int) *protocol.Progress {
	p := &protocol.Progress{Sent: sent}
	p.RunID, p.Status, p.Phase, p.ToSend, p.Read, p.Invalid, p.Calls = "run-1", run.Running, run.PhaseDeliver, 10_000, 10_000, 57, sent/100
	return p
}

func status(p *protocol.Progress, s run.Status, why reason.Text) *protocol.Progress {
	p.Status, p.Reason = s, why
	return p
}

func TestLines(t *testing.T) {
	s := newStage()
	d := s.lines()
	collect := delivering(0)
	collect.Phase, collect.Read = run.PhaseCollect, 1
	d.update(status(&protocol.Progress{}, run.Running, ""))
	d.update(collect)
	for i := range 25 { // one a second, told every ten
		d.update(delivering(i * 100))
		s.now = s.now.Add(time.Second)
	}
	d.update(status(delivering(2500), run.Paused, ""))
	d.update(status(delivering(2500), run.Paused, ""))
	d.update(status(delivering(2500), run.Running, ""))
	d.update(status(delivering(2500), run.Parked, "the key \x1b[2Jis refused"))
	last := delivering(10_000)
	last.Pending = 200
	s.now = s.now.Add(10 * time.Second)
	d.update(last)
	require.Equal(t, `09:00:00  collect: profiles read 1, 57 rejects
09:00:00  deliver: profiles sent 0/10,000, 0 calls, 57 rejects
09:00:10  deliver: profiles sent 1,000/10,000, 100/s, 1 min 30 s left, 10 calls, 57 rejects
09:00:20  deliver: profiles sent 2,000/10,000, 100/s, 1 min 20 s left, 20 calls, 57 rejects
09:00:25  paused by an operator; resume it: starter runs resume run-1
09:00:25  running again
09:00:25  parked: the key `+"\uFFFD"+`[2Jis refused
09:00:35  running again
09:00:35  deliver: profiles sent 10,000/10,000, 200 verdicts to come, 100 calls, 57 rejects
`, s.out.String())
}

func TestBar(t *testing.T) {
	for _, width := range []int{20, 60, 80, 120, 300} {
		s := newStage()
		b := &barDisplay{lines: s.lines(), width: func() int { return width }}
		collect := delivering(0)
		collect.Phase, collect.Read = run.PhaseCollect, 10_000
		b.update(collect)
		for _, sent := range []int{0, 2_000, 10_000} {
			s.now = s.now.Add(2 * time.Second)
			b.update(delivering(sent))
		}
		b.update(status(delivering(10_000), run.Paused, ""))
		b.say("aside")
		b.stop()
		text := s.out.String()
		require.Contains(t, text, "collect: profiles read 10,000, 57 rejects\n")
		require.Contains(t, text, "100%")
		require.NotContains(t, text, "\x1b", "a plain carriage return does")
		for _, line := range strings.FieldsFunc(text, func(r rune) bool { return r == '\r' || r == '\n' }) {
			if strings.Contains(line, "%") && width >= 60 {
				require.Less(t, utf8.RuneCountInString(line), width, line)
			}
		}
		if width >= 120 {
			require.Contains(t, text, "profiles sent 2,000/10,000, 1,000/s, 8 s left, 20 calls, 57 rejects")
		}
	}
}

func TestRate(t *testing.T) {
	var m meter
	at := time.Unix(0, 0)
	require.Zero(t, m.rate(at, run.PhaseDeliver, 5_000), "what was sent before it is watched says nothing")
	require.InDelta(t, 100, m.rate(at.Add(10*time.Second), run.PhaseDeliver, 6_000), 0.1)
	for i := range 60 {
		m.rate(at.Add(time.Duration(20+i)*time.Second), run.PhaseDeliver, 6_000)
	}
	require.Zero(t, m.rate(at.Add(80*time.Second), run.PhaseDeliver, 6_000), "it stands")
	require.Zero(t, m.rate(at.Add(90*time.Second), run.PhaseLeavers, 10))
}

func TestDuration(t *testing.T) {
	for d, want := range map[time.Duration]string{
		300 * time.Millisecond: "under 1 s", 59 * time.Second: "59 s", 60 * time.Second: "1 min 0 s",
		3599600 * time.Millisecond: "1 h 0 min", 26*time.Hour + 3*time.Minute: "26 h 3 min",
	} {
		require.Equal(t, want, duration(d))
	}
}

// A run that waits says for what: once, though the wait comes and goes
// with each try, and again when it is long.
func TestWaitsAreTold(t *testing.T) {
	for name, make := range map[string]func(*stage) display{
		"lines": func(s *stage) display { return s.lines() },
		"bar":   func(s *stage) display { return &barDisplay{lines: s.lines(), width: func() int { return 80 }} },
	} {
		s := newStage()
		d := make(s)
		const silent = `source "crm": it did not answer within 40s; it is tried again`
		preflight := func(why reason.Text) *protocol.Progress {
			p := &protocol.Progress{}
			p.Phase = run.PhasePreflight
			return status(p, run.Running, why)
		}
		for range 8 {
			d.update(preflight(""))
			s.now = s.now.Add(time.Minute)
			d.update(preflight(silent))
		}
		d.update(preflight(`source "crm": Customer Insights is refreshing the segment`))
		s.now = s.now.Add(5 * time.Minute)
		d.update(preflight(silent))
		s.now = s.now.Add(waitAgain)
		d.update(preflight(silent))
		var told []string
		for _, line := range strings.FieldsFunc(s.out.String(), func(r rune) bool { return r == '\n' || r == '\r' }) {
			if strings.Contains(line, "waiting") {
				told = append(told, line)
			}
		}
		require.Equal(t, []string{"09:01:00  waiting: " + silent, `09:08:00  waiting: source "crm": Customer Insights is refreshing the segment`,
			"09:13:00  waiting: " + silent, "09:23:00  waiting: " + silent}, told, name)
	}
}
