package cli

import (
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/segment-export/segment-export/internal/reason"

	"github.com/schollz/progressbar/v3"

	"github.com/segment-export/segment-export/internal/protocol"
	"github.com/segment-export/segment-export/internal/run"
)

const (
	// lineEvery is the least time between two lines that only tell numbers.
	lineEvery = 10 * time.Second
	// rateOver is the time that a rate is measured over.
	rateOver = 30 * time.Second
)

// display shows the progress of a run, on the side.
type display interface {
	update(p *protocol.Progress)
	say(line string) // something besides the progress
	stop()           // leaves the terminal in order; update may follow
}

func (s *session) newDisplay() display {
	l := &lineDisplay{out: s.o.Err, zone: s.o.Zone, now: s.o.Now}
	switch {
	case s.format == formatJSONL:
		return &jsonlDisplay{quietDisplay: &quietDisplay{l}, s: s}
	case s.quiet:
		return &quietDisplay{l}
	case s.o.ErrTerminal:
		return &barDisplay{lines: l, width: s.o.Width}
	}
	return l
}

// meter measures how many a second.
type meter struct {
	phase   run.Phase
	samples []sample
}

type sample struct {
	at time.Time
	n  int
}

// rate takes a count in and returns the rate over the last while; 0 when it is
// not known yet.
func (m *meter) rate(now time.Time, phase run.Phase, n int) float64 {
	if phase != m.phase {
		m.phase, m.samples = phase, nil
	}
	m.samples = append(m.samples, sample{now, n})
	for len(m.samples) > 2 && now.Sub(m.samples[0].at) > rateOver {
		m.samples = m.samples[1:]
	}
	seconds := now.Sub(m.samples[0].at).Seconds()
	if seconds < 1 {
		return 0
	}
	return max(0, float64(n-m.samples[0].n)/seconds)
}

// state is a run's progress in the words of its phase.
type state struct {
	done, total int    // total 0 when it is not known
	unit        string // of both
	more        []string
}

// stateOf tells how far a phase is, or was: its numbers stay in the report.
func stateOf(phase run.Phase, p *protocol.Progress) state {
	rejects := plural(p.Invalid+p.Refused, "reject", "rejects")
	switch phase {
	case run.PhaseCollect:
		return state{done: p.Read, unit: "profiles read", more: []string{rejects}}
	case run.PhaseDeliver:
		st := state{done: p.Sent, total: p.ToSend, unit: "profiles sent", more: []string{plural(p.Calls, "call", "calls"), rejects}}
		if p.Sent >= p.ToSend && p.Pending > 0 {
			st.more = append([]string{plural(p.Pending, "verdict", "verdicts") + " to come"}, st.more...)
		}
		return st
	case run.PhaseLeavers:
		return state{done: p.Leavers, total: p.LeaversDue, unit: "markers cleared", more: []string{plural(p.Calls, "call", "calls"), rejects}}
	}
	return state{}
}

// words are the parts of a line, the most important first.
func (st state) words(rate float64) []string {
	if st.unit == "" {
		return nil
	}
	amount := st.unit + " " + count(st.done)
	if st.total > 0 {
		amount += "/" + count(st.total)
	}
	words := []string{amount}
	if rate > 0 && (st.total == 0 || st.done < st.total) {
		words = append(words, count(int(rate+0.5))+"/s")
		if st.total > 0 {
			left := time.Duration(float64(st.total-st.done) / rate * float64(time.Second))
			words = append(words, duration(left)+" left")
		}
	}
	return append(words, st.more...)
}

// duration is a time span as people say it, to the second.
func duration(d time.Duration) string {
	if d < time.Second {
		return "under 1 s"
	}
	d = d.Round(time.Second)
	h, m, s := int(d.Hours()), int(d.Minutes())%60, int(d.Seconds())%60
	switch {
	case h > 0:
		return fmt.Sprintf("%d h %d min", h, m)
	case m > 0:
		return fmt.Sprintf("%d min %d s", m, s)
	}
	return fmt.Sprintf("%d s", s)
}

// statusLine says what a status other than running means; empty for running.
func statusLine(p *protocol.Progress) string {
	switch p.Status {
	case run.Queued:
		return "queued: " + or(string(p.Reason), "waiting for another run on the same brand to finish")
	case run.Paused:
		return "paused by an operator; resume it: starter runs resume " + p.RunID
	case run.Parked:
		return string("parked: " + p.Reason)
	case run.Canceling:
		return "canceling: nothing more is sent; what was sent gets its verdicts"
	}
	return ""
}

// waitAgain is the time after which a wait that lasts is reported again.
const waitAgain = 10 * time.Minute

// waits knows what was reported of a run that waits, for instance for a source
// that does not answer. Such a wait comes and goes with each try.
type waits struct {
	said reason.Text
	at   time.Time
}

// news is what to report of the wait, if anything.
func (w *waits) news(now time.Time, p *protocol.Progress) string {
	if p.Status != run.Running && p.Status != run.Canceling || p.Reason == "" || p.Reason == w.said && now.Sub(w.at) < waitAgain {
		return ""
	}
	w.said, w.at = p.Reason, now
	return string("waiting: " + p.Reason)
}

// lineDisplay writes plain lines, for logs.
type lineDisplay struct {
	waits  waits
	out    io.Writer
	zone   *time.Location
	now    func() time.Time
	meter  meter
	phase  run.Phase
	status run.Status
	last   time.Time
}

func (l *lineDisplay) update(p *protocol.Progress) {
	now := l.now()
	st := stateOf(p.Phase, p)
	rate := l.meter.rate(now, p.Phase, st.done)
	changed := p.Phase != l.phase
	if p.Status != l.status {
		if text := statusLine(p); text != "" {
			l.say(text)
		} else if l.status != "" && p.Status == run.Running {
			l.say("running again")
		}
		l.status = p.Status
	}
	if text := l.waits.news(now, p); text != "" {
		defer l.say(text)
	}
	if p.Status != run.Running || !changed && (st.unit == "" || now.Sub(l.last) < lineEvery) {
		return
	}
	l.phase, l.last = p.Phase, now
	text := string(p.Phase)
	if words := st.words(rate); len(words) > 0 {
		text += ": " + strings.Join(words, ", ")
	}
	l.say(text)
}

func (l *lineDisplay) say(line string) {
	fmt.Fprintf(l.out, "%s  %s\n", l.now().In(l.zone).Format(time.TimeOnly), clean(line))
}

func (l *lineDisplay) stop() {}

// quietDisplay says only what needs a person.
type quietDisplay struct{ lines *lineDisplay }

func (q *quietDisplay) update(*protocol.Progress) {}
func (q *quietDisplay) say(line string)           { q.lines.say(line) }
func (q *quietDisplay) stop()                     {}

// barDisplay draws a bar for each phase on a terminal.
type barDisplay struct {
	lines  *lineDisplay
	width  func() int
	drawn  int // columns of the line that stands on the terminal
	phase  run.Phase
	status run.Status
	meter  meter
}

// leastBar is the number of columns that a bar needs to say anything.
const leastBar = 5

func (b *barDisplay) update(p *protocol.Progress) {
	if p.Phase != b.phase && b.phase != "" {
		b.endPhase(p)
	}
	if p.Status != b.status {
		if text := statusLine(p); text != "" && p.Status != run.Parked {
			b.say(text)
		}
		b.status = p.Status
	}
	if text := b.lines.waits.news(b.lines.now(), p); text != "" {
		b.say(text)
	}
	st := stateOf(p.Phase, p)
	rate := b.meter.rate(b.lines.now(), p.Phase, st.done)
	b.phase = p.Phase
	if p.Status != run.Running {
		b.clear()
		return
	}
	// The bar gives way to the words, and the last words to the bar.
	const percent = len(" 100% ||  ")
	room := b.width() - percent - leastBar
	text := string(p.Phase)
	for i, w := range st.words(rate) {
		if i == 0 {
			text = w
		} else if len(text)+len(w)+2 <= room {
			text += ", " + w
		}
	}
	b.draw(drawBar(st, text, min(40, leastBar+max(0, room-len(text)))))
}

// drawBar is the line with a bar; where there is no total, without one.
func drawBar(st state, text string, width int) string {
	if st.total == 0 {
		return text + " …"
	}
	bar := progressbar.NewOptions64(int64(st.total),
		progressbar.OptionSetWriter(io.Discard), // the line is written by draw
		progressbar.OptionSetDescription(text),
		progressbar.OptionSetWidth(width),
		// Rate and time left are measured over the last while, which a bar that
		// starts with a run half done cannot.
		progressbar.OptionSetPredictTime(false),
		progressbar.OptionSetElapsedTime(false),
		progressbar.OptionSetRenderBlankState(true),
	)
	_ = bar.Set64(min(int64(st.done), int64(st.total)))
	return strings.Trim(bar.String(), "\r\n ")
}

// draw puts a line in the place of the one before.
func (b *barDisplay) draw(line string) {
	n := utf8.RuneCountInString(line)
	fmt.Fprintf(b.lines.out, "\r%s%s", line, strings.Repeat(" ", max(0, b.drawn-n)))
	b.drawn = n
}

// clear takes the line off the terminal.
func (b *barDisplay) clear() {
	if b.drawn > 0 {
		fmt.Fprintf(b.lines.out, "\r%s\r", strings.Repeat(" ", b.drawn))
		b.drawn = 0
	}
}

// endPhase leaves a line about the phase behind.
func (b *barDisplay) endPhase(p *protocol.Progress) {
	b.clear()
	if words := stateOf(b.phase, p).words(0); len(words) > 0 {
		b.lines.say(string(b.phase) + ": " + strings.Join(words, ", "))
	}
}

func (b *barDisplay) say(line string) {
	b.clear()
	b.lines.say(line)
}

func (b *barDisplay) stop() { b.clear() }

func or(s, other string) string {
	if s == "" {
		return other
	}
	return s
}
