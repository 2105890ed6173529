package activities

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/segment-export/segment-export/internal/contact"
	"github.com/segment-export/segment-export/internal/protocol"
	"github.com/segment-export/segment-export/internal/reason"
	"github.com/segment-export/segment-export/internal/run"
	"github.com/segment-export/segment-export/internal/segment"
	"github.com/segment-export/segment-export/internal/spool"
	"github.com/segment-export/segment-export/internal/store"
)

// CollectInput selects one segment of a run.
type CollectInput struct {
	RunID   string `json:"run_id"`
	Segment int    `json:"segment"` // its place in the export
}

// CollectResult is how far the segment has been read.
type CollectResult struct {
	Done    bool `json:"done"`
	Read    int  `json:"read"`
	Invalid int  `json:"invalid"`
	// Unreadable are the invalid rows that could not be read as rows.
	Unreadable int            `json:"unreadable,omitempty"`
	Reasons    map[string]int `json:"reasons,omitempty"`
	LeftOut    map[string]int `json:"left_out,omitempty"` // values that were left out, by why; their rows are not invalid
	Mended     map[string]int `json:"mended,omitempty"`   // addresses that were put right, by what
	OptOuts    int            `json:"opt_outs,omitempty"` // invalid rows that say an opt-out
	Notes      []string       `json:"notes,omitempty"`
	Halt       *Halt          `json:"halt,omitempty"`
}

// collectState is the progress of reading one segment; stored with each part.
type collectState struct {
	CollectResult
	Cursor  []byte  `json:"cursor,omitempty"` // encrypted: it may hold the id of a customer
	Seen    []byte  `json:"seen,omitempty"`   // encrypted contact.Seen: it holds values of rows
	View    []byte  `json:"view,omitempty"`   // of the source that the cursor belongs to
	Trouble trouble `json:"trouble,omitzero"`
	Parts   int     `json:"parts"`   // parts stored, also of reads that were begun again
	Bytes   int64   `json:"bytes"`   // of the contacts stored
	Kept    int     `json:"kept"`    // rejects stored
	Rereads int     `json:"rereads"` // how often the read began again
}

const (
	// maxRejects is how many rejects of a segment are kept with their rows;
	// the counts are of all.
	maxRejects = 10_000
	// maxRereads is how often a segment that changes under the reader is read
	// again before the run gives up.
	maxRereads = 5
	// checkRows is after how many rows the time is looked at.
	checkRows = 256
	// maxRejectValue is how many bytes of a value a reject keeps.
	maxRejectValue = 320
	// maxSegmentBytes bounds the contacts of a segment: a shard of them is decided
	// about in memory.
	maxSegmentBytes = 4 << 30
)

func collectStep(segment int) string { return fmt.Sprintf("collect/%d", segment) }

func (in CollectInput) lease() string { return fmt.Sprintf("run/%s/collect/%d", in.RunID, in.Segment) }

// Collect reads a segment for a while: maps and validates its rows and spools
// them in parts. Each part is stored with the position after it, so a later
// call goes on there, whatever became of this one.
func (a *Activities) Collect(ctx context.Context, in CollectInput) (*CollectResult, error) {
	var result *CollectResult
	err := a.underLease(ctx, in.lease(), func(ctx context.Context, h hold) error {
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
	return c.amendReport(ctx, c.in.RunID, func(r *run.Report) {
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

// halt says what becomes of a read that an error has broken off, and remembers
// how long there have been errors. What was not stored is forgotten.
func (c *collector) halt(ctx context.Context, fault error) error {
	if err := c.load(ctx); err != nil {
		return err
	}
	halt, err := c.sourceHalt(ctx, c.job.Source.Name, &c.state.Trouble, fault)
	if err != nil {
		return err
	}
	if halt.Kind == HaltPark {
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
	*Activities
	in     CollectInput
	hold   hold
	job    job
	mapper *contact.Mapper
	digest *contact.Digester
	gone   forgotten
	email  int // the place of the e-mail's field among those that are read
	state  collectState
	seen   contact.Seen // as state.Seen has it

	shards  [contact.Shards][]byte
	rejects []protocol.Reject
	rows    int // in the part
	bytes   int // of the contacts in the part
}

func (a *Activities) collector(ctx context.Context, in CollectInput, h hold) (*collector, error) {
	c := &collector{Activities: a, in: in, hold: h}
	var err error
	if c.job, err = a.job(ctx, in.RunID); err != nil {
		return nil, err
	}
	if in.Segment < 0 || in.Segment >= len(c.job.segments()) {
		return nil, errNotPermitted(fmt.Sprintf("it reads no segment %d", in.Segment))
	}
	if err := c.load(ctx); err != nil {
		return nil, err
	}
	_, key, err := a.note(ctx, c.job.Export.Name)
	if err != nil {
		return nil, err
	}
	c.digest = contact.NewDigester(key)
	if c.mapper, err = c.job.mapper(); err != nil {
		return nil, err
	}
	c.email = slices.Index(c.mapper.Fields(), c.job.Export.Mapping[contact.Email])
	if c.gone, err = a.forgottenNow(ctx); err != nil {
		return nil, err
	}
	return c, nil
}

// load takes the progress that is stored.
func (c *collector) load(ctx context.Context) (err error) {
	if c.state, err = c.collected(ctx, c.in.RunID, c.in.Segment); err != nil {
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

// collected returns how far a segment of a run has been read.
func (a *Activities) collected(ctx context.Context, runID string, segment int) (collectState, error) {
	state, err := a.Store.StepState(ctx, runID, collectStep(segment))
	if err != nil {
		return collectState{}, err
	}
	return decode[collectState](state)
}

// read goes on from the stored position until the slice of time is used up,
// the work should stop, or the segment is read.
func (c *collector) read(ctx context.Context) error {
	if c.state.Done {
		return nil
	}
	src, now, err := c.sourceOf(ctx, c.job.Source.Name)
	if err != nil {
		return err
	}
	defer func() { _ = closeSource(src) }()
	view := viewOf(now)
	if c.state.View != nil && !bytes.Equal(view, c.state.View) {
		return &segment.ChangedError{Reason: "the settings of its source were changed while it was being read"}
	}
	c.state.View = view
	name := c.job.Export.Segments[c.in.Segment].Segment
	after, err := c.cursor()
	if err != nil {
		return err
	}
	// To break off a read changes nothing, and a source may not answer: unlike
	// what is stored, it is not carried to its end when the work should stop.
	reading := c.hold.soft
	r, err := src.Open(reading, name, fieldsOf(c.job.Export, c.mapper), after)
	switch {
	case errors.Is(err, segment.ErrEmpty):
		return c.commit(ctx, nil, true)
	case err != nil && c.hold.stopping():
		return nil
	case err != nil:
		return sourceFault(err)
	}
	defer r.Close()
	_, whole := src.(segment.Whole)
	until := time.Now().Add(c.Tuning.Slice)
	for {
		row, err := r.Next()
		if errors.Is(err, io.EOF) {
			if n, ok := r.(segment.Noter); ok {
				for _, note := range n.Notes() {
					c.state.Notes = append(c.state.Notes, string(reason.Clean(note)))
				}
			}
			return c.commit(ctx, r.Cursor(), true)
		}
		if err != nil && c.hold.stopping() {
			return errors.Join(c.keep(ctx, r, err, whole), c.load(ctx))
		}
		if err != nil {
			return errors.Join(c.keep(ctx, r, err, whole), sourceFault(err))
		}
		c.add(row)
		due := !whole && c.rows%checkRows == 0 && time.Now().After(until) // rows may be long
		if c.rows < c.Tuning.PartRows && c.bytes < c.Tuning.PartBytes && !due {
			continue
		}
		if c.state.Bytes+int64(c.bytes) > maxSegmentBytes {
			return segment.Malformed("segment %s has more than %d GiB of mapped values; map fewer fields, or split it", reason.Names(name), maxSegmentBytes>>30)
		}
		if err := c.commit(ctx, r.Cursor(), false); err != nil {
			return err
		}
		if c.hold.stopping() || !whole && time.Now().After(until) {
			return nil
		}
	}
}

// keep stores what was read before an error broke the read off, so that a
// source that makes its readers wait again and again is read in the end.
func (c *collector) keep(ctx context.Context, r segment.Reader, fault error, whole bool) error {
	if c.rows == 0 || whole || errors.Is(fault, segment.ErrChanged) || ctx.Err() != nil {
		return nil
	}
	return c.commit(ctx, r.Cursor(), false)
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

// add takes one row into the part.
func (c *collector) add(row segment.Row) {
	c.rows++
	c.state.Read++
	problem := row.Problem
	if problem == "" {
		problem = segment.Long(row.Values)
	}
	if problem != "" {
		c.state.Unreadable++
		c.reject(row, string(problem))
		return
	}
	p, why := c.mapper.Map(row.Values)
	if why != "" {
		if c.mapper.OptsOut(row.Values) {
			c.state.OptOuts++
		}
		c.reject(row, string(why))
		return
	}
	count(&c.state.LeftOut, c.mapper.LeftOut())
	count(&c.state.Mended, c.mapper.Mended())
	if c.gone.has(p.Email) {
		c.reject(row, string(reasonForgotten))
		return
	}
	address := c.digest.Address(p.Email)
	shard := contact.Shard(address)
	before := len(c.shards[shard])
	c.shards[shard] = spool.AppendRecord(c.shards[shard], spool.Record{
		Address: address, Segment: uint8(c.in.Segment), Row: row.Number, Profile: p,
	})
	c.bytes += len(c.shards[shard]) - before
}

// count adds one for each code.
func count[T ~string](counts *map[string]int, codes []T) {
	for _, c := range codes {
		if *counts == nil {
			*counts = map[string]int{}
		}
		(*counts)[string(c)]++
	}
}

// reject counts an invalid row and keeps the first ones for whoever mends them.
func (c *collector) reject(row segment.Row, why string) {
	c.state.Invalid++
	c.state.Reasons[why]++
	if c.state.Kept >= maxRejects {
		return
	}
	c.state.Kept++
	reject := protocol.Reject{Segment: c.job.Export.Segments[c.in.Segment].Segment, Row: row.Number, Reason: why}
	// Whose row it is must not be kept again of somebody who is forgotten.
	if n := len(row.Values); n > 0 && row.Problem == "" && why != string(reasonForgotten) {
		reject.Email = startOf(row.Values[c.email])
		if c.job.Export.ID != "" {
			reject.ID = startOf(row.Values[n-1])
		}
	}
	c.rejects = append(c.rejects, reject)
}

// startOf copies as much of a value as a reject keeps.
func startOf(value string) string {
	if len(value) <= maxRejectValue {
		return strings.Clone(value)
	}
	return strings.ToValidUTF8(value[:maxRejectValue], "") + "…"
}

// commit stores the part with the position after it.
func (c *collector) commit(ctx context.Context, cursor segment.Cursor, done bool) error {
	c.state.Cursor, c.state.Done, c.state.Trouble = nil, done, trouble{}
	if cursor != nil {
		var err error
		if c.state.Cursor, err = c.Keyring.SealBlob(cursor, cursorContext(c.in.RunID)); err != nil {
			return err
		}
	}
	if err := c.sealSeen(); err != nil {
		return err
	}
	part := c.in.Segment*partsPerSegment + c.state.Parts
	c.state.Parts++
	var blobs []store.Blob
	for shard, data := range c.shards {
		if len(data) == 0 {
			continue
		}
		sealed, err := c.Keyring.SealBlob(data, blobContext(c.in.RunID, store.BlobPart))
		if err != nil {
			return err
		}
		blobs = append(blobs, store.Blob{Kind: store.BlobPart, Group: shard, Seq: part, Data: sealed})
		c.shards[shard] = data[:0]
	}
	if len(c.rejects) > 0 {
		sealed, err := c.Keyring.SealBlob(encode(c.rejects), blobContext(c.in.RunID, store.BlobReject))
		if err != nil {
			return err
		}
		blobs = append(blobs, store.Blob{Kind: store.BlobReject, Group: rejectsRead, Seq: part, Data: sealed})
		c.rejects = nil
	}
	c.state.Bytes += int64(c.bytes)
	rows := c.rows
	c.rows, c.bytes = 0, 0
	if err := c.save(ctx, blobs); err != nil {
		return err
	}
	c.Work.Rows(c.job.Export.Name, rows)
	return nil
}

func (c *collector) save(ctx context.Context, blobs []store.Blob) error {
	return c.Store.CommitStep(ctx, store.Step{Run: c.in.RunID, Name: collectStep(c.in.Segment),
		Lease: c.hold.lease, State: encode(c.state), Blobs: blobs})
}

// begin starts the segment over after it changed under the reader: a mixture
// of two states of it must never be sent. Parts of the former read are emptied.
func (c *collector) begin(ctx context.Context, why error) error {
	name := c.job.Export.Segments[c.in.Segment].Segment
	note := fmt.Sprintf("segment %q was replaced while it was being read; it was read again from the start", name)
	told, isTold := errors.AsType[*segment.ChangedError](why)
	if isTold {
		note = fmt.Sprintf("segment %q was read again from the start because %s", name, told.Reason)
	}
	rereads := c.state.Rereads + 1
	switch {
	case rereads > maxRereads && isTold:
		return &segment.AccessError{Message: fmt.Sprintf("segment %q was begun %d times and never read to its end; the last time because %s", name, rereads, told.Reason),
			Action: "see what breaks the read off"}
	case rereads > maxRereads:
		return fmt.Errorf("segment %q was replaced %d times while it was being read; run again when it is left alone: %w",
			name, rereads, segment.ErrMalformed)
	}
	var blobs []store.Blob
	for seq := range c.state.Parts {
		part := c.in.Segment*partsPerSegment + seq
		blobs = append(blobs, store.Blob{Kind: store.BlobReject, Group: rejectsRead, Seq: part})
		for shard := range contact.Shards {
			blobs = append(blobs, store.Blob{Kind: store.BlobPart, Group: shard, Seq: part})
		}
	}
	notes := append(c.state.Notes, note)
	c.mapper.TakeSeen()
	c.seen = contact.Seen{}
	c.state = collectState{Rereads: rereads, CollectResult: CollectResult{Reasons: map[string]int{}, Notes: notes}}
	return c.save(ctx, blobs)
}

const (
	// partsPerSegment keeps the parts of an export's segments apart.
	partsPerSegment = 1_000_000
	// The groups of reject blobs: rows that were never sent, and contacts that
	// Omnisend turned down.
	rejectsRead    = 0
	rejectsRefused = 1
)

// blobContext is the context that a run's blobs are sealed with.
func blobContext(runID string, kind store.BlobKind) string {
	return "run/" + runID + "/" + string(kind)
}

// openBlob decrypts a blob of the spool; one without data is empty.
func (a *Activities) openBlob(runID string, b store.Blob) ([]byte, error) {
	if len(b.Data) == 0 {
		return nil, nil
	}
	data, err := a.Keyring.OpenBlob(b.Data, blobContext(runID, b.Kind))
	if err != nil {
		return nil, unreadable(runID, b.Kind, err)
	}
	return data, nil
}

// mergeReasons adds counts to a report's.
func mergeReasons(r *run.Report, reasons map[string]int) {
	for reason, n := range reasons {
		r.Reasons[reason] += n
	}
}
