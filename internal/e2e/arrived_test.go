package e2e

import (
	"encoding/csv"
	"encoding/json"
	"maps"
	"os"
	"strings"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/segment-export/segment-export/internal/contact"
	"github.com/segment-export/segment-export/internal/omnisend/omnisendtest"
	"github.com/segment-export/segment-export/internal/omnisend/sandbox"
	"github.com/segment-export/segment-export/internal/protocol"
)

// mapped is what a valid profile of the segment has to be at the target.
type mapped struct {
	fields map[string]string
	said   contact.Said
}

// mappedRows maps the segment's file without the product: the first row of an address
// gives its fields, the most restrictive consent of all its rows counts.
func (s *shop) mappedRows() map[string]mapped {
	s.t.Helper()
	file, err := os.Open(s.path("segments", "spring_buyers.csv"))
	require.NoError(s.t, err)
	defer file.Close()
	rows, err := csv.NewReader(file).ReadAll()
	require.NoError(s.t, err)
	attributes := contact.Mapping{}
	for i := 2; i < len(mapping); i += 2 {
		name, field, _ := strings.Cut(mapping[i+1], "=")
		attributes[contact.Attribute(name)] = field
	}
	mapper, err := contact.NewMapper(attributes, contact.Rules{}, time.Now())
	require.NoError(s.t, err)
	column := map[string]int{}
	for i, name := range rows[0] {
		column[name] = i
	}
	all := map[string]mapped{}
	for _, row := range rows[1:] {
		var values []string
		for _, field := range mapper.Fields() {
			values = append(values, row[column[field]])
		}
		p, reason := mapper.Map(values)
		if reason != "" {
			continue
		}
		known, again := all[p.Email]
		if again {
			known.said = contact.Stricter(known.said, p.Said.Mail)
			all[p.Email] = known
			continue
		}
		m := mapped{fields: map[string]string{}, said: p.Said.Mail}
		require.NoError(s.t, json.Unmarshal([]byte("{"+string(p.Fields)+"}"), &m.fields))
		all[p.Email] = m
	}
	return all
}

// firstRunBegan is when the export's first run began, from which it counts what
// it saw without a date.
func (s *shop) firstRunBegan() time.Time {
	s.t.Helper()
	var page protocol.RunsPage
	require.NoError(s.t, json.Unmarshal([]byte(s.must("runs", "list", "--output", "json")), &page))
	require.NotEmpty(s.t, page.Runs)
	return page.Runs[len(page.Runs)-1].StartedAt
}

// known are contacts that the account has before the run: each opted out a
// moment ago, with tags, a property and a date of birth of its own.
func (s *shop) known() map[string]sandbox.Contact {
	s.t.Helper()
	known := map[string]sandbox.Contact{}
	for address := range s.mappedRows() {
		if len(known) == 100 {
			break
		}
		c := sandbox.Contact{Email: address, Status: "unsubscribed", StatusChangedAt: time.Now().UTC().Truncate(time.Millisecond),
			Tags: []string{"source: till", "vip"}, Properties: map[string]any{"shoe_size": "44"}, Fields: map[string]string{"birthdate": "1980-02-29"}}
		s.sandbox.Seed(omnisendtest.Brand, c)
		known[address] = c
	}
	require.Len(s.t, known, 100)
	return known
}

// arrivedAsMapped compares every contact at the target, field by field, with
// what the segment's rows map to, and with what the account had before.
func (s *shop) arrivedAsMapped(known map[string]sandbox.Contact) {
	s.t.Helper()
	want, got := s.mappedRows(), s.sandbox.Contacts(omnisendtest.Brand)
	began := s.firstRunBegan()
	require.Len(s.t, got, len(want))
	fields := 0
	for address, m := range want {
		c, ok := got[address]
		require.True(s.t, ok, "a valid profile is not at the target")
		if m.fields["countryCode"] != "" { // the account names the country itself, by the code
			delete(c.Fields, "country")
			delete(m.fields, "country")
		}
		properties := map[string]any{"segment_spring_buyers": true}
		consent, _ := contact.Channel{}.Settle(m.said, contact.ConsentRule{}, began)
		status, at := string(consent.Status), consent.At
		before, wasThere := known[address]
		if wasThere {
			if !at.After(before.StatusChangedAt) {
				status, at = before.Status, before.StatusChangedAt
			}
			maps.Copy(properties, before.Properties)
			maps.Copy(m.fields, before.Fields)
		}
		require.Equal(s.t, m.fields, c.Fields, address)
		require.Equal(s.t, status, c.Status, address)
		require.WithinDuration(s.t, at, c.StatusChangedAt, time.Millisecond, address)
		require.Equal(s.t, properties, c.Properties, address)
		require.Equal(s.t, before.Tags, c.Tags, address)
		fields += len(c.Fields)
	}
	require.Greater(s.t, fields, 4*len(want), "the comparison compares something")
}
