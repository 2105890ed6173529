package decide

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/segment-export/segment-export/internal/contact"
	"github.com/segment-export/segment-export/internal/spool"
)

var digest = contact.NewDigester(bytes.Repeat([]byte{7}, 32))

func nobody(t time.Time) contact.Consent {
	return contact.Consent{Status: contact.NonSubscribed, At: t}
}

func row(segment uint8, n int64, email string, consent contact.Consent) spool.Record {
	return spool.Record{Address: digest.Address(email), Segment: segment, Row: n,
		Profile: contact.Profile{Email: email, Fields: fmt.Appendf(nil, `"firstName":"row %d"`, n), Consent: consent}}
}

type sent struct {
	kind     spool.Kind
	segments uint64
	item     map[string]any
}

// decideAll runs one shard and returns what it sends, by address, and the ledger
// that a full confirmation would leave.
func decideAll(t *testing.T, r *Rules, records []spool.Record, ledger []spool.Entry) (Counts, map[string]sent, []spool.Entry) {
	t.Helper()
	counts := NewCounts(len(r.Bits))
	out := map[string]sent{}
	after := map[contact.Digest]spool.Entry{}
	for _, e := range ledger {
		after[e.Address] = e
	}
	slices.SortFunc(ledger, func(a, b spool.Entry) int { return bytes.Compare(a.Address[:], b.Address[:]) })
	require.NoError(t, r.Shard(records, ledger, digest, &counts, func(i spool.BatchItem) error {
		var item map[string]any
		require.NoError(t, json.Unmarshal(i.Item, &item))
		require.NotContains(t, out, i.Email, "a contact is sent once")
		out[i.Email] = sent{i.Kind, i.Segments, item}
		if i.Kind == spool.Leaver {
			delete(after, i.Address)
		} else {
			after[i.Address] = spool.Entry{Address: i.Address, Content: i.Content, Email: i.Email, Segments: i.Segments, State: spool.Confirmed}
		}
		return nil
	}))
	var entries []spool.Entry
	for _, e := range after {
		entries = append(entries, e)
	}
	return counts, out, entries
}

func properties(s sent) any { return s.item["customProperties"] }

func TestFirstRowsFieldsStrictestConsent(t *testing.T) {
	day := time.Date(2024, 5, 1, 0, 0, 0, 0, time.UTC)
	r := &Rules{Bits: []uint{0, 1}, Markers: []string{"segment_a", "segment_b"}, Unmark: true}
	counts, out, _ := decideAll(t, r, []spool.Record{
		row(1, 1, "zoe@example.com", contact.Consent{Status: contact.Unsubscribed, At: day}),
		row(0, 9, "zoe@example.com", nobody(contact.Undated)),
		row(0, 3, "zoe@example.com", contact.Consent{Status: contact.Subscribed, At: day}),
	}, nil)
	require.Equal(t, []int{1, 1}, counts.Members)
	require.Equal(t, []int{1, 0}, counts.Duplicate)
	require.Equal(t, 1, counts.Contacts)
	require.Equal(t, 1, counts.Unsubscribed)
	z := out["zoe@example.com"]
	require.Equal(t, spool.New, z.kind)
	require.Equal(t, "row 3", z.item["firstName"], "the first row of the first segment")
	require.Equal(t, map[string]any{"segment_a": true, "segment_b": true}, properties(z))
	status := z.item["identifiers"].([]any)[0].(map[string]any)["channels"].(map[string]any)["email"].(map[string]any)["status"]
	require.Equal(t, "unsubscribed", status)
}

func TestSecondTimeNothingIsSent(t *testing.T) {
	r := &Rules{Bits: []uint{0}, Markers: []string{"segment_a"}, Unmark: true}
	records := []spool.Record{row(0, 1, "a@example.com", nobody(contact.Undated)), row(0, 2, "b@example.com", nobody(contact.Undated))}
	_, first, ledger := decideAll(t, r, records, nil)
	require.Len(t, first, 2)
	counts, second, _ := decideAll(t, r, records, ledger)
	require.Empty(t, second)
	require.Equal(t, 2, counts.Unchanged)
	require.Equal(t, 2, counts.Ledger)

	full := *r
	full.Full = true
	counts, all, _ := decideAll(t, &full, records, ledger)
	require.Len(t, all, 2)
	require.Equal(t, 2, counts.Changed)
}

func TestChangesAreNamed(t *testing.T) {
	r := &Rules{Bits: []uint{0}, Markers: []string{"segment_a"}, Unmark: true}
	_, _, ledger := decideAll(t, r, []spool.Record{row(0, 1, "a@example.com", nobody(contact.Undated)), row(0, 2, "b@example.com", nobody(contact.Undated))}, nil)
	counts, out, _ := decideAll(t, r, []spool.Record{
		row(0, 7, "a@example.com", nobody(contact.Undated)),
		row(0, 2, "b@example.com", contact.Consent{Status: contact.Unsubscribed, At: contact.Undated}),
	}, ledger)
	require.Equal(t, 2, counts.Changed)
	require.Equal(t, map[string]int{"profile": 1, "consent": 1}, counts.Differences)
	require.Equal(t, spool.Changed, out["a@example.com"].kind)
}

func TestLeavers(t *testing.T) {
	both := &Rules{Bits: []uint{0, 1}, Markers: []string{"segment_a", "segment_b"}, Unmark: true}
	_, _, ledger := decideAll(t, both, []spool.Record{
		row(0, 1, "gone@example.com", nobody(contact.Undated)),
		row(0, 2, "one@example.com", nobody(contact.Undated)), row(1, 2, "one@example.com", nobody(contact.Undated)),
	}, nil)

	counts, out, _ := decideAll(t, both, []spool.Record{row(1, 2, "one@example.com", nobody(contact.Undated))}, ledger)
	require.Equal(t, 1, counts.Leavers)
	gone := out["gone@example.com"]
	require.Equal(t, spool.Leaver, gone.kind)
	require.Equal(t, map[string]any{"segment_a": ""}, properties(gone), "only our own marker")
	require.NotContains(t, gone.item, "firstName")
	one := out["one@example.com"]
	require.Equal(t, spool.Changed, one.kind)
	require.Equal(t, map[string]any{"segment_a": "", "segment_b": true}, properties(one), "it keeps the other segment's marker")
	require.Equal(t, uint64(2), one.segments)

	keep := *both
	keep.Unmark = false
	counts, out, _ = decideAll(t, &keep, nil, ledger)
	require.Empty(t, out)
	require.Zero(t, counts.Leavers)
	require.Equal(t, 2, counts.Ledger)
}

func TestARefusedContactWaitsForOtherData(t *testing.T) {
	r := &Rules{Bits: []uint{0}, Markers: []string{"segment_a"}, Unmark: true}
	rec := row(0, 1, "a@example.com", nobody(contact.Undated))
	_, _, ledger := decideAll(t, r, []spool.Record{rec}, nil)
	ledger[0].State, ledger[0].Segments, ledger[0].Reason = spool.Refused, 0, "400 country"
	counts, out, _ := decideAll(t, r, []spool.Record{rec}, ledger)
	require.Empty(t, out)
	require.Equal(t, 1, counts.Refused)
	require.Equal(t, map[string]int{"400 country": 1}, counts.Reasons)

	counts, out, _ = decideAll(t, r, []spool.Record{row(0, 2, "a@example.com", nobody(contact.Undated))}, ledger)
	require.Len(t, out, 1)
	require.Equal(t, 1, counts.New, "the account never had it")
}

// Whatever happens to a segment, the numbers add up, and once all is confirmed
// the next decision sends nothing.
func TestNumbersAlwaysAddUp(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	r := &Rules{Bits: []uint{0, 1}, Markers: []string{"segment_a", "segment_b"}, Unmark: true}
	var ledger []spool.Entry
	for range 50 {
		var records []spool.Record
		for n := range rng.IntN(200) {
			records = append(records, row(uint8(rng.IntN(2)), int64(n%40), fmt.Sprintf("p%d@example.com", rng.IntN(100)), nobody(contact.Undated)))
		}
		counts, out, after := decideAll(t, r, slices.Clone(records), ledger)
		rows := counts.Members[0] + counts.Members[1] + counts.Duplicate[0] + counts.Duplicate[1]
		require.Equal(t, len(records), rows)
		require.Equal(t, counts.Contacts, counts.ToSend()+counts.Unchanged+counts.Refused)
		require.Len(t, out, counts.ToSend()+counts.Leavers)
		_, again, _ := decideAll(t, r, records, after)
		require.Empty(t, again)
		ledger = after
	}
}

func TestTextingFollowsTheStrictestRow(t *testing.T) {
	since := time.Date(2024, 5, 1, 0, 0, 0, 0, time.UTC)
	yes, no := row(0, 1, "a@example.com", nobody(contact.Undated)), row(0, 2, "a@example.com", nobody(contact.Undated))
	yes.Profile.SMS = contact.SMS{Phone: "+48512345678", Consent: contact.Consent{Status: contact.Subscribed, At: since}}
	no.Profile.SMS = contact.SMS{Phone: "+48512345678", Consent: nobody(contact.Undated)}
	other := yes
	other.Address, other.Profile.Email = digest.Address("b@example.com"), "b@example.com"
	_, out, _ := decideAll(t, &Rules{Bits: []uint{0}, Markers: []string{"m"}}, []spool.Record{yes, no, other}, nil)
	require.Len(t, out["a@example.com"].item["identifiers"], 1, "one row says no")
	require.Len(t, out["b@example.com"].item["identifiers"], 2)
}
