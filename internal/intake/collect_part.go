package intake

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/segment-export/segment-export/internal/connect"
	"github.com/segment-export/segment-export/internal/contact"
	"github.com/segment-export/segment-export/internal/job"
	"github.com/segment-export/segment-export/internal/ledger"
	"github.com/segment-export/segment-export/internal/protocol"
	"github.com/segment-export/segment-export/internal/record"
	"github.com/segment-export/segment-export/internal/segment"
	"github.com/segment-export/segment-export/internal/spool"
	"github.com/segment-export/segment-export/internal/store"
)

// add takes one row into the part.
func (c *collector) add(row segment.Row) {
	c.part.rows++
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
	count(&c.state.Corrected, c.mapper.Corrections())
	if c.gone.Has(p.Email) {
		c.reject(row, string(ledger.ReasonForgotten))
		return
	}
	address := c.digest.Address(p.Email)
	shard := contact.Shard(address)
	before := len(c.part.shards[shard])
	c.part.shards[shard] = spool.AppendRecord(c.part.shards[shard], spool.Record{
		Address: address, Segment: uint8(c.in.Segment), Row: row.Number, Profile: p,
	})
	c.part.bytes += len(c.part.shards[shard]) - before
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

// reject counts an invalid row and keeps the first ones, for people to correct.
func (c *collector) reject(row segment.Row, why string) {
	c.state.Invalid++
	c.state.Reasons[why]++
	if c.state.Kept >= maxRejects {
		return
	}
	c.state.Kept++
	reject := protocol.Reject{Segment: c.job.Export.Segments[c.in.Segment].Segment, Row: row.Number, Reason: why}
	// The id of a person who is forgotten must not be kept again.
	if n := len(row.Values); n > 0 && row.Problem == "" && why != string(ledger.ReasonForgotten) {
		reject.Email = startOf(row.Values[c.email])
		if c.job.Export.ID != "" {
			reject.ID = startOf(row.Values[n-1])
		}
	}
	c.part.rejects = append(c.part.rejects, reject)
}

// startOf copies as much of a value as a reject keeps.
func startOf(value string) string {
	if len(value) <= MaxRejectValue {
		return strings.Clone(value)
	}
	return strings.ToValidUTF8(value[:MaxRejectValue], "") + "…"
}

// part is the rows of a segment that are stored together.
type part struct {
	shards  [contact.Shards][]byte
	rejects []protocol.Reject
	rows    int
	bytes   int // of the contacts
}

// commit stores the part with the position after it, while the next one is
// filled. What fails is known at the next commit, or when it is waited for.
func (c *collector) commit(ctx context.Context, cursor segment.Cursor, done bool) error {
	c.state.Cursor, c.state.Done, c.state.Trouble = nil, done, connect.Trouble{}
	if cursor != nil {
		var err error
		if c.state.Cursor, err = c.Keyring.SealBlob(cursor, cursorContext(c.in.RunID)); err != nil {
			return err
		}
	}
	if err := c.sealSeen(); err != nil {
		return err
	}
	full, seq := c.part, c.in.Segment*job.PartsPerSegment+c.state.Parts
	c.state.Parts++
	c.state.Bytes += int64(full.bytes)
	state := record.Encode(c.state)
	err := c.stores.do(func() error { return c.store(ctx, full, seq, state) })
	c.part, c.spare = c.spare, full // the spare one is stored by now
	return err
}

// commitLast stores the last part of this attempt and waits for it.
func (c *collector) commitLast(ctx context.Context, cursor segment.Cursor, done bool) error {
	if err := c.commit(ctx, cursor, done); err != nil {
		return err
	}
	return c.stores.wait()
}

// store seals and stores a part with the state after it, and empties it.
func (c *collector) store(ctx context.Context, p *part, seq int, state []byte) error {
	var blobs []store.Blob
	for shard, data := range p.shards {
		if len(data) == 0 {
			continue
		}
		sealed, err := c.Keyring.SealBlob(data, job.BlobContext(c.in.RunID, store.BlobPart))
		if err != nil {
			return err
		}
		blobs = append(blobs, store.Blob{Kind: store.BlobPart, Group: shard, Seq: seq, Data: sealed})
		p.shards[shard] = data[:0]
	}
	if len(p.rejects) > 0 {
		sealed, err := c.Keyring.SealBlob(record.Encode(p.rejects), job.BlobContext(c.in.RunID, store.BlobReject))
		if err != nil {
			return err
		}
		blobs = append(blobs, store.Blob{Kind: store.BlobReject, Group: job.RejectsRead, Seq: seq, Data: sealed})
	}
	if err := c.saveState(ctx, state, blobs); err != nil {
		return err
	}
	c.Work.Rows(c.job.Export.Name, p.rows)
	p.rejects, p.rows, p.bytes = nil, 0, 0
	return nil
}

func (c *collector) save(ctx context.Context, blobs []store.Blob) error {
	return c.saveState(ctx, record.Encode(c.state), blobs)
}

func (c *collector) saveState(ctx context.Context, state []byte, blobs []store.Blob) error {
	return c.Store.CommitStep(ctx, store.Step{Run: c.in.RunID, Name: job.CollectStep(c.in.Segment),
		Lease: c.hold.Lease, State: state, Blobs: blobs})
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
		return &segment.AccessError{Message: fmt.Sprintf("segment %q was started %d times and never read to its end; the last time because %s", name, rereads, told.Reason),
			Action: "find out what interrupts the read"}
	case rereads > maxRereads:
		return fmt.Errorf("segment %q was replaced %d times while it was being read; run again when it is left alone: %w",
			name, rereads, segment.ErrMalformed)
	}
	var blobs []store.Blob
	for seq := range c.state.Parts {
		part := c.in.Segment*job.PartsPerSegment + seq
		blobs = append(blobs, store.Blob{Kind: store.BlobReject, Group: job.RejectsRead, Seq: part})
		for shard := range contact.Shards {
			blobs = append(blobs, store.Blob{Kind: store.BlobPart, Group: shard, Seq: part})
		}
	}
	notes := append(c.state.Notes, note)
	c.mapper.TakeSeen()
	c.seen = contact.Seen{}
	c.state = job.CollectState{Rereads: rereads, CollectResult: job.CollectResult{Reasons: map[string]int{}, Notes: notes}}
	return c.save(ctx, blobs)
}
