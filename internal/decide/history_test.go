package decide

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/segment-export/segment-export/internal/contact"
	"github.com/segment-export/segment-export/internal/omnisend/sandbox"
	"github.com/segment-export/segment-export/internal/spool"
)

// person is one address at the source and at the account.
type person struct {
	flag, date string // as the source has them
	member     bool

	said       string    // yes, no or nothing: what that means
	yes        time.Time // the date of the last yes at the source
	noDate     time.Time // of the present no; zero without one that can be read
	fresh      bool      // the present no has a date of its own, and no run saw it yet
	seen       bool      // the last statement that a run saw was a no
	noAt       time.Time // from when the last no that was seen counts
	noSeen     time.Time // when it was first seen
	accountYes time.Time // when it subscribed at the account by its own will
	accountNo  time.Time
}

// speak makes the person say something new at the source.
func (p *person) speak(rng *rand.Rand, now time.Time, wasSent bool) {
	p.flag = []string{"unsubscribed", "opted-out", "false", "", "N"}[rng.IntN(5)]
	p.noDate = []time.Time{{}, now, time.Date(now.Year(), now.Month(), now.Day()+1, 0, 0, 0, -1e6, time.UTC), {}, now.Add(time.Hour)}[rng.IntN(5)]
	p.date = []string{"", "01/02/2026"}[rng.IntN(2)]
	if !p.noDate.IsZero() {
		p.date = p.noDate.Format("2006-01-02T15:04:05.999Z")
		if p.noDate.Hour() == 23 && p.noDate.Minute() == 59 {
			p.date = p.noDate.Format("02.01.2006")
		}
	}
	p.said = "no"
	if !wasSent && (p.flag == "" || p.flag == "N" || p.flag == "false" && p.date == "") {
		p.said = "nothing" // an undated refusal of somebody never sent as subscribed
	}
	p.fresh = !p.noDate.IsZero()
}

// see is what a run can know of the present statement. What was said and taken
// back between two runs, or while the person was in no segment, nobody sees.
func (p *person) see(now time.Time) {
	was := p.seen
	p.seen = p.said == "no"
	if !p.seen || was && !p.fresh {
		return
	}
	p.fresh, p.noSeen, p.noAt = false, now, now
	if !p.noDate.IsZero() && p.noDate.Before(now) {
		p.noAt = p.noDate
	}
}

// Over random histories of a source and an account: nobody who said no after
// their last yes, at source or account, ends as subscribed, and nobody who
// subscribed at the account after their last no at the source was first seen
// ends as unsubscribed by the export. The account keeps the status with the
// latest date, as the sandbox does.
func TestConsentOverRandomHistories(t *testing.T) {
	for seed := range uint64(1000) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { history(t, rand.New(rand.NewPCG(seed, 1))) })
	}
}

func history(t *testing.T, rng *rand.Rand) {
	t.Helper()
	account, err := sandbox.New(sandbox.Options{})
	require.NoError(t, err)
	const brand, email = "brand", "a@example.com"
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	p := person{member: true}
	var ledger []spool.Entry
	mapping := contact.Mapping{contact.Email: "Email", contact.ConsentFlag: "Flag", contact.ConsentDate: "Date"}
	for range 4 + rng.IntN(12) {
		now = now.Add(time.Duration(1+rng.IntN(72)) * time.Hour)
		switch rng.IntN(8) {
		case 0:
			account.Seed(brand, sandbox.Contact{Email: email, Status: "subscribed", StatusChangedAt: now})
			p.accountYes = now
		case 1:
			account.Seed(brand, sandbox.Contact{Email: email, Status: "unsubscribed", StatusChangedAt: now})
			p.accountNo = now
		case 2:
			p.flag, p.date, p.said, p.yes, p.fresh = "true", now.Format(time.RFC3339), "yes", now, false
		case 3, 4:
			p.speak(rng, now, slices.ContainsFunc(ledger, func(e spool.Entry) bool { return !e.Memory.Mail.Consented.IsZero() }))
		case 5: // leaves the segment, or comes back
			p.member = !p.member
		}
		now = now.Add(time.Minute)
		m, err := contact.NewMapper(mapping, contact.Rules{}, now)
		require.NoError(t, err)
		var records []spool.Record
		if p.member {
			values := make([]string, len(m.Fields()))
			for i, f := range m.Fields() {
				values[i] = map[string]string{"Email": email, "Flag": p.flag, "Date": p.date}[f]
			}
			profile, reason := m.Map(values)
			require.Empty(t, reason)
			records = append(records, spool.Record{Address: digest.Address(email), Profile: profile})
			p.see(now)
		}
		ledger = runOnce(t, records, ledger, now, account, brand)
		p.check(t, account.Contacts(brand)[email])
	}
}

// check holds the account against what the person wants.
func (p *person) check(t *testing.T, at sandbox.Contact) {
	t.Helper()
	yes := p.yes
	if p.accountYes.After(yes) {
		yes = p.accountYes
	}
	if p.said == "no" && p.seen && p.noAt.After(yes) || p.accountNo.After(yes) {
		require.NotEqual(t, "subscribed", at.Status, "said no after the last yes: %+v", p)
	}
	if p.accountYes.After(p.accountNo) && p.accountYes.After(p.noSeen) {
		require.Equal(t, "subscribed", at.Status, "subscribed at the account after the last no was first seen: %+v", p)
	}
}

// runOnce decides and delivers one run, and returns the ledger after it.
func runOnce(t *testing.T, records []spool.Record, ledger []spool.Entry, now time.Time, account *sandbox.Sandbox, brand string) []spool.Entry {
	t.Helper()
	r := &Rules{Bits: []uint{0}, Markers: []string{"segment_a"}, Unmark: true, Now: now}
	counts := NewCounts(1)
	after := map[contact.Digest]spool.Entry{}
	for _, e := range ledger {
		after[e.Address] = e
	}
	require.NoError(t, r.Shard(records, ledger, digest, &counts, Sink{
		Send: func(d Decision) error {
			deliver(t, account, brand, d.Item)
			e := spool.Entry{Address: d.Address, Content: d.Content, Email: d.Email, Segments: d.Segments, State: spool.Confirmed, Memory: d.Memory}
			if d.Kind != spool.Leaver {
				after[d.Address] = e
			} else if left, ok := spool.Remember(e); ok {
				after[d.Address] = left
			} else {
				delete(after, d.Address)
			}
			return nil
		},
		Remember: func(m Memo) {
			e, ok := after[m.Address]
			if !ok {
				e = spool.Entry{Address: m.Address, State: spool.Remembered}
			}
			e.Memory = m.Memory
			after[m.Address] = e
		},
	}))
	var entries []spool.Entry
	for _, e := range after {
		entries = append(entries, e)
	}
	return entries
}

// deliver writes a contact as the account would: the status with the latest
// date stays.
func deliver(t *testing.T, account *sandbox.Sandbox, brand string, item []byte) {
	t.Helper()
	var sent struct {
		Identifiers []struct {
			ID       string `json:"id"`
			Channels map[string]struct {
				Status string    `json:"status"`
				At     time.Time `json:"statusChangedAt"`
			} `json:"channels"`
		} `json:"identifiers"`
	}
	require.NoError(t, json.Unmarshal(item, &sent))
	email := sent.Identifiers[0]
	c, ok := account.Contacts(brand)[email.ID]
	if ch := email.Channels["email"]; !ok || ch.At.After(c.StatusChangedAt) {
		account.Seed(brand, sandbox.Contact{Email: email.ID, Status: ch.Status, StatusChangedAt: ch.At})
	}
}
