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

// nobody is a row that says nothing of consent.
func nobody(t time.Time) contact.Said { return contact.Said{Word: contact.No, At: t} }

func row(segment uint8, n int64, email string, mail contact.Said) spool.Record {
	return spool.Record{Address: digest.Address(email), Segment: segment, Row: n,
		Profile: contact.Profile{Email: email, Fields: fmt.Appendf(nil, `"firstName":"row %d"`, n),
			Said: contact.Statements{Mail: mail, SMS: contact.Said{At: contact.Undated}}}}
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
	require.NoError(t, r.Shard(records, ledger, digest, &counts, Sink{Send: func(i Decision) error {
		var item map[string]any
		require.NoError(t, json.Unmarshal(i.Item, &item))
		require.NotContains(t, out, i.Email, "a contact is sent once")
		out[i.Email] = sent{i.Kind, i.Segments, item}
		if i.Kind == spool.Leaver && i.Segments == 0 {
			delete(after, i.Address)
		} else {
			after[i.Address] = spool.Entry{Address: i.Address, Content: i.Content, Email: i.Email, Segments: i.Segments, State: spool.Confirmed, Memory: i.Memory, Filled: i.Filled}
		}
		return nil
	}}))
	var entries []spool.Entry
	for _, e := range after {
		entries = append(entries, e)
	}
	slices.SortFunc(entries, func(a, b spool.Entry) int { return bytes.Compare(a.Address[:], b.Address[:]) })
	return counts, out, entries
}

func properties(s sent) any { return s.item["customProperties"] }

func TestFirstRowsFieldsStrictestConsent(t *testing.T) {
	day := time.Date(2024, 5, 1, 0, 0, 0, 0, time.UTC)
	r := &Rules{Bits: []uint{0, 1}, Markers: []string{"segment_a", "segment_b"}, Unmark: true}
	counts, out, _ := decideAll(t, r, []spool.Record{
		row(1, 1, "zoe@example.com", contact.Said{Word: contact.OptOut, At: day}),
		row(0, 9, "zoe@example.com", nobody(contact.Undated)),
		row(0, 3, "zoe@example.com", contact.Said{Word: contact.Yes, At: day}),
	}, nil)
	require.Equal(t, []int{1, 1}, counts.Members)
	require.Equal(t, []int{1, 0}, counts.Duplicate)
	require.Equal(t, 1, counts.Contacts)
	require.Equal(t, 1, counts.Consent.Unsubscribed)
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
		row(0, 2, "b@example.com", contact.Said{Word: contact.OptOut, At: contact.Undated}),
	}, ledger)
	require.Equal(t, 2, counts.Changed)
	require.Equal(t, map[string]int{"profile": 1, "consent": 1}, counts.Differences)
	require.Equal(t, spool.Changed, out["a@example.com"].kind)
}

// A contact that is missing from a segment with unreadable rows may be in one of
// them: none loses its marker, and leavers of other segments go as usual.
func TestADoubtfulSegmentClearsNoMarker(t *testing.T) {
	both := &Rules{Bits: []uint{0, 1}, Markers: []string{"segment_a", "segment_b"}, Unmark: true}
	_, _, ledger := decideAll(t, both, []spool.Record{
		row(0, 1, "in-a@example.com", nobody(contact.Undated)),
		row(1, 1, "in-b@example.com", nobody(contact.Undated)),
		row(0, 2, "in-both@example.com", nobody(contact.Undated)), row(1, 2, "in-both@example.com", nobody(contact.Undated)),
		row(0, 3, "leaves-a@example.com", nobody(contact.Undated)), row(1, 3, "leaves-a@example.com", nobody(contact.Undated)),
		row(0, 4, "leaves-b@example.com", nobody(contact.Undated)), row(1, 4, "leaves-b@example.com", nobody(contact.Undated)),
	}, nil)
	now := []spool.Record{row(1, 3, "leaves-a@example.com", nobody(contact.Undated)), row(0, 4, "leaves-b@example.com", nobody(contact.Undated))}

	doubtful := *both
	doubtful.Doubtful = []bool{true, false}
	counts, out, after := decideAll(t, &doubtful, slices.Clone(now), slices.Clone(ledger))
	require.Equal(t, []int{4, 4}, counts.Carried)
	require.Equal(t, []int{0, 3}, counts.Left)
	require.Equal(t, []int{3, 0}, counts.Kept)
	require.NotContains(t, out, "in-a@example.com")
	require.Equal(t, map[string]any{"segment_b": ""}, properties(out["in-b@example.com"]))
	require.Equal(t, spool.Leaver, out["in-both@example.com"].kind)
	require.Equal(t, map[string]any{"segment_b": ""}, properties(out["in-both@example.com"]))
	require.Equal(t, uint64(1), out["in-both@example.com"].segments, "it stays in the ledger with the marker that it keeps")
	require.NotContains(t, out, "leaves-a@example.com", "nothing of it changes")
	require.Equal(t, map[string]any{"segment_a": true, "segment_b": ""}, properties(out["leaves-b@example.com"]))
	require.Equal(t, []int{2, 1, 1}, []int{counts.Leavers, counts.Changed, counts.Unchanged})

	counts, out, after = decideAll(t, &doubtful, slices.Clone(now), after)
	require.Empty(t, out, "nothing is sent for it again and again")
	require.Equal(t, []int{3, 0}, counts.Kept)

	counts, out, after = decideAll(t, both, slices.Clone(now), after)
	require.Equal(t, []int{3, 0}, counts.Left, "once all rows can be read they go")
	for _, gone := range []string{"in-a@example.com", "in-both@example.com"} {
		require.Equal(t, map[string]any{"segment_a": ""}, properties(out[gone]))
	}
	require.Equal(t, map[string]any{"segment_a": "", "segment_b": true}, properties(out["leaves-a@example.com"]))
	require.Len(t, after, 2)
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
	yes.Profile.Said.Phone, yes.Profile.Said.SMS = "+48512345678", contact.Said{Word: contact.Yes, At: since}
	no.Profile.Said.Phone, no.Profile.Said.SMS = "+48512345678", nobody(contact.Undated)
	other := yes
	other.Address, other.Profile.Email = digest.Address("b@example.com"), "b@example.com"
	_, out, _ := decideAll(t, &Rules{Bits: []uint{0}, Markers: []string{"m"}}, []spool.Record{yes, no, other}, nil)
	require.Len(t, out["a@example.com"].item["identifiers"], 1, "one row says no")
	require.Len(t, out["b@example.com"].item["identifiers"], 2)
}

func TestARefusedContactIsTriedAgainWhenAsked(t *testing.T) {
	r := &Rules{Bits: []uint{0}, Markers: []string{"segment_a"}, Unmark: true}
	rec := row(0, 1, "a@example.com", nobody(contact.Undated))
	other := row(0, 2, "b@example.com", nobody(contact.Undated))
	_, _, ledger := decideAll(t, r, []spool.Record{rec, other}, nil)
	for i := range ledger {
		if ledger[i].Email == "a@example.com" {
			ledger[i].State, ledger[i].Segments, ledger[i].Reason = spool.Refused, 0, "400 country"
		}
	}
	retry := *r
	retry.Retry = true
	counts, out, after := decideAll(t, &retry, []spool.Record{rec, other}, ledger)
	require.Len(t, out, 1, "what was confirmed is not sent again")
	require.Equal(t, []int{1, 1, 0}, []int{counts.New, counts.Unchanged, counts.Refused})
	require.Equal(t, spool.New, out["a@example.com"].kind)
	counts, out, _ = decideAll(t, r, []spool.Record{rec, other}, after)
	require.Empty(t, out)
	require.Equal(t, 2, counts.Unchanged)
}

// A renamed marker is cleared in the contact that sets the new one, under
// either policy; under keep a marker of a segment that was left stays.
func TestARenamedMarkerIsClearedInTheSameContact(t *testing.T) {
	before := &Rules{Bits: []uint{0, 1}, Markers: []string{"segment_a", "segment_b"}}
	both := []spool.Record{row(0, 1, "a@example.com", nobody(contact.Undated)), row(1, 1, "a@example.com", nobody(contact.Undated))}
	_, _, ledger := decideAll(t, before, both, nil)
	for _, unmark := range []bool{true, false} {
		renamed := &Rules{Bits: []uint{2, 1}, Markers: []string{"segment_a", "segment_b", "buyers"}, Unmark: unmark, Former: []uint64{1, 0}}
		counts, out, after := decideAll(t, renamed, slices.Clone(both), slices.Clone(ledger))
		require.Equal(t, 1, counts.Changed)
		require.Zero(t, counts.Leavers)
		require.Equal(t, map[string]any{"segment_a": "", "segment_b": true, "buyers": true}, properties(out["a@example.com"]))
		require.Equal(t, uint64(0b110), out["a@example.com"].segments)
		counts, out, _ = decideAll(t, renamed, slices.Clone(both), after)
		require.Empty(t, out)
		require.Equal(t, 1, counts.Unchanged)
	}
	// Under keep it leaves b: the marker stays and the ledger still has it.
	keep := &Rules{Bits: []uint{0, 1}, Markers: []string{"segment_a", "segment_b"}, Former: []uint64{0, 0}}
	_, out, after := decideAll(t, keep, both[:1], slices.Clone(ledger))
	require.Equal(t, map[string]any{"segment_a": true}, properties(out["a@example.com"]))
	require.Equal(t, uint64(0b11), out["a@example.com"].segments)
	_, out, after = decideAll(t, keep, both[:1], after)
	require.Empty(t, out)
	unmark := *keep
	unmark.Unmark = true
	_, out, _ = decideAll(t, &unmark, both[:1], after)
	require.Equal(t, map[string]any{"segment_a": true, "segment_b": ""}, properties(out["a@example.com"]), "once the policy is unmark")
}

// A property that belongs to another export by now is not ours to clear.
func TestAForeignMarkerIsLeftAlone(t *testing.T) {
	before := &Rules{Bits: []uint{0}, Markers: []string{"segment_a"}, Unmark: true}
	stays, goes := row(0, 1, "stays@example.com", nobody(contact.Undated)), row(0, 2, "goes@example.com", nobody(contact.Undated))
	_, _, ledger := decideAll(t, before, []spool.Record{stays, goes}, nil)
	r := &Rules{Bits: []uint{1}, Markers: []string{"segment_a", "buyers"}, Unmark: true, Former: []uint64{1}, Foreign: 1}
	var stale []contact.Digest
	counts := NewCounts(1)
	var items []string
	require.NoError(t, r.Shard([]spool.Record{stays}, ledger, digest, &counts, Sink{
		Send:  func(d Decision) error { items = append(items, string(d.Item)); return nil },
		Stale: func(a contact.Digest) { stale = append(stale, a) },
	}))
	require.Len(t, items, 1)
	require.Contains(t, items[0], `"customProperties":{"buyers":true}`)
	require.Equal(t, []contact.Digest{digest.Address("goes@example.com")}, stale)
}

func TestARefusedContactThatLeftIsForgotten(t *testing.T) {
	r := &Rules{Bits: []uint{0}, Markers: []string{"segment_a"}, Unmark: true}
	refused := spool.Entry{Address: digest.Address("a@example.com"), Email: "a@example.com", State: spool.Refused, Reason: "400"}
	var stale []contact.Digest
	counts := NewCounts(1)
	require.NoError(t, r.Shard(nil, []spool.Entry{refused}, digest, &counts, Sink{
		Send:  func(Decision) error { t.Error("nothing is sent"); return nil },
		Stale: func(a contact.Digest) { stale = append(stale, a) },
	}))
	require.Equal(t, []contact.Digest{refused.Address}, stale)
	require.Zero(t, counts.Leavers+counts.Ledger)
}

// A ledger of before consent was remembered changes nobody: what was confirmed
// and is said again is taken as what was sent.
func TestALedgerWithoutMemoryChangesNobody(t *testing.T) {
	now := time.Date(2026, 1, 10, 6, 0, 0, 0, time.UTC)
	r := &Rules{Bits: []uint{0}, Markers: []string{"segment_a"}, Unmark: true, Now: now}
	var records []spool.Record
	since := time.Date(2025, 3, 1, 10, 0, 0, 0, time.UTC)
	for i := range 100 {
		said := contact.Said{Word: contact.Yes, At: since}
		if i%2 == 0 {
			said = contact.Said{Word: contact.No, At: contact.Undated}
		}
		records = append(records, row(0, int64(i), fmt.Sprintf("p%d@example.com", i), said))
	}
	_, _, ledger := decideAll(t, r, slices.Clone(records), nil)
	for i := range ledger {
		ledger[i].Memory, ledger[i].Filled = contact.Memory{}, 0
	}
	counts := NewCounts(1)
	memos := map[contact.Digest]Memo{}
	require.NoError(t, r.Shard(slices.Clone(records), ledger, digest, &counts, Sink{
		Send:     func(Decision) error { t.Error("nothing is sent"); return nil },
		Remember: func(m Memo) { memos[m.Address] = m },
	}))
	require.Equal(t, 100, counts.Unchanged)
	require.Len(t, memos, 50, "those sent as subscribed")
	for i := range ledger {
		ledger[i].Memory = memos[ledger[i].Address].Memory
	}
	for i := range records {
		records[i].Profile.Said.Mail = contact.Said{Word: contact.No, At: contact.Undated}
	}
	counts, _, _ = decideAll(t, r, records, ledger)
	require.Equal(t, 50, counts.Consent.Rules[string(contact.RuleWithdrawn)], "so that they can be withdrawn later")
	require.Equal(t, Lost{Count: 50, Of: 50}, counts.Consent.Mailed)
}

// The contacts that an option of consent decides about are counted under each
// choice alike, so that a plan can say what the other would do.
func TestOptionsOfConsentAreCounted(t *testing.T) {
	now := time.Date(2026, 1, 10, 6, 0, 0, 0, time.UTC)
	day := now.AddDate(0, -1, 0)
	mapping := contact.Mapping{contact.Email: "Email", contact.ConsentFlag: "Flag", contact.ConsentDate: "Date"}
	rows := []struct{ email, flag, date string }{
		{"undated@example.com", "unsubscribed", ""}, {"bad@example.com", "unsubscribed", "soon"},
		{"dated@example.com", "unsubscribed", "2025-12-10"},
		{"refusal@example.com", "false", "2025-12-10"}, {"no@example.com", "false", ""}, {"yes@example.com", "true", "2025-12-10"},
		{"was1@example.com", "unsubscribed", ""}, {"was2@example.com", "false", "2026-01-05"}, // were sent as subscribed
	}
	for _, rule := range []contact.ConsentRule{{}, {UndatedOptOuts: contact.UndatedIgnore}, {Refusals: contact.RefusalsNone},
		{UndatedOptOuts: contact.UndatedIgnore, Refusals: contact.RefusalsNone}} {
		r := &Rules{Bits: []uint{0}, Markers: []string{"segment_a"}, Unmark: true, Now: now, Consent: rule}
		_, _, ledger := decideAll(t, r, []spool.Record{
			row(0, 1, "was1@example.com", contact.Said{Word: contact.Yes, At: day}),
			row(0, 2, "was2@example.com", contact.Said{Word: contact.Yes, At: day}),
		}, nil)
		m, err := contact.NewMapper(mapping, contact.Rules{Consent: rule}, now)
		require.NoError(t, err)
		var records []spool.Record
		for _, in := range rows {
			values := make([]string, len(m.Fields()))
			for i, f := range m.Fields() {
				values[i] = map[string]string{"Email": in.email, "Flag": in.flag, "Date": in.date}[f]
			}
			profile, reason := m.Map(values)
			require.Empty(t, reason)
			records = append(records, spool.Record{Address: digest.Address(in.email), Profile: profile})
		}
		counts, _, _ := decideAll(t, r, records, ledger)
		k := counts.Consent
		require.Equal(t, []int{2, 1}, []int{k.UndatedOptOuts, k.DatedRefusals}, "%+v", rule)
		unsubscribed := len(rows) - 2 // all but a refusal without a date and a consent
		if rule.Refusals == contact.RefusalsNone {
			unsubscribed -= k.DatedRefusals
		}
		require.Equal(t, unsubscribed, k.Unsubscribed, "%+v", rule)
		if rule.UndatedOptOuts == contact.UndatedIgnore {
			require.Equal(t, k.UndatedOptOuts, k.Rules[string(contact.RuleIgnored)], "%+v", rule)
		}
	}
}

// An emptied value is cleared where the export wants it, once, and only what was sent.
func TestEmptiedValuesAreClearedOnce(t *testing.T) {
	r := &Rules{Bits: []uint{0}, Markers: []string{"segment_a"}, Fields: []uint{0, 1}, FieldNames: []string{"first-name", "city"}, Clear: 0b10}
	full, empty := row(0, 1, "a@example.com", nobody(contact.Undated)), row(0, 1, "a@example.com", nobody(contact.Undated))
	full.Profile.Fields, full.Profile.Filled = []byte(`"firstName":"Anna","city":"Oslo"`), 0b11
	empty.Profile.Fields, empty.Profile.Filled = nil, 0
	_, _, ledger := decideAll(t, r, []spool.Record{full}, nil)
	keep := *r
	keep.Clear = 0
	_, out, kept := decideAll(t, &keep, []spool.Record{empty}, slices.Clone(ledger))
	require.NotContains(t, out["a@example.com"].item, "city")
	for _, ledger := range [][]spool.Entry{ledger, kept} { // also when the export learns of it later
		counts, out, after := decideAll(t, r, []spool.Record{empty}, slices.Clone(ledger))
		require.Equal(t, "", out["a@example.com"].item["city"])
		require.NotContains(t, out["a@example.com"].item, "firstName")
		require.Equal(t, map[string]Lost{"city": {Count: 1, Of: 1}}, counts.Cleared)
		counts, out, _ = decideAll(t, r, []spool.Record{empty}, after)
		require.Empty(t, out)
		require.Equal(t, 1, counts.Unchanged)
	}
}
