package intake

import (
	"context"
	"errors"
	"time"

	"github.com/segment-export/segment-export/internal/catalogue"
	"github.com/segment-export/segment-export/internal/contact"
	"github.com/segment-export/segment-export/internal/decide"
	"github.com/segment-export/segment-export/internal/job"
	"github.com/segment-export/segment-export/internal/lease"
	"github.com/segment-export/segment-export/internal/ledger"
	"github.com/segment-export/segment-export/internal/reason"
	"github.com/segment-export/segment-export/internal/record"
	"github.com/segment-export/segment-export/internal/run"
	"github.com/segment-export/segment-export/internal/spool"
	"github.com/segment-export/segment-export/internal/store"
)

// DecideResult is the run's report with exact numbers, once Done.
type DecideResult struct {
	Done    bool        `json:"done"`
	Shards  int         `json:"shards"` // decided so far
	Report  *run.Report `json:"report,omitempty"`
	Uploads int         `json:"uploads"` // batches
	Leavers int         `json:"leavers"` // batches
}

// Decide compares what was read with the ledger, shard by shard, and makes full
// batches of what to send. Each shard is stored with the progress after
// it. When all are done the report has exact numbers and the guards that ask.
// It fails before every segment is read: what is missing would count as having
// left.
func (a *Steps) Decide(ctx context.Context, in job.RunInput) (*DecideResult, error) {
	var result *DecideResult
	err := a.UnderLease(ctx, "run/"+in.RunID+"/decide", func(ctx context.Context, h lease.Hold) error {
		d, err := a.decider(ctx, in.RunID, h)
		if err != nil {
			return err
		}
		if err := d.decide(ctx); err != nil {
			return err
		}
		result = &DecideResult{Done: d.state.Done, Shards: d.state.NextShard, Report: d.state.Report,
			Uploads: d.state.Uploads, Leavers: d.state.Leavers}
		if d.state.Done {
			return a.AmendReport(ctx, in.RunID, func(stored *run.Report) {
				status := stored.Status
				*stored = *result.Report
				stored.Status, stored.Phase = status, run.PhaseDecide
			})
		}
		return nil
	})
	return result, err
}

// decide decides shards until the slice of time is used up, the work should stop,
// or all are done. While one is decided, the next is loaded and the one before
// is stored.
func (d *decider) decide(ctx context.Context) (err error) {
	until := time.Now().Add(d.Tuning.Slice)
	defer func() { err = errors.Join(err, d.stores.wait()) }()
	var next shard
	var loads behind
	defer func() { err = errors.Join(err, loads.wait()) }()
	load := func(n int) error {
		return loads.do(func() (err error) {
			next, err = d.load(ctx, n)
			return err
		})
	}
	if d.state.Done || d.hold.Stopping() {
		return nil
	}
	if err := load(d.state.NextShard); err != nil {
		return err
	}
	for {
		if err := loads.wait(); err != nil {
			return err
		}
		s := next
		// Two large shards at a time would need more memory than time is worth.
		early := s.bytes <= maxLoadedAhead && d.state.NextShard+1 < contact.Shards
		if early {
			if err := load(d.state.NextShard + 1); err != nil {
				return err
			}
		}
		if err := d.shard(ctx, s); err != nil {
			return err
		}
		if d.state.Done || d.hold.Stopping() || time.Now().After(until) {
			return nil
		}
		if !early {
			if err := load(d.state.NextShard); err != nil {
				return err
			}
		}
	}
}

// maxLoadedAhead is up to how many bytes of a shard the next one is loaded beside
// it.
const maxLoadedAhead = 16 << 20

// decider decides the shards of one run.
type decider struct {
	*Steps
	hold    lease.Hold
	job     job.Job
	conn    catalogue.Connection
	read    *run.Report // what was read
	note    *ledger.Note
	digest  *contact.Digester
	rules   decide.Rules
	rivals  []string        // what to tell about other exports
	full    string          // why unchanged contacts are sent too; empty: they are not
	only    *contact.Digest // of a canary: the one address to be sent
	state   job.DecideState
	uploads packer
	leavers packer
	samples Samples
	seen    contact.Seen
	stores  behind
}

func (a *Steps) decider(ctx context.Context, runID string, h lease.Hold) (*decider, error) {
	d := &decider{Steps: a, hold: h}
	var err error
	if d.job, err = a.Job(ctx, runID); err != nil {
		return nil, err
	}
	var complete bool
	if d.read, complete, err = a.ReadReport(ctx, d.job); err != nil {
		return nil, err
	}
	if !complete {
		return nil, job.ErrNotPermitted("its segments are not read to their end")
	}
	if d.conn, _, err = record.Object[catalogue.Connection](ctx, a.Store, catalogue.KindConnection, d.job.Export.Connection); err != nil {
		return nil, err
	}
	note, key, err := a.Ledgers().Note(ctx, d.job.Export.Name)
	if err != nil {
		return nil, err
	}
	d.note, d.digest = note, contact.NewDigester(key)
	if d.rivals, err = a.RivalNotes(ctx, d.job.Export); err != nil {
		return nil, err
	}
	if err := d.setRules(ctx, key); err != nil {
		return nil, err
	}
	var began bool
	if d.state, began, err = a.Decision(ctx, runID); err != nil {
		return nil, err
	}
	if !began {
		d.state.Counts = decide.NewCounts(len(d.job.Export.Segments))
	}
	d.uploads = packer{first: job.FirstBatch(job.PhaseUploads, 0), made: &d.state.Uploads, tail: tailUploads}
	d.leavers = packer{first: job.FirstBatch(job.PhaseLeavers, 0), made: &d.state.Leavers, tail: tailLeavers}
	for _, p := range []*packer{&d.uploads, &d.leavers} {
		if err := d.loadTail(ctx, p); err != nil {
			return nil, err
		}
	}
	if err := d.loadSamples(ctx); err != nil {
		return nil, err
	}
	return d, d.loadSeen(ctx)
}

// setRules finds out what holds for all shards.
func (d *decider) setRules(ctx context.Context, key []byte) error {
	e, asked := d.job.Export, d.job.Request
	foreign, err := d.Ledgers().Foreign(ctx, d.note, e.Name)
	if err != nil {
		return err
	}
	switch {
	case asked.Full:
		d.full = "as asked"
	case !asked.IsCanary() && !asked.Adopt && asked.Remove == "" && d.note.Unsure:
		d.full = "as calls of an earlier run were given up whose contacts are not known"
	case !asked.IsCanary() && !asked.Adopt && asked.Remove == "" && d.note.LastRun != "" && d.note.FullDue(e, d.job.Began):
		d.full = "as the export wants every " + reason.Count(e.FullEvery, "day", "days")
	}
	unmark := e.Leavers != catalogue.LeaversKeep && !asked.IsCanary()
	d.rules = decide.Rules{Markers: d.note.Markers, Unmark: unmark || asked.Remove != "", Full: d.full != "", Retry: asked.Retry, Foreign: foreign,
		Consent: e.Consent, Now: d.job.Began}
	mapper, err := d.job.Mapper()
	if err != nil {
		return err
	}
	d.rules.Fields, d.rules.FieldNames = d.note.FieldBits(mapper.FieldNames()), d.note.Fields
	for i, name := range d.note.Fields {
		if !asked.IsCanary() && e.Clears(name) {
			d.rules.Clear |= 1 << i
		}
	}
	for i, s := range e.Segments {
		bit, err := d.note.Bit(s)
		if err != nil {
			return err
		}
		d.rules.Bits, d.rules.Former = append(d.rules.Bits, bit), append(d.rules.Former, d.note.Former(s))
		d.rules.Doubtful = append(d.rules.Doubtful, i < len(d.read.Segments) && d.read.Segments[i].Unreadable > 0)
	}
	if len(asked.Only) > 0 {
		email, err := d.Keyring.Open(asked.Only, job.OnlyContext(d.job.RunID))
		if err != nil {
			return err
		}
		address := contact.NewDigester(key).Address(string(email))
		d.only = &address
	}
	return nil
}

// shard is what one shard is decided from.
type shard struct {
	records []spool.Record
	entries []spool.Entry
	bytes   int // of the records as they are written
}

// load reads what was read of a shard, and what the ledger has of it.
func (d *decider) load(ctx context.Context, n int) (shard, error) {
	var s shard
	parts, err := d.Store.Blobs(ctx, d.job.RunID, store.BlobPart, n)
	if err != nil {
		return s, err
	}
	for i, part := range parts {
		data, err := d.OpenBlob(d.job.RunID, part)
		if err != nil {
			return s, err
		}
		parts[i].Data = nil // what is decrypted is enough
		s.bytes += len(data)
		if s.records, err = spool.AppendRecords(s.records, data); err != nil {
			return s, job.Unreadable(d.job.RunID, store.BlobPart, err)
		}
	}
	s.entries, err = d.Ledgers().Shard(ctx, d.job.Export.Name, n)
	return s, err
}

// shard decides the next shard. It is stored with the progress after it while the
// one after it is decided; what fails is known then.
func (d *decider) shard(ctx context.Context, s shard) error {
	var blobs []store.Blob
	var stale []byte
	var memos []decide.Memo
	err := d.rules.Shard(s.records, s.entries, d.digest, &d.state.Counts, decide.Sink{
		Send: func(item decide.Decision) error {
			d.samples.add(item)
			if d.read.Plan || !d.chosen(item) {
				return nil
			}
			p := &d.uploads
			if item.Kind == spool.Leaver {
				p = &d.leavers
			}
			p.add(item.BatchItem)
			if p.count < d.batchSize() && len(p.data) < d.Tuning.PartBytes {
				return nil
			}
			blob, err := d.pack(p)
			blobs = append(blobs, blob)
			return err
		},
		Stale:    func(address contact.Digest) { stale = append(stale, address[:]...) },
		Remember: func(m decide.Memo) { memos = append(memos, m) },
	})
	if err != nil {
		return err
	}
	if d.read.Plan {
		memos = nil
	}
	if len(stale) > 0 && !d.read.Plan && !d.job.Request.IsCanary() {
		sealed, err := d.Keyring.SealBlob(stale, job.BlobContext(d.job.RunID, store.BlobStale))
		if err != nil {
			return err
		}
		blobs = append(blobs, store.Blob{Kind: store.BlobStale, Group: d.state.NextShard, Data: sealed})
	}
	return d.commit(ctx, blobs, memos)
}

const (
	// largeRun is how many batches a large run is made of: they grow with it, as
	// each costs an activity, whose work and history are those of some calls.
	largeRun = 200
	// maxBatch is how many contacts a batch has at most: their calls are made one
	// after the other.
	maxBatch = 4000
)

// batchSize is how many contacts a batch of this run has.
func (d *decider) batchSize() int {
	return max(d.Tuning.BatchSize, min(d.read.Read/largeRun, maxBatch))
}

// chosen says whether a contact that is due is sent: by a canary only a few are.
func (d *decider) chosen(item decide.Decision) bool {
	asked := d.job.Request
	switch {
	case !asked.IsCanary():
		return true
	case d.only != nil && item.Address != *d.only, asked.Limit > 0 && d.state.Chosen >= asked.Limit:
		return false
	}
	d.state.Chosen++
	if contact.Carries(item.Item, contact.Subscribed) {
		d.state.Subscribed++
	}
	return true
}

// commit stores a decided shard. After the last one the batches that are not
// full are closed; before, they wait for the next shard as tails.
func (d *decider) commit(ctx context.Context, blobs []store.Blob, memos []decide.Memo) error {
	decided := d.state.NextShard
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
		sealed, err := d.Keyring.SealBlob(p.data, job.BlobContext(d.job.RunID, kind))
		if err != nil {
			return err
		}
		blobs = append(blobs, store.Blob{Kind: kind, Group: group, Seq: seq, Data: sealed})
	}
	if d.state.Done {
		drop = append(drop, store.BlobPart)
		d.state.Report = d.report(d.read)
	}
	sealed, err := d.Keyring.SealBlob(record.Encode(d.samples), job.BlobContext(d.job.RunID, store.BlobSamples))
	if err != nil {
		return err
	}
	blobs = append(blobs, store.Blob{Kind: store.BlobSamples, Data: sealed})
	step := store.Step{Run: d.job.RunID, Name: job.DecideStep, Lease: d.hold.Lease, State: record.Encode(d.state), Blobs: blobs, Drop: drop}
	return d.stores.do(func() error {
		if len(memos) > 0 {
			if err := d.remember(ctx, decided, memos); err != nil {
				return err
			}
		}
		return d.Store.CommitStep(ctx, step)
	})
}
