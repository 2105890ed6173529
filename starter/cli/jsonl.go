package cli

import (
	"bytes"
	"encoding/json"
	"time"

	"github.com/segment-export/segment-export/internal/protocol"
)

const jsonlHelp = `With --output jsonl each change of the run is written as one line with a JSON object. Its field "event" is started,
progress, report, not_started (an export of --all) or error; "at" is the time.`

// The events of --output jsonl.
const (
	eventStarted    = "started"
	eventProgress   = "progress"
	eventReport     = "report"
	eventNotStarted = "not_started"
	eventError      = "error"
)

// event is one line of --output jsonl. The field that its name says is set.
type event struct {
	Event      string               `json:"event"`
	At         time.Time            `json:"at"`
	Started    *protocol.RunStarted `json:"started,omitempty"`
	Progress   *protocol.Progress   `json:"progress,omitempty"`
	Report     json.RawMessage      `json:"report,omitempty"`
	NotStarted *oneOfAll            `json:"not_started,omitempty"`
	Error      *errorContent        `json:"error,omitempty"`
}

// emit writes one line of --output jsonl.
func (s *session) emit(e event) error {
	e.At = s.o.Now().UTC()
	line, err := json.Marshal(e)
	if err != nil {
		return err
	}
	_, err = s.o.Out.Write(append(escapeUnseen(line), '\n'))
	return err
}

// jsonlDisplay writes each change of a run's progress as a line. What is no
// progress goes to the side.
type jsonlDisplay struct {
	*quietDisplay

	s    *session
	last []byte
}

func (j *jsonlDisplay) update(p *protocol.Progress) {
	now, err := json.Marshal(p)
	if err != nil || bytes.Equal(now, j.last) {
		return
	}
	j.last = now
	_ = j.s.emit(event{Event: eventProgress, Progress: p}) // a closed pipe shows at the report
}
