package intake

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/dustin/go-humanize"

	"github.com/segment-export/segment-export/internal/contact"
	"github.com/segment-export/segment-export/internal/decide"
	"github.com/segment-export/segment-export/internal/lease"
	"github.com/segment-export/segment-export/internal/ledger"
	"github.com/segment-export/segment-export/internal/record"
	"github.com/segment-export/segment-export/internal/run"
	"github.com/segment-export/segment-export/internal/spool"
)

// remember writes what a shard is to remember of consent into the ledger, at
// once: what was seen counts from then, whatever happens to the run.
func (d *decider) remember(ctx context.Context, shard int, memos []decide.Memo) error {
	export := d.job.Export.Name
	return d.UnderLease(ctx, ledger.LeaseName(export), func(ctx context.Context, _ lease.Hold) error {
		gone, err := d.Ledgers().Forgotten(ctx)
		if err != nil {
			return err
		}
		news := make(map[contact.Digest]decide.Memo, len(memos))
		for _, m := range memos {
			if !gone.Has(m.Email) { // it was forgotten meanwhile
				news[m.Address] = m
			}
		}
		old, err := d.Ledgers().Data(ctx, export, shard)
		if err != nil {
			return err
		}
		var entries []spool.Entry
		for e, err := range spool.Entries(old) {
			if err != nil {
				return fmt.Errorf("ledger of %q, shard %d: %w", export, shard, err)
			}
			if m, ok := news[e.Address]; ok {
				e.Memory, e.Filled = m.Memory, m.Filled
				entries = append(entries, e)
				delete(news, e.Address)
			}
		}
		for address, m := range news {
			entries = append(entries, spool.Entry{Address: address, State: spool.Remembered, Memory: m.Memory})
		}
		data, err := spool.MergeShard(old, entries, nil)
		if err != nil {
			return fmt.Errorf("ledger of %q, shard %d: %w", export, shard, err)
		}
		return d.Ledgers().SaveShard(ctx, export, shard, data)
	})
}

// consentFacts are what guards look at.
func (d *decider) consentFacts(r *run.Report) run.ConsentFacts {
	k := d.state.Counts.Consent
	return run.ConsentFacts{
		OptOuts: k.OptOuts, Mailed: run.Part(k.Mailed), Texted: run.Part(k.Texted),
		Undeclared: r.Consent.Undeclared, Unreadable: r.Consent.Unreadable,
		LastUndeclared: d.note.LastUndeclared, LastUnreadable: d.note.LastUnreadable,
		Frequent: frequent(d.seen.Values), NewRules: d.note.ConsentRules < ledger.ConsentRules,
	}
}

const (
	// often is how often an undeclared value must occur to be named: a rare one may
	// be personal.
	often = 20
	// mostNamed is how many are named.
	mostNamed = 5
)

// frequent names the most frequent values with their counts.
func frequent(values map[string]int) []string {
	names := slices.SortedFunc(maps.Keys(values), func(a, b string) int {
		return cmp.Or(cmp.Compare(values[b], values[a]), cmp.Compare(a, b))
	})
	var named []string
	for _, v := range names {
		if values[v] >= often && len(named) < mostNamed {
			named = append(named, fmt.Sprintf("%q (%s)", v, humanize.Comma(int64(values[v]))))
		}
	}
	return named
}

// seenContext is the context that what mappers saw of a run's rows is sealed with.
func seenContext(runID string) string { return "run/" + runID + "/seen" }

// sealSeen adds what the mapper saw to the state of a segment's read.
func (c *collector) sealSeen() error {
	c.seen.Add(c.mapper.TakeSeen())
	if len(c.seen.Values)+len(c.seen.Dates) == 0 {
		return nil
	}
	var err error
	c.state.Seen, err = c.Keyring.SealBlob(record.Encode(c.seen), seenContext(c.in.RunID))
	return err
}

// openSeen opens what was seen of one segment.
func (a *Steps) openSeen(runID string, sealed []byte) (contact.Seen, error) {
	if sealed == nil {
		return contact.Seen{}, nil
	}
	data, err := a.Keyring.OpenBlob(sealed, seenContext(runID))
	if err != nil {
		return contact.Seen{}, err
	}
	return record.Decode[contact.Seen](data)
}

// loadSeen brings together what was seen of all segments of the run.
func (d *decider) loadSeen(ctx context.Context) error {
	for i := range d.job.Segments() {
		s, err := d.Collected(ctx, d.job.RunID, i)
		if err != nil {
			return err
		}
		seen, err := d.openSeen(d.job.RunID, s.Seen)
		if err != nil {
			return err
		}
		d.seen.Add(seen)
	}
	d.samples.Dates = d.seen.Dates
	return nil
}

// consentCount puts the counts of a decision into a report's words; invalid are
// the opt-outs of rows that are never sent.
func consentCount(c decide.Counts, invalid int) run.ConsentCount {
	k := c.Consent
	return run.ConsentCount{
		Subscribed: k.Subscribed, Unsubscribed: k.Unsubscribed, NonSubscribed: c.Contacts - k.Subscribed - k.Unsubscribed,
		Undated:   k.Rules[string(contact.RuleUndated)] + k.Rules[string(contact.RuleIgnored)],
		Withdrawn: k.Rules[string(contact.RuleWithdrawn)], Refusals: k.Rules[string(contact.RuleRefusal)],
		WithoutEffect: k.WithoutEffect + invalid, Notes: k.Notes, UndatedOptOuts: k.UndatedOptOuts, DatedRefusals: k.DatedRefusals,
		Undeclared: run.Part{Count: k.Undeclared, Of: c.Contacts}, Unreadable: run.Part{Count: k.Unreadable, Of: k.Dates},
	}
}
