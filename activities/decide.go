package activities

import (
	"context"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/segment-export/segment-export/internal/catalogue"
	"github.com/segment-export/segment-export/internal/contact"
	"github.com/segment-export/segment-export/internal/decide"
	"github.com/segment-export/segment-export/internal/omnisend"
	"github.com/segment-export/segment-export/internal/reason"
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

// decideState is the progress of deciding; stored after each shard.
type decideState struct {
	NextShard int           `json:"next_shard"`
	Done      bool          `json:"done"`
	Counts    decide.Counts `json:"counts"`
	Uploads   int           `json:"uploads"`
	Leavers   int           `json:"leavers"`
	// Of a canary: contacts chosen to be sent, and those of them as subscribed.
	Chosen     int `json:"chosen,omitempty"`
	Subscribed int `json:"subscribed,omitempty"`
	// Report has the exact numbers and the guards that ask, once Done.
	Report *run.Report `json:"report,omitempty"`
}

const decideStep = "decide"

// Decide compares what was read with the ledger, shard by shard, and makes full
// batches of what is to be sent. Each shard is stored with the progress after
// it. When all are done the report has exact numbers and the guards that ask.
// It fails before every segment is read: what is missing would count as having
// left.
func (a *Activities) Decide(ctx context.Context, in RunInput) (*DecideResult, error) {
	var result *DecideResult
	err := a.underLease(ctx, "run/"+in.RunID+"/decide", func(ctx context.Context, h hold) error {
		d, err := a.decider(ctx, in.RunID, h)
		if err != nil {
			return err
		}
		until := time.Now().Add(a.Tuning.Slice)
		for !d.state.Done && !h.stopping() {
			if err := d.shard(ctx); err != nil {
				return err
			}
			if time.Now().After(until) {
				break
			}
		}
		result = &DecideResult{Done: d.state.Done, Shards: d.state.NextShard, Report: d.state.Report,
			Uploads: d.state.Uploads, Leavers: d.state.Leavers}
		if d.state.Done {
			return a.amendReport(ctx, in.RunID, func(stored *run.Report) {
				status := stored.Status
				*stored = *result.Report
				stored.Status, stored.Phase = status, run.PhaseDecide
			})
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
	read    *run.Report // what was read
	note    *ledgerNote
	digest  *contact.Digester
	rules   decide.Rules
	rivals  []string        // what to tell about other exports
	full    string          // why unchanged contacts are sent too; empty: they are not
	only    *contact.Digest // of a canary: the one address to be sent
	state   decideState
	uploads packer
	leavers packer
	samples samples
	seen    contact.Seen
}

func (a *Activities) decider(ctx context.Context, runID string, h hold) (*decider, error) {
	d := &decider{Activities: a, hold: h}
	var err error
	if d.job, err = a.job(ctx, runID); err != nil {
		return nil, err
	}
	var complete bool
	if d.read, complete, err = a.readReport(ctx, d.job); err != nil {
		return nil, err
	}
	if !complete {
		return nil, errNotPermitted("its segments are not read to their end")
	}
	if d.conn, _, err = object[catalogue.Connection](ctx, a, catalogue.KindConnection, d.job.Export.Connection); err != nil {
		return nil, err
	}
	note, key, err := a.note(ctx, d.job.Export.Name)
	if err != nil {
		return nil, err
	}
	d.note, d.digest = note, contact.NewDigester(key)
	if d.rivals, err = a.rivalNotes(ctx, d.job.Export); err != nil {
		return nil, err
	}
	if err := d.setRules(ctx, key); err != nil {
		return nil, err
	}
	var began bool
	if d.state, began, err = a.decision(ctx, runID); err != nil {
		return nil, err
	}
	if !began {
		d.state.Counts = decide.NewCounts(len(d.job.Export.Segments))
	}
	d.uploads = packer{first: firstBatch(phaseUploads, 0), made: &d.state.Uploads, tail: tailUploads}
	d.leavers = packer{first: firstBatch(phaseLeavers, 0), made: &d.state.Leavers, tail: tailLeavers}
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
	foreign, err := d.foreign(ctx, d.note, e.Name)
	if err != nil {
		return err
	}
	switch {
	case asked.Full:
		d.full = "as asked"
	case !asked.IsCanary() && !asked.Adopt && asked.Remove == "" && d.note.Unsure:
		d.full = "as calls of an earlier run were given up whose contacts are not known"
	case !asked.IsCanary() && !asked.Adopt && asked.Remove == "" && d.note.LastRun != "" && d.note.fullDue(e, d.job.Began):
		d.full = "as the export wants every " + reason.Count(e.FullEvery, "day", "days")
	}
	unmark := e.Leavers != catalogue.LeaversKeep && !asked.IsCanary()
	d.rules = decide.Rules{Markers: d.note.Markers, Unmark: unmark || asked.Remove != "", Full: d.full != "", Retry: asked.Retry, Foreign: foreign,
		Consent: e.Consent, Now: d.job.Began}
	mapper, err := d.job.mapper()
	if err != nil {
		return err
	}
	d.rules.Fields, d.rules.FieldNames = d.note.fieldBits(mapper.FieldNames()), d.note.Fields
	for i, name := range d.note.Fields {
		if !asked.IsCanary() && e.Clears(name) {
			d.rules.Clear |= 1 << i
		}
	}
	for i, s := range e.Segments {
		bit, err := d.note.bit(s)
		if err != nil {
			return err
		}
		d.rules.Bits, d.rules.Former = append(d.rules.Bits, bit), append(d.rules.Former, d.note.former(s))
		d.rules.Doubtful = append(d.rules.Doubtful, i < len(d.read.Segments) && d.read.Segments[i].Unreadable > 0)
	}
	if len(asked.Only) > 0 {
		email, err := d.Keyring.Open(asked.Only, onlyContext(d.job.RunID))
		if err != nil {
			return err
		}
		address := contact.NewDigester(key).Address(string(email))
		d.only = &address
	}
	return nil
}

// shard decides the next shard and stores it with the progress after it.
func (d *decider) shard(ctx context.Context) error {
	parts, err := d.Store.Blobs(ctx, d.job.RunID, store.BlobPart, d.state.NextShard)
	if err != nil {
		return err
	}
	var records []spool.Record
	for i, part := range parts {
		data, err := d.openBlob(d.job.RunID, part)
		if err != nil {
			return err
		}
		parts[i].Data = nil // what is decrypted is enough
		for rec, err := range spool.Records(data) {
			if err != nil {
				return unreadable(d.job.RunID, store.BlobPart, err)
			}
			records = append(records, rec)
		}
	}
	entries, err := d.ledgerShard(ctx, d.job.Export.Name, d.state.NextShard)
	if err != nil {
		return err
	}
	var blobs []store.Blob
	var stale []byte
	var memos []decide.Memo
	err = d.rules.Shard(records, entries, d.digest, &d.state.Counts, decide.Sink{
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
			if p.count < d.Tuning.BatchSize && len(p.data) < d.Tuning.PartBytes {
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
	if len(memos) > 0 && !d.read.Plan {
		if err := d.remember(ctx, d.state.NextShard, memos); err != nil {
			return err
		}
	}
	if len(stale) > 0 && !d.read.Plan && !d.job.Request.IsCanary() {
		sealed, err := d.Keyring.SealBlob(stale, blobContext(d.job.RunID, store.BlobStale))
		if err != nil {
			return err
		}
		blobs = append(blobs, store.Blob{Kind: store.BlobStale, Group: d.state.NextShard, Data: sealed})
	}
	return d.commit(ctx, blobs)
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
	if carries(item.Item, contact.Subscribed) {
		d.state.Subscribed++
	}
	return true
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
		d.state.Report = d.report(d.read)
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
		s.Members, s.Duplicate, s.Left = c.Members[i], c.Duplicate[i], c.Left[i]
		r.Duplicate += s.Duplicate
	}
	r.Contacts, r.Unchanged, r.Refused = c.Contacts, c.Unchanged, c.Refused
	r.ToSend, r.Unsent, r.LeaversDue = c.ToSend(), c.ToSend(), c.Leavers
	r.Consent = consentCount(c, r.InvalidOptOuts)
	r.Differences = c.Differences
	for name, cleared := range c.Cleared {
		if cleared.Count > 0 {
			addCounts(&r.Cleared, map[string]int{name: cleared.Count})
		}
	}
	mergeReasons(r, c.Reasons)
	if r.Plan {
		r.New, r.Changed, r.Leavers = c.New, c.Changed, c.Leavers
	}
	r.Full, r.Retry, r.Adopt, r.Removes = d.full != "", d.job.Request.Retry, d.job.Request.Adopt, d.job.Request.Remove != ""
	if d.job.Request.IsCanary() {
		r.Canary = &run.Canary{Limit: d.job.Request.Limit, Address: d.only != nil, Sends: d.state.Chosen}
	}
	d.tell(r)
	sends := r.ToSend
	switch {
	case r.Canary != nil:
		sends = r.Canary.Sends
	case r.Adopt:
		sends = 0
	}
	r.PlannedCalls = calls(sends) + calls(c.Leavers)
	if d.conn.CallsPerMinute > 0 {
		minutes := float64(r.PlannedCalls) / (float64(d.conn.CallsPerMinute) * d.conn.Share)
		r.PlannedMinutes = math.Round(100*minutes) / 100
	}
	r.Guards = d.guards(r)
	if most := d.conn.MaxContacts; most > 0 && c.Contacts > most && r.Canary == nil {
		r.OverLimit = most
	}
	return r
}

func calls(contacts int) int { return (contacts + omnisend.MaxItems - 1) / omnisend.MaxItems }

// guards asks those that concern this kind of run: a canary sends too little
// for any but the first, taking over an audience sends nothing, and removing an
// export is answered for already.
func (d *decider) guards(r *run.Report) []run.GuardResult {
	facts := run.Facts{FirstRun: d.note.LastRun == "", Report: r, LastRead: d.note.LastRead,
		Ledger: d.state.Counts.Ledger, Minutes: r.PlannedMinutes, Calls: r.PlannedCalls}
	for i, s := range r.Segments {
		facts.Segments = append(facts.Segments, run.SegmentFacts{LastMembers: d.note.LastMembers[s.Segment], Carried: d.state.Counts.Carried[i]})
	}
	facts.Consent, facts.Cleared = d.consentFacts(r), map[string]run.Part{}
	for name, c := range d.state.Counts.Cleared {
		facts.Cleared[name] = run.Part(c)
	}
	switch {
	case r.Removes:
		return nil
	case r.Canary != nil:
		facts = run.Facts{FirstRun: facts.FirstRun, Minutes: facts.Minutes, Calls: facts.Calls,
			Report: &run.Report{ToSend: r.Canary.Sends, Consent: run.ConsentCount{Subscribed: d.state.Subscribed}}}
	case r.Adopt:
		facts.FirstRun, facts.Consent, facts.Cleared = false, run.ConsentFacts{}, nil // nothing is sent
	}
	return run.CheckGuards(facts, d.job.Export.Guards)
}

// tell notes what somebody should know before anything happens.
func (d *decider) tell(r *run.Report) {
	c := d.state.Counts
	if d.full != "" {
		r.Notes = append(r.Notes, "unchanged contacts are sent too, "+d.full)
	}
	if r.NewRules = d.note.Rules.changed(rulesOf(d.job.Export, d.job.Source)); len(r.NewRules) > 0 && !r.Removes {
		has := "has"
		if len(r.NewRules) > 1 || strings.HasSuffix(r.NewRules[0], "s") {
			has = "have"
		}
		r.Notes = append(r.Notes, fmt.Sprintf("the %s %s changed since the last complete run: that makes %d of %d contacts changed, and sends them again",
			strings.Join(r.NewRules, ", the "), has, c.Changed, c.Changed+c.Unchanged))
	}
	if !r.Removes {
		r.Notes = append(r.Notes, d.rivals...)
	}
	for i, s := range r.Segments {
		if s.Unreadable == 0 {
			continue
		}
		note := fmt.Sprintf("segment %s has rows that could not be read (%d): whoever is missing may be in one of them, so nobody loses its marker", reason.Names(s.Segment), s.Unreadable)
		if kept := c.Kept[i]; kept > 0 {
			note += fmt.Sprintf(" (contacts that keep it: %d)", kept)
		}
		r.Notes = append(r.Notes, note)
	}
	if d.only != nil && d.state.Chosen == 0 {
		r.Notes = append(r.Notes, "the address is not among the contacts that are due: it is in no segment of the export, invalid, unchanged, or was refused with the same data")
	}
}
