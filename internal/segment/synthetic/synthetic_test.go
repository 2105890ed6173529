package synthetic_test

import (
	"bytes"
	"io"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/segment-export/segment-export/internal/contact"
	"github.com/segment-export/segment-export/internal/segment/files"
	"github.com/segment-export/segment-export/internal/segment/segmenttest"
	"github.com/segment-export/segment-export/internal/segment/synthetic"
)

var mapping = contact.Mapping{
	contact.Email: "Email", contact.FirstName: "FirstName", contact.LastName: "LastName", contact.Address: "Street",
	contact.City: "City", contact.State: "State", contact.PostalCode: "PostalCode", contact.Country: "Country",
	contact.ConsentFlag: "EmailConsent", contact.ConsentDate: "ConsentDate",
}

// sent is what is sent of one address.
type sent struct {
	fields  string
	consent contact.Said
}

// read maps a segment as a run would.
func read(t *testing.T, data []byte) (synthetic.Expected, map[string]sent) {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(dir+"/s.csv", data, 0o600))
	root, err := os.OpenRoot(dir)
	require.NoError(t, err)
	defer root.Close()
	source, err := files.New(root, files.Config{Path: "."}, nil)
	require.NoError(t, err)
	mapper, err := contact.NewMapper(mapping, contact.Rules{}, time.Date(2026, 3, 15, 0, 0, 0, 0, time.UTC))
	require.NoError(t, err)

	var got synthetic.Expected
	contacts := map[string]sent{}
	for _, row := range segmenttest.ReadAll(t, source, "s", mapper.Fields(), nil) {
		require.Empty(t, row.Problem)
		got.Rows++
		p, reason := mapper.Map(row.Values)
		switch reason {
		case contact.ReasonEmailMissing:
			got.Invalid++
			got.EmailMissing++
			continue
		case "":
		default:
			got.Invalid++
			got.EmailInvalid++
			continue
		}
		if c, ok := contacts[p.Email]; ok {
			got.Duplicate++
			c.consent = contact.Stricter(c.consent, p.Said.Mail)
			contacts[p.Email] = c
			continue
		}
		contacts[p.Email] = sent{string(p.Fields), p.Said.Mail}
	}
	got.Contacts = len(contacts)
	for address, c := range contacts {
		now := time.Date(2026, 3, 15, 0, 0, 0, 0, time.UTC)
		switch consent, _ := (contact.Channel{}).Settle(c.consent, contact.ConsentRule{}, now); consent.Status {
		case contact.Subscribed:
			got.Subscribed++
		case contact.NonSubscribed:
			got.NonSubscribed++
		case contact.Unsubscribed:
			got.Unsubscribed++
			got.OptedOut = append(got.OptedOut, address)
			if consent.At.Equal(now) {
				got.UnsubscribedUndated++
			}
		}
	}
	slices.Sort(got.OptedOut)
	return got, contacts
}

// What the generator says of a segment is what mapping it comes to.
func TestExpectedIsWhatMappingFinds(t *testing.T) {
	for _, test := range []struct {
		size int
		seed uint64
		v    synthetic.Variant
	}{
		{0, 1, synthetic.Variant{}}, {1, 3, synthetic.Variant{}}, {50, 4, synthetic.Variant{}}, {5000, 1, synthetic.Variant{}},
		{20_000, 7, synthetic.Variant{}}, {20_000, 7, synthetic.Variant{Change: 0.01, Leave: 0.005}},
		{2000, 9, synthetic.Variant{Change: 1}}, {2000, 9, synthetic.Variant{Leave: 1}},
	} {
		var was, is bytes.Buffer
		before, err := synthetic.Write(&was, test.size, test.seed)
		require.NoError(t, err)
		want, err := synthetic.WriteVariant(&is, test.size, test.seed, test.v)
		require.NoError(t, err)

		got, contacts := read(t, is.Bytes())
		_, earlier := read(t, was.Bytes())
		for address, c := range earlier {
			if now, ok := contacts[address]; !ok {
				got.Left++
			} else if now != c {
				got.Changed++
			}
		}
		slices.Sort(want.OptedOut)
		require.Equal(t, want, got)
		require.Equal(t, before.Contacts, want.Contacts+want.Left)
		if test.size >= 2000 && test.v.Leave < 1 {
			require.NotZero(t, min(want.EmailMissing, want.EmailInvalid, want.Duplicate, want.Subscribed, want.UnsubscribedUndated, want.NonSubscribed))
		}
	}
}

// The example in the repository is what the command in examples/generate makes.
func TestTheExampleIsAsGenerated(t *testing.T) {
	var want bytes.Buffer
	_, err := synthetic.Write(&want, 5000, 1)
	require.NoError(t, err)
	got, err := os.ReadFile("../../../examples/segments/spring_buyers.csv")
	require.NoError(t, err)
	require.True(t, bytes.Equal(want.Bytes(), got), "make it again: go run ./examples/generate --size 5000 --seed 1 > examples/segments/spring_buyers.csv")
}

func TestArgumentsAreChecked(t *testing.T) {
	for _, v := range []synthetic.Variant{{Change: -0.1}, {Leave: 1.1}} {
		_, err := synthetic.WriteVariant(io.Discard, 1, 1, v)
		require.Error(t, err)
	}
	_, err := synthetic.Write(io.Discard, -1, 1)
	require.Error(t, err)
}

func BenchmarkWrite(b *testing.B) {
	for b.Loop() {
		if _, err := synthetic.Write(io.Discard, 100_000, 1); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(100_000*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
}
