package activities

import (
	"bytes"
	"context"
	"fmt"

	"github.com/segment-export/segment-export/internal/contact"
	"github.com/segment-export/segment-export/internal/decide"
	"github.com/segment-export/segment-export/internal/run"
	"github.com/segment-export/segment-export/internal/spool"
)

// carries says whether a contact is sent with a status on any channel. A quote
// within a value would be escaped.
func carries(item []byte, status contact.Status) bool {
	return bytes.Contains(item, []byte(`"status":"`+status+`"`))
}

// remember writes what a shard is to remember of consent into the ledger, at
// once: what was seen counts from then, whatever happens to the run.
func (d *decider) remember(ctx context.Context, shard int, memos []decide.Memo) error {
	export := d.job.Export.Name
	return d.underLease(ctx, ledgerLease(export), func(ctx context.Context, _ hold) error {
		gone, err := d.forgottenNow(ctx)
		if err != nil {
			return err
		}
		memories := make(map[contact.Digest]contact.Memory, len(memos))
		for _, m := range memos {
			if !gone.has(m.Email) { // it was forgotten meanwhile
				memories[m.Address] = m.Memory
			}
		}
		old, err := d.ledgerData(ctx, export, shard)
		if err != nil {
			return err
		}
		var entries []spool.Entry
		for e, err := range spool.Entries(old) {
			if err != nil {
				return fmt.Errorf("ledger of %q, shard %d: %w", export, shard, err)
			}
			if memory, ok := memories[e.Address]; ok {
				e.Memory = memory
				entries = append(entries, e)
				delete(memories, e.Address)
			}
		}
		for address, memory := range memories {
			entries = append(entries, spool.Entry{Address: address, State: spool.Remembered, Memory: memory})
		}
		data, err := spool.MergeShard(old, entries, nil)
		if err != nil {
			return fmt.Errorf("ledger of %q, shard %d: %w", export, shard, err)
		}
		return d.saveShard(ctx, export, shard, data)
	})
}

// consentCount puts the counts of a decision into a report's words; invalid are
// the opt-outs of rows that are never sent.
func consentCount(c decide.Counts, invalid int) run.ConsentCount {
	k := c.Consent
	return run.ConsentCount{
		Subscribed: k.Subscribed, Unsubscribed: k.Unsubscribed, NonSubscribed: c.Contacts - k.Subscribed - k.Unsubscribed,
		Undated:   k.Rules[string(contact.RuleUndated)] + k.Rules[string(contact.RuleIgnored)],
		Withdrawn: k.Rules[string(contact.RuleWithdrawn)], Refusals: k.Rules[string(contact.RuleRefusal)],
		WithoutEffect: k.WithoutEffect + invalid, Notes: k.Notes,
	}
}
