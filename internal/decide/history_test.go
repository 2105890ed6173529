package decide

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/segment-export/segment-export/internal/contact"
	"github.com/segment-export/segment-export/internal/omnisend/sandbox"
	"github.com/segment-export/segment-export/internal/spool"
)

// voice is what one export's source says about one channel of an address.
type voice struct {
	flag, date string // as the source has them

	said   string    // yes, no or nothing: what that means
	yes    time.Time // the date of the last yes
	noDate time.Time // of the present no; zero without one that can be read
	fresh  bool      // the present no has a date of its own, and no run saw it yet
	sent   bool      // a run saw a yes, and sent it
	seen   bool      // the last statement that a run saw was a no
	noAt   time.Time // from when the last no that was seen counts
	noSeen time.Time // when it was first seen
}

// agree makes it say yes.
func (v *voice) agree(now time.Time) {
	v.flag, v.date, v.said, v.yes, v.fresh = "true", now.Format(time.RFC3339), "yes", now, false
}

// refuse makes it say some kind of no.
func (v *voice) refuse(rng *rand.Rand, now time.Time) {
	v.flag = []string{"unsubscribed", "opted-out", "false", "", "N"}[rng.IntN(5)]
	v.noDate = []time.Time{{}, now, time.Date(now.Year(), now.Month(), now.Day()+1, 0, 0, 0, -1e6, time.UTC), {}, now.Add(time.Hour)}[rng.IntN(5)]
	v.date = []string{"", "01/02/2026"}[rng.IntN(2)]
	if !v.noDate.IsZero() {
		v.date = v.noDate.Format("2006-01-02T15:04:05.999Z")
		if v.noDate.Hour() == 23 && v.noDate.Minute() == 59 {
			v.date = v.noDate.Format("02.01.2006")
		}
	}
	v.said = "no"
	v.weigh()
	v.fresh = !v.noDate.IsZero()
}

// weigh makes no consent without more mean nothing unless a yes was sent: it is
// a no only of those who were sent as subscribed.
func (v *voice) weigh() {
	if !v.sent && v.said == "no" && (v.flag == "" || v.flag == "N" || v.flag == "false" && v.date == "") {
		v.said = "nothing"
	}
}

// see is what a run can know of the present statement. What was said and taken
// back between two runs, or while the person was in no segment, nobody sees.
func (v *voice) see(now time.Time) {
	was := v.seen
	v.sent = v.sent || v.said == "yes"
	v.seen = v.said == "no"
	if !v.seen || was && !v.fresh {
		return
	}
	v.fresh, v.noSeen, v.noAt = false, now, now
	if !v.noDate.IsZero() && v.noDate.Before(now) {
		v.noAt = v.noDate
	}
}

// forget is what a forgotten address leaves: no export knows what it saw or sent.
func (v *voice) forget() {
	v.sent, v.seen = false, false
	v.weigh()
}

// The two channels, and the two exports of one account, each from a source of its own.
const (
	mail, sms         = 0, 1
	channels, exports = 2, 2
)

const (
	brand  = "brand"
	email  = "a@example.com"
	number = "+48512345678"
)

// person is one address with its number, at the sources and at the account.
type person struct {
	voices    [exports][channels]voice
	member    [exports]bool
	forgotten bool
	yes, no   [channels]time.Time // when it subscribed and unsubscribed at the account by its own will
	ledgers   [exports][]spool.Entry
}

// Over random histories of two sources and an account, on both channels: nobody
// who said no after their last yes, at source or account, ends as subscribed,
// and nobody who subscribed at the account after their last no at a source was
// first seen ends as unsubscribed by an export. The account keeps the status
// with the latest date, as the sandbox does.
func TestConsentOverRandomHistories(t *testing.T) {
	for seed := range uint64(1000) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { history(t, rand.New(rand.NewPCG(seed, 1))) })
	}
}

func history(t *testing.T, rng *rand.Rand) {
	t.Helper()
	account, err := sandbox.New(sandbox.Options{})
	require.NoError(t, err)
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	p := person{member: [exports]bool{true, true}}
	for range 8 + rng.IntN(24) {
		now = now.Add(time.Duration(1+rng.IntN(72)) * time.Hour)
		export, channel := rng.IntN(exports), rng.IntN(channels)
		v := &p.voices[export][channel]
		switch rng.IntN(9) {
		case 0:
			seed(account, channel, "subscribed", now)
			p.yes[channel] = now
		case 1:
			seed(account, channel, "unsubscribed", now)
			p.no[channel] = now
		case 2, 3:
			v.agree(now)
		case 4, 5:
			v.refuse(rng, now)
		case 6: // leaves the segment, or comes back
			p.member[export] = !p.member[export]
		case 7:
			p.forget()
		}
		now = now.Add(time.Minute)
		p.run(t, rng.IntN(exports), now, account)
		p.check(t, account)
	}
}

// forget has the address forgotten, or allows it again.
func (p *person) forget() {
	if p.forgotten = !p.forgotten; !p.forgotten {
		return
	}
	p.ledgers = [exports][]spool.Entry{}
	for export := range p.voices {
		for channel := range p.voices[export] {
			p.voices[export][channel].forget()
		}
	}
}

// run runs one export.
func (p *person) run(t *testing.T, export int, now time.Time, account *sandbox.Sandbox) {
	t.Helper()
	m, err := contact.NewMapper(contact.Mapping{contact.Email: "Email", contact.ConsentFlag: "Flag", contact.ConsentDate: "Date",
		contact.Phone: "Phone", contact.SMSConsent: "SMS", contact.SMSConsentDate: "Since"}, contact.Rules{}, now)
	require.NoError(t, err)
	var records []spool.Record
	if p.member[export] && !p.forgotten {
		voices := &p.voices[export]
		values := make([]string, len(m.Fields()))
		for i, f := range m.Fields() {
			values[i] = map[string]string{"Email": email, "Flag": voices[mail].flag, "Date": voices[mail].date,
				"Phone": number, "SMS": voices[sms].flag, "Since": voices[sms].date}[f]
		}
		profile, reason := m.Map(values)
		require.Empty(t, reason)
		records = append(records, spool.Record{Address: digest.Address(email), Profile: profile})
		for channel := range voices {
			voices[channel].see(now)
		}
	}
	p.ledgers[export] = runOnce(t, records, p.ledgers[export], now, account)
}

// check holds the account against what the person wants.
func (p *person) check(t *testing.T, account *sandbox.Sandbox) {
	t.Helper()
	at := account.Contacts(brand)[email]
	for channel, status := range []string{at.Status, at.Phones[number].Status} {
		yes, noAt, noSeen := p.yes[channel], p.no[channel], p.no[channel]
		for export := range p.voices {
			v := &p.voices[export][channel]
			yes = latest(yes, v.yes)
			noSeen = latest(noSeen, v.noSeen)
			if v.said == "no" && v.seen {
				noAt = latest(noAt, v.noAt)
			}
		}
		if noAt.After(yes) {
			require.NotEqual(t, "subscribed", status, "channel %d, said no after the last yes: %+v", channel, p)
		}
		if p.yes[channel].After(noSeen) {
			require.Equal(t, "subscribed", status, "channel %d, subscribed at the account after the last no was first seen: %+v", channel, p)
		}
	}
}

func latest(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// runOnce decides and delivers one run, and returns the ledger after it.
func runOnce(t *testing.T, records []spool.Record, ledger []spool.Entry, now time.Time, account *sandbox.Sandbox) []spool.Entry {
	t.Helper()
	r := &Rules{Bits: []uint{0}, Markers: []string{"segment_a"}, Unmark: true, Now: now}
	counts := NewCounts(1)
	after := map[contact.Digest]spool.Entry{}
	for _, e := range ledger {
		after[e.Address] = e
	}
	require.NoError(t, r.Shard(records, ledger, digest, &counts, Sink{
		Send: func(d Decision) error {
			deliver(t, account, d.Item)
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
func deliver(t *testing.T, account *sandbox.Sandbox, item []byte) {
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
	for _, id := range sent.Identifiers {
		for name, s := range id.Channels {
			channel, at := mail, account.Contacts(brand)[email].StatusChangedAt
			if name == "sms" {
				require.Equal(t, number, id.ID)
				channel, at = sms, account.Contacts(brand)[email].Phones[number].StatusChangedAt
			}
			if s.At.After(at) {
				seed(account, channel, s.Status, s.At)
			}
		}
	}
}

// seed gives a channel a status at the account.
func seed(account *sandbox.Sandbox, channel int, status string, at time.Time) {
	c := account.Contacts(brand)[email]
	c.Email = email
	if channel == mail {
		c.Status, c.StatusChangedAt = status, at
	} else {
		c.Phones = map[string]sandbox.Phone{number: {Status: status, StatusChangedAt: at}}
	}
	account.Seed(brand, c)
}
