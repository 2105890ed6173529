package activities

import (
	"context"
	"encoding/json"
	"time"

	"github.com/segment-export/segment-export/internal/catalogue"
	"github.com/segment-export/segment-export/internal/contact"
	"github.com/segment-export/segment-export/internal/decide"
	"github.com/segment-export/segment-export/internal/omnisend"
	"github.com/segment-export/segment-export/internal/run"
	"github.com/segment-export/segment-export/internal/spool"
	"github.com/segment-export/segment-export/internal/store"
)

// DecideInput is a run whose segments are read.
type DecideInput struct {
	RunID  string      `json:"run_id"`
	Report *run.Report `json:"report"`
}

// DecideResult is the run's report with exact numbers, once Done.
type DecideResult struct {
	Done    bool        `json:"done"`
	Shards  int         `json:"shards"` // decided so far
	Report  *run.Report `json:"report,omitempty"`
	Uploads int         `json:"uploads"` // batches
	Leavers int         `json:"leavers"` // batches
}

// decideState is the progress of deciding; stored after each shard.
type decideState struct {
	NextShard int           `json:"next_shard"`
	Done      bool          `json:"done"`
	Counts    decide.Counts `json:"counts"`
	Uploads   int           `json:"uploads"`
	Leavers   int           `json:"leavers"`
}

const decideStep = "decide"

// Decide compares what was read with the ledger, shard by shard, and makes full
// batches of what is to be sent. Each shard is stored with the progress after
// it. When all are done the report has exact numbers and the guards that ask.
func (a *Activities) Decide(ctx context.Context, in DecideInput) (*DecideResult, error) {
	var result *DecideResult
	err := a.underLease(ctx, "run/"+in.RunID+"/decide", func(ctx context.Context, h hold) error {
		d, err := a.decider(ctx, in, h)
		if err != nil {
			return err
		}
		until := time.Now().Add(a.Tuning.Slice)
		for !d.state.Done && !h.stopping() && time.Now().Before(until) {
			if err := d.shard(ctx); err != nil {
				return err
			}
		}
		result = &DecideResult{Done: d.state.Done, Shards: d.state.NextShard, Uploads: d.state.Uploads, Leavers: d.state.Leavers}
		if d.state.Done {
			result.Report = d.report(in.Report)
		}
		return nil
	})
	return result, err
}

// decider decides the shards of one run.
type decider struct {
	*Activities
	hold    hold
	job     job
	conn    catalogue.Connection
	plan    bool
	note    *ledgerNote
	digest  *contact.Digester
	rules   decide.Rules
	state   decideState
	uploads packer
	leavers packer
	samples samples
}

func (a *Activities) decider(ctx context.Context, in DecideInput, h hold) (*decider, error) {
	d := &decider{Activities: a, hold: h, plan: in.Report.Plan}
	var err error
	if d.job, err = a.job(ctx, in.RunID); err != nil {
		return nil, err
	}
	if d.conn, _, err = object[catalogue.Connection](ctx, a, catalogue.KindConnection, d.job.Export.Connection); err != nil {
		return nil, err
	}
	note, key, err := a.note(ctx, d.job.Export.Name)
	if err != nil {
		return nil, err
	}
	d.note, d.digest = note, contact.NewDigester(key)
	d.rules = decide.Rules{Markers: note.Markers, Unmark: d.job.Export.Leavers != catalogue.LeaversKeep, Full: d.job.Request.Full}
	for _, s := range d.job.Export.Segments {
		bit, err := note.bit(s.Marker)
		if err != nil {
			return nil, err
		}
		d.rules.Bits = append(d.rules.Bits, bit)
	}
	state, err := a.Store.StepState(ctx, in.RunID, decideStep)
	if err != nil {
		return nil, err
	}
	if d.state, err = decode[decideState](state); err != nil {
		return nil, err
	}
	if state == nil {
		d.state.Counts = decide.NewCounts(len(d.job.Export.Segments))
	}
	d.uploads = packer{first: firstBatch(phaseUploads, 0), made: &d.state.Uploads, tail: tailUploads}
	d.leavers = packer{first: firstBatch(phaseLeavers, 0), made: &d.state.Leavers, tail: tailLeavers}
	for _, p := range []*packer{&d.uploads, &d.leavers} {
		if err := d.loadTail(ctx, p); err != nil {
			return nil, err
		}
	}
	return d, d.loadSamples(ctx)
}

// shard decides the next shard and stores it with the progress after it.
func (d *decider) shard(ctx context.Context) error {
	parts, err := d.Store.Blobs(ctx, d.job.RunID, store.BlobPart, d.state.NextShard)
	if err != nil {
		return err
	}
	var records []spool.Record
	for _, part := range parts {
		data, err := d.openBlob(d.job.RunID, part)
		if err != nil {
			return err
		}
		for rec, err := range spool.Records(data) {
			if err != nil {
				return err
			}
			records = append(records, rec)
		}
	}
	entries, err := d.ledgerShard(ctx, d.job.Export.Name, d.state.NextShard)
	if err != nil {
		return err
	}
	var blobs []store.Blob
	err = d.rules.Shard(records, entries, d.digest, &d.state.Counts, func(item spool.BatchItem) error {
		d.samples.add(item)
		if d.plan {
			return nil
		}
		p := &d.uploads
		if item.Kind == spool.Leaver {
			p = &d.leavers
		}
		p.add(item)
		if p.count < d.Tuning.BatchSize {
			return nil
		}
		blob, err := d.pack(p)
		blobs = append(blobs, blob)
		return err
	})
	if err != nil {
		return err
	}
	return d.commit(ctx, blobs)
}

// commit stores a decided shard. After the last one the batches that are not
// full are closed; before, they wait for the next shard as tails.
func (d *decider) commit(ctx context.Context, blobs []store.Blob) error {
	d.state.NextShard++
	d.state.Done = d.state.NextShard == contact.Shards
	drop := []store.BlobKind{store.BlobTail}
	for _, p := range []*packer{&d.uploads, &d.leavers} {
		if p.count == 0 {
			continue
		}
		kind, group, seq := store.BlobTail, p.tail, p.count
		if d.state.Done {
			blob, err := d.pack(p)
			if err != nil {
				return err
			}
			blobs = append(blobs, blob)
			continue
		}
		sealed, err := d.Keyring.SealBlob(p.data, blobContext(d.job.RunID, kind))
		if err != nil {
			return err
		}
		blobs = append(blobs, store.Blob{Kind: kind, Group: group, Seq: seq, Data: sealed})
	}
	if d.state.Done {
		drop = append(drop, store.BlobPart)
	}
	sealed, err := d.Keyring.SealBlob(encode(d.samples), blobContext(d.job.RunID, store.BlobSamples))
	if err != nil {
		return err
	}
	blobs = append(blobs, store.Blob{Kind: store.BlobSamples, Data: sealed})
	return d.Store.CommitStep(ctx, store.Step{Run: d.job.RunID, Name: decideStep, Lease: d.hold.lease,
		State: encode(d.state), Blobs: blobs, Drop: drop})
}

// report puts the numbers into the run's report and asks the guards.
func (d *decider) report(r *run.Report) *run.Report {
	c := d.state.Counts
	for i := range r.Segments {
		s := &r.Segments[i]
		s.Members, s.Duplicate = c.Members[i], c.Duplicate[i]
		r.Duplicate += s.Duplicate
	}
	r.Contacts, r.Unchanged, r.Refused = c.Contacts, c.Unchanged, c.Refused
	r.ToSend, r.Unsent, r.LeaversDue = c.ToSend(), c.ToSend(), c.Leavers
	r.Consent = run.ConsentCount{Subscribed: c.Subscribed, Unsubscribed: c.Unsubscribed,
		NonSubscribed: c.Contacts - c.Subscribed - c.Unsubscribed, Notes: c.Notes}
	r.Differences = c.Differences
	mergeReasons(r, c.Reasons)
	if r.Plan {
		r.New, r.Changed, r.Leavers = c.New, c.Changed, c.Leavers
	}
	calls := (c.ToSend()+omnisend.MaxItems-1)/omnisend.MaxItems + (c.Leavers+omnisend.MaxItems-1)/omnisend.MaxItems
	minutes := 0.0
	if d.conn.CallsPerMinute > 0 {
		minutes = float64(calls) / (float64(d.conn.CallsPerMinute) * d.conn.Share)
	}
	r.PlannedCalls, r.PlannedMinutes = calls, minutes
	r.Guards = run.CheckGuards(run.Facts{FirstRun: d.note.LastRun == "", Report: r, LastRead: d.note.LastRead,
		Ledger: c.Ledger, Minutes: minutes, Calls: calls}, d.job.Export.Guards)
	if most := d.conn.MaxContacts; most > 0 && c.Contacts > most {
		r.OverLimit = most
	}
	return r
}

// packer fills batches of one kind.
type packer struct {
	first int  // number of the first batch
	made  *int // batches made so far
	tail  int  // the group of its tail blob
	data  []byte
	count int
}

func (p *packer) add(item spool.BatchItem) {
	p.data = spool.AppendBatchItem(p.data, item)
	p.count++
}

// The groups of tail blobs; a tail's Seq is how many contacts it holds.
const (
	tailUploads = 0
	tailLeavers = 1
)

// pack closes a batch.
func (d *decider) pack(p *packer) (store.Blob, error) {
	sealed, err := d.Keyring.SealBlob(p.data, blobContext(d.job.RunID, store.BlobBatch))
	blob := store.Blob{Kind: store.BlobBatch, Seq: p.first + *p.made, Data: sealed}
	*p.made++
	p.data, p.count = p.data[:0], 0
	return blob, err
}

func (d *decider) loadTail(ctx context.Context, p *packer) error {
	tails, err := d.Store.Blobs(ctx, d.job.RunID, store.BlobTail, p.tail)
	if err != nil || len(tails) == 0 {
		return err
	}
	p.count = tails[0].Seq
	p.data, err = d.openBlob(d.job.RunID, tails[0])
	return err
}

// samples are the first few contacts of each kind, for whoever asks what a
// plan would send.
type samples struct {
	New     []json.RawMessage `json:"new,omitempty"`
	Changed []json.RawMessage `json:"changed,omitempty"`
	Leavers []json.RawMessage `json:"leavers,omitempty"`
}

// maxSamples is how many contacts of a kind are shown.
const maxSamples = 3

func (s *samples) add(item spool.BatchItem) {
	list := &s.New
	switch item.Kind {
	case spool.Changed:
		list = &s.Changed
	case spool.Leaver:
		list = &s.Leavers
	}
	if len(*list) < maxSamples {
		*list = append(*list, json.RawMessage(append([]byte(nil), item.Item...)))
	}
}

func (d *decider) loadSamples(ctx context.Context) error {
	blobs, err := d.Store.Blobs(ctx, d.job.RunID, store.BlobSamples, 0)
	if err != nil || len(blobs) == 0 {
		return err
	}
	data, err := d.openBlob(d.job.RunID, blobs[0])
	if err != nil {
		return err
	}
	d.samples, err = decode[samples](data)
	return err
}
