package spool

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/segment-export/segment-export/internal/contact"
)

func digest(n byte) contact.Digest { return contact.Digest{n, 15: n} }

func records() []Record {
	undated := contact.Said{At: contact.Undated}
	said := func(mail, sms contact.Said, phone string) contact.Statements {
		return contact.Statements{Mail: mail, SMS: sms, Phone: phone}
	}
	all := []Record{
		{Profile: contact.Profile{Said: said(undated, undated, "")}},
		{Address: digest(1), Segment: 3, Row: 2, Profile: contact.Profile{
			Email: "o'brien@example.com", Fields: []byte(`"firstName":"Zoë"`), Filled: 1<<63 | 5,
			Said: said(contact.Said{Word: contact.Yes, At: time.Date(2024, 5, 1, 10, 0, 0, 123e6, time.UTC)}, undated, ""),
		}},
		{Address: digest(2), Segment: 255, Row: 1 << 40, Profile: contact.Profile{
			Email: "a@b.example", Said: said(contact.Said{Word: contact.No, At: contact.Undated, Note: "some_new_note"}, undated, ""),
		}},
		{Profile: contact.Profile{Properties: []byte(`"p":[1]`),
			Said: said(undated, contact.Said{Word: contact.Refused, At: time.UnixMilli(-5).UTC()}, "+48512345678")}},
	}
	for _, note := range notes {
		for word := contact.Silent; word <= contact.Declined; word++ {
			s := contact.Said{Word: word, At: contact.Undated, Note: note}
			all = append(all, Record{Profile: contact.Profile{Said: said(s, s, "")}})
		}
	}
	return all
}

// remembered is a memory with everything in it.
func remembered() contact.Memory {
	at := func(ms int64) time.Time { return time.UnixMilli(ms).UTC() }
	return contact.Memory{
		Mail: contact.Channel{Sent: contact.Unsubscribed, SentAt: at(1), Rule: contact.RuleWithdrawn, Consented: at(-1), Seen: at(1_800_000_000_123), Stated: at(0)},
		SMS:  contact.Channel{Sent: contact.Subscribed, SentAt: at(5), Rule: "some_new_rule", Consented: at(5), Phone: "+48512345678"},
	}
}

func TestRecordsComeBackAsTheyWere(t *testing.T) {
	var data []byte
	for _, r := range records() {
		data = AppendRecord(data, r)
	}
	var got []Record
	for r, err := range Records(data) {
		require.NoError(t, err)
		got = append(got, r)
	}
	require.Equal(t, records(), got)
}

func TestBatchItemsComeBackAsTheyWere(t *testing.T) {
	want := []BatchItem{
		{Address: digest(1), Content: contact.ContentDigest{Profile: [8]byte{1}, Consent: [8]byte{2}, Markers: [8]byte{7: 3}},
			Kind: New, Segments: 1<<63 | 1, Email: "a@example.com", Item: []byte(`{"identifiers":[]}`), Memory: remembered(), Filled: 7},
		{Kind: Changed, Memory: contact.Memory{SMS: remembered().SMS}},
		{Kind: Changed}, {Kind: Leaver, Email: "b@example.com", Item: []byte(`{}`)},
	}
	var data []byte
	for _, it := range want {
		data = AppendBatchItem(data, it)
	}
	var got []BatchItem
	for it, err := range BatchItems(data) {
		require.NoError(t, err)
		got = append(got, it)
	}
	require.Equal(t, want, got)
}

func TestAnEmptyBlobHasNothing(t *testing.T) {
	for range Records(nil) {
		t.Fatal("a record out of nothing")
	}
	entries, err := collect(Entries([]byte{}))
	require.NoError(t, err)
	require.Empty(t, entries)
}

func TestDamageIsNoticed(t *testing.T) {
	var data []byte
	ends := map[int]bool{1: true}
	for _, r := range records() {
		data = AppendRecord(data, r)
		ends[len(data)] = true
	}
	for cut := 1; cut < len(data); cut++ {
		_, err := collect(Records(data[:cut]))
		if ends[cut] {
			require.NoError(t, err, "cut at %d", cut) // a shorter blob: encryption notices that one
		} else {
			require.ErrorIs(t, err, ErrCorrupt, "cut at %d", cut)
		}
	}
	other := append([]byte{}, data...)
	other[0] = versionItems
	_, err := collect(Records(other))
	require.ErrorIs(t, err, ErrCorrupt)
	_, err = collect(Entries(data))
	require.ErrorIs(t, err, ErrCorrupt)
	_, err = collect(BatchItems([]byte{versionRecords}))
	require.ErrorIs(t, err, ErrCorrupt)
}

func TestIterationMayBeBrokenOff(t *testing.T) {
	data := AppendRecord(AppendRecord(nil, records()[1]), records()[2])
	n := 0
	for range Records(data) {
		n++
		break
	}
	require.Equal(t, 1, n)
}

func collect[T any](seq func(func(T, error) bool)) ([]T, error) {
	var all []T
	for v, err := range seq {
		if err != nil {
			return all, err
		}
		all = append(all, v)
	}
	return all, nil
}

func entry(n byte, email string) Entry {
	return Entry{Address: digest(n), Content: contact.ContentDigest{Profile: [8]byte{n}}, Email: email, Segments: uint64(n),
		State: Confirmed, SentAt: 1_700_000_000}
}

// What was written before consent was remembered is read as remembering nothing.
func TestBlobsOfBeforeTheMemoryOfConsent(t *testing.T) {
	var ledger, items []byte
	e := entry(1, "a@example.com")
	ledger = append(ledger, versionEntriesBefore)
	ledger = append(appendContent(append(ledger, e.Address[:]...), e.Content), byte(e.State))
	ledger = appendBytes(appendBytes(appendInt(appendUint(ledger, e.Segments), e.SentAt), e.Email), e.Reason)
	got, err := collect(Entries(ledger))
	require.NoError(t, err)
	require.Equal(t, []Entry{e}, got)
	merged, err := MergeShard(ledger, []Entry{{Address: digest(9), State: Remembered, Memory: remembered()}}, nil)
	require.NoError(t, err)
	got, err = collect(Entries(merged))
	require.NoError(t, err)
	require.Equal(t, []Entry{e, {Address: digest(9), State: Remembered, Memory: remembered()}}, got)

	items = append(appendContent(append(append(items, versionItemsBefore), e.Address[:]...), e.Content), byte(New))
	items = appendBytes(appendBytes(appendUint(items, 3), e.Email), []byte(`{}`))
	batch, err := collect(BatchItems(items))
	require.NoError(t, err)
	require.Equal(t, []BatchItem{{Address: e.Address, Content: e.Content, Kind: New, Segments: 3, Email: e.Email, Item: []byte(`{}`)}}, batch)
}

func TestMergeShard(t *testing.T) {
	refused := entry(5, "e")
	refused.State, refused.Reason = Refused, "invalid_format"
	old, err := MergeShard(nil, []Entry{entry(3, "c"), entry(1, "a"), refused}, nil)
	require.NoError(t, err)
	for name, test := range map[string]struct {
		updates  []Entry
		removals []contact.Digest
		want     []Entry
	}{
		"nothing":               {nil, nil, []Entry{entry(1, "a"), entry(3, "c"), refused}},
		"before, between, last": {[]Entry{entry(9, "i"), entry(0, "z"), entry(2, "b")}, nil, []Entry{entry(0, "z"), entry(1, "a"), entry(2, "b"), entry(3, "c"), refused, entry(9, "i")}},
		"replaced":              {[]Entry{entry(3, "C")}, nil, []Entry{entry(1, "a"), entry(3, "C"), refused}},
		"the last update":       {[]Entry{entry(4, "1"), entry(4, "2"), entry(1, "3"), entry(1, "4")}, nil, []Entry{entry(1, "4"), entry(3, "c"), entry(4, "2"), refused}},
		"removed":               {nil, []contact.Digest{digest(1), digest(7)}, []Entry{entry(3, "c"), refused}},
		"removal over update":   {[]Entry{entry(3, "C"), entry(6, "f")}, []contact.Digest{digest(6), digest(3)}, []Entry{entry(1, "a"), refused}},
		"emptied":               {nil, []contact.Digest{digest(1), digest(3), digest(5)}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			updates := slices.Clone(test.updates)
			merged, err := MergeShard(old, test.updates, test.removals)
			require.NoError(t, err)
			got, err := collect(Entries(merged))
			require.NoError(t, err)
			require.Equal(t, test.want, got)
			require.Equal(t, updates, test.updates)
		})
	}
	_, err = MergeShard(old[:len(old)-1], nil, nil)
	require.ErrorIs(t, err, ErrCorrupt)
	unsorted := appendEntry(appendEntry(nil, new(entry(2, ""))), new(entry(1, "")))
	_, err = MergeShard(unsorted, nil, nil)
	require.ErrorIs(t, err, ErrCorrupt)
}

// A shard merged in many steps is what a map would hold.
func TestMergeShardAgainstAMap(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	want := map[contact.Digest]Entry{}
	var shard []byte
	for step := range 200 {
		var updates []Entry
		var removals []contact.Digest
		for range random.IntN(8) {
			e := entry(byte(random.IntN(60)), fmt.Sprint(step, random.IntN(9)))
			updates = append(updates, e)
			want[e.Address] = e
		}
		for range random.IntN(4) {
			d := digest(byte(random.IntN(60)))
			removals = append(removals, d)
			delete(want, d)
		}
		var err error
		shard, err = MergeShard(shard, updates, removals)
		require.NoError(t, err)
		got, err := collect(Entries(shard))
		require.NoError(t, err)
		require.Len(t, got, len(want))
		for _, e := range got {
			require.Equal(t, want[e.Address], e)
		}
	}
}

// Slices hold what iteration gives, and damage is noticed alike.
func TestSlicesHoldWhatIterationGives(t *testing.T) {
	for _, n := range []int{0, 1, sampleEntries, sampleEntries + 1, 200} {
		var recs, items, shard []byte
		for i := range n {
			e := entry(byte(i), strings.Repeat("x", i%40))
			e.Memory = remembered()
			recs = AppendRecord(recs, records()[i%len(records())])
			items = AppendBatchItem(items, BatchItem{Address: e.Address, Kind: New, Email: e.Email, Item: []byte(`{}`), Memory: e.Memory})
			shard = appendEntry(shard, &e)
		}
		for _, data := range [][]byte{recs, items, shard} {
			sameAll(t, data)
			for cut := range min(len(data), 600) {
				sameAll(t, data[:len(data)-cut])
			}
		}
	}
	some, err := AppendRecords([]Record{{Row: 7}}, AppendRecord(nil, records()[0]))
	require.NoError(t, err)
	require.Len(t, some, 2)
	require.Equal(t, int64(7), some[0].Row)
}

func sameAll(t *testing.T, data []byte) {
	t.Helper()
	recs, err := AppendRecords(nil, data)
	sameAs(t, Records(data), recs, err)
	items, err := AllBatchItems(data)
	sameAs(t, BatchItems(data), items, err)
	entries, err := AllEntries(data)
	sameAs(t, Entries(data), entries, err)
}

func sameAs[T any](t *testing.T, seq func(func(T, error) bool), got []T, err error) {
	t.Helper()
	want, wantErr := collect(seq)
	require.Equal(t, wantErr, err)
	if err == nil {
		require.Equal(t, want, got)
	}
}

func FuzzRecords(f *testing.F) {
	var data []byte
	for _, r := range records() {
		data = AppendRecord(data, r)
	}
	f.Add(data)
	f.Add(appendEntry(nil, new(entry(1, "a"))))
	f.Add(AppendBatchItem(nil, BatchItem{Kind: New, Item: []byte("{}")}))
	f.Fuzz(func(t *testing.T, data []byte) {
		sameAll(t, data)
		// What can be read at all can be written and read again.
		if all, err := collect(Records(data)); err == nil {
			var again []byte
			for _, r := range all {
				again = AppendRecord(again, r)
			}
			back, err := collect(Records(again))
			require.NoError(t, err)
			require.Equal(t, all, back)
		}
		if all, err := collect(BatchItems(data)); err == nil {
			var again []byte
			for _, it := range all {
				again = AppendBatchItem(again, it)
			}
			back, err := collect(BatchItems(again))
			require.NoError(t, err)
			require.Equal(t, all, back)
		}
		if all, err := collect(Entries(data)); err == nil {
			merged, err := MergeShard(data, nil, nil)
			require.NoError(t, err)
			back, err := collect(Entries(merged))
			require.NoError(t, err)
			require.Equal(t, all, back)
		}
	})
}

func BenchmarkRecords(b *testing.B) {
	r := records()[1]
	r.Profile.Fields = []byte(`"firstName":"Zoë","lastName":"García","address":"Calle Mayor 1","city":"Łódź","state":"","postalCode":"90-001","countryCode":"PL"`)
	b.Run("append", func(b *testing.B) {
		b.ReportAllocs()
		var data []byte
		for b.Loop() {
			data = AppendRecord(data[:0], r)
		}
		b.SetBytes(int64(len(data)))
	})
	b.Run("read", func(b *testing.B) {
		var data []byte
		for range 1000 {
			data = AppendRecord(data, r)
		}
		b.ReportAllocs()
		n := 0
		for b.Loop() {
			for _, err := range Records(data) {
				if err != nil {
					b.Fatal(err)
				}
				n++
			}
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n), "ns/record")
	})
}

// One shard of a million contacts of which one in a hundred changed.
func BenchmarkMergeShard(b *testing.B) {
	random := rand.New(rand.NewPCG(1, 2))
	var all, changed []Entry
	for i := range 1_000_000 / contact.Shards {
		e := entry(0, fmt.Sprintf("another.one%d@example.com", i))
		for j := range e.Address {
			e.Address[j] = byte(random.Uint32())
		}
		all = append(all, e)
		if i%100 == 0 {
			changed = append(changed, e)
		}
	}
	old, err := MergeShard(nil, all, nil)
	require.NoError(b, err)
	b.SetBytes(int64(len(old)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := MergeShard(old, changed, nil); err != nil {
			b.Fatal(err)
		}
	}
}
