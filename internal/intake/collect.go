package intake

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/segment-export/segment-export/internal/connect"
	"github.com/segment-export/segment-export/internal/contact"
	"github.com/segment-export/segment-export/internal/job"
	"github.com/segment-export/segment-export/internal/lease"
	"github.com/segment-export/segment-export/internal/ledger"
	"github.com/segment-export/segment-export/internal/reason"
	"github.com/segment-export/segment-export/internal/run"
	"github.com/segment-export/segment-export/internal/segment"
)

// CollectInput selects one segment of a run.
type CollectInput struct {
	RunID   string `json:"run_id"`
	Segment int    `json:"segment"` // its place in the export
}

// OfRun returns the id of the run.
func (in CollectInput) OfRun() string { return in.RunID }

const (
	// maxRejects is how many rejects of a segment are kept with their rows;
	// the counts are of all.
	maxRejects = 10_000
	// maxRereads is how often a segment that changes under the reader is read
	// again before the run gives up.
	maxRereads = 5
	// MaxRejectValue is how many bytes of a value a reject keeps.
	MaxRejectValue = 320
	// maxSegmentBytes bounds the contacts of a segment: a shard of them is decided
	// about in memory.
	maxSegmentBytes = 4 << 30
)

func (in CollectInput) lease() string { return fmt.Sprintf("run/%s/collect/%d", in.RunID, in.Segment) }

// Collect reads a segment for a while: maps and validates its rows and spools
// them in parts. Each part is stored with the position after it, so a later
// call continues there, however this one ends.
func (a *Steps) Collect(ctx context.Context, in CollectInput) (*job.CollectResult, error) {
	var result *job.CollectResult
	err := a.UnderLease(ctx, in.lease(), func(ctx context.Context, h lease.Hold) error {
		c, err := a.collector(ctx, in, h)
		if err != nil {
			return err
		}
		err = c.read(ctx)
		if errors.Is(err, segment.ErrChanged) {
			err = c.begin(ctx, err)
		}
		if err != nil {
			err = c.halt(ctx, err)
		}
		result = &c.state.CollectResult
		if err == nil && result.Done {
			err = c.recordRead(ctx)
		}
		return err
	})
	return result, err
}

// recordRead puts the segment's rows into the stored report.
func (c *collector) recordRead(ctx context.Context) error {
	return c.AmendReport(ctx, c.in.RunID, func(r *run.Report) {
		if c.in.Segment >= len(r.Segments) {
			return
		}
		s := &r.Segments[c.in.Segment]
		r.Read += c.state.Read - s.Read
		r.Invalid += c.state.Invalid - s.Invalid
		s.Read, s.Invalid = c.state.Read, c.state.Invalid
		r.Phase = run.PhaseCollect
	})
}

// halt says what happens to a read that an error interrupted, and remembers how
// long there have been errors. What was not stored is forgotten.
func (c *collector) halt(ctx context.Context, fault error) error {
	if err := c.load(ctx); err != nil {
		return err
	}
	halt, err := c.Connect().SourceHalt(ctx, c.job.Source.Name, &c.state.Trouble, fault)
	if err != nil {
		return err
	}
	if halt.Kind == run.HaltPark {
		c.state.Rereads = 0 // an operator has looked at it
	}
	if err := c.save(ctx, nil); err != nil {
		return err
	}
	c.state.Halt = halt
	return nil
}

// collector reads one segment of one run.
type collector struct {
	*Steps
	in     CollectInput
	hold   lease.Hold
	job    job.Job
	mapper *contact.Mapper
	digest *contact.Digester
	gone   ledger.Forgotten
	email  int // the place of the e-mail's field among those that are read
	state  job.CollectState
	seen   contact.Seen // as state.Seen has it

	part   *part // that is being filled
	spare  *part // that is stored, or was
	stores behind
}

func (a *Steps) collector(ctx context.Context, in CollectInput, h lease.Hold) (*collector, error) {
	c := &collector{Steps: a, in: in, hold: h, part: &part{}, spare: &part{}}
	var err error
	if c.job, err = a.Job(ctx, in.RunID); err != nil {
		return nil, err
	}
	if in.Segment < 0 || in.Segment >= len(c.job.Segments()) {
		return nil, job.ErrNotPermitted(fmt.Sprintf("it reads no segment %d", in.Segment))
	}
	if err := c.load(ctx); err != nil {
		return nil, err
	}
	_, key, err := a.Ledgers().Note(ctx, c.job.Export.Name)
	if err != nil {
		return nil, err
	}
	c.digest = contact.NewDigester(key)
	if c.mapper, err = c.job.Mapper(); err != nil {
		return nil, err
	}
	c.email = slices.Index(c.mapper.Fields(), c.job.Export.Mapping[contact.Email])
	if c.gone, err = a.Ledgers().Forgotten(ctx); err != nil {
		return nil, err
	}
	return c, nil
}

// load takes the progress that is stored.
func (c *collector) load(ctx context.Context) (err error) {
	if c.state, err = c.Collected(ctx, c.in.RunID, c.in.Segment); err != nil {
		return err
	}
	if c.state.Reasons == nil {
		c.state.Reasons = map[string]int{}
	}
	if c.mapper != nil {
		c.mapper.TakeSeen() // of rows that were not stored
	}
	c.seen, err = c.openSeen(c.in.RunID, c.state.Seen)
	return err
}

// read continues from the stored position until the slice of time is used up,
// the work should stop, or the segment is read.
func (c *collector) read(ctx context.Context) (err error) {
	if c.state.Done {
		return nil
	}
	src, now, err := c.Connect().Source(ctx, c.job.Source.Name)
	if err != nil {
		return err
	}
	defer func() { _ = connect.Close(src) }()
	view := connect.ViewOf(now)
	if c.state.View != nil && !bytes.Equal(view, c.state.View) {
		return &segment.ChangedError{Reason: "the settings of its source were changed while it was being read"}
	}
	c.state.View = view
	name := c.job.Export.Segments[c.in.Segment].Segment
	after, err := c.cursor()
	if err != nil {
		return err
	}
	// Interrupting a read changes nothing, and a source may not answer: unlike
	// what is stored, it is not carried to its end when the work should stop.
	reading, stop := context.WithCancel(c.hold.Soft)
	defer stop()
	r, err := src.Open(reading, name, job.FieldsOf(c.job.Export, c.mapper), after)
	switch {
	case errors.Is(err, segment.ErrEmpty):
		return c.commitLast(ctx, nil, true)
	case err != nil && c.hold.Stopping():
		return nil
	case err != nil:
		return connect.SourceFault(err)
	}
	defer r.Close()
	defer func() { err = errors.Join(err, c.stores.wait()) }()
	ahead := segment.ReadAhead(r, c.Tuning.PartRows, c.Tuning.PartBytes, stop)
	defer ahead.Close()
	_, whole := src.(segment.Whole)
	until := time.Now().Add(c.Tuning.Slice)
	for {
		chunk := ahead.Next()
		for _, row := range chunk.Rows {
			c.add(row)
		}
		if errors.Is(chunk.Err, io.EOF) {
			if n, ok := r.(segment.Noter); ok {
				for _, note := range n.Notes() {
					c.state.Notes = append(c.state.Notes, string(reason.Clean(note)))
				}
			}
			return c.commitLast(ctx, chunk.Cursor, true)
		}
		if chunk.Err != nil && c.hold.Stopping() {
			return errors.Join(c.keep(ctx, chunk, whole), c.load(ctx))
		}
		if chunk.Err != nil {
			return errors.Join(c.keep(ctx, chunk, whole), connect.SourceFault(chunk.Err))
		}
		due := !whole && time.Now().After(until)
		if c.part.rows < c.Tuning.PartRows && c.part.bytes < c.Tuning.PartBytes && !due {
			continue
		}
		if c.state.Bytes+int64(c.part.bytes) > maxSegmentBytes {
			return segment.Malformed("segment %s has more than %d GiB of mapped values; map fewer fields, or split it", reason.Names(name), maxSegmentBytes>>30)
		}
		if err := c.commit(ctx, chunk.Cursor, false); err != nil {
			return err
		}
		if c.hold.Stopping() || due || !whole && time.Now().After(until) {
			return nil
		}
	}
}

// keep stores what was read before an error ended the read, so that a
// source that makes its readers wait again and again is read in the end.
func (c *collector) keep(ctx context.Context, last *segment.Chunk, whole bool) error {
	if c.part.rows == 0 || whole || errors.Is(last.Err, segment.ErrChanged) || ctx.Err() != nil {
		return c.stores.wait()
	}
	return c.commitLast(ctx, last.Cursor, false)
}

// cursorContext is the context that the cursors of a run's reads are sealed with.
func cursorContext(runID string) string { return "run/" + runID + "/cursor" }

// cursor returns the stored position; nil at the start.
func (c *collector) cursor() (segment.Cursor, error) {
	if c.state.Cursor == nil {
		return nil, nil
	}
	return c.Keyring.OpenBlob(c.state.Cursor, cursorContext(c.in.RunID))
}
