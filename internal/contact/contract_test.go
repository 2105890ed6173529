package contact_test

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/segment-export/segment-export/internal/contact"
	"github.com/segment-export/segment-export/internal/omnisend/contract"
	"github.com/segment-export/segment-export/internal/omnisend/omnisendtest"
	"github.com/segment-export/segment-export/internal/omnisend/sandbox"
	"github.com/segment-export/segment-export/internal/segment/synthetic"
)

// A segment of all sorts of people becomes requests that keep Omnisend's
// contract, and nothing in them widens a consent.
func TestItemsKeepTheContract(t *testing.T) {
	var file bytes.Buffer
	_, err := synthetic.Write(&file, 5000, 2)
	require.NoError(t, err)
	rows, err := csv.NewReader(&file).ReadAll()
	require.NoError(t, err)
	now := time.Date(2026, 3, 15, 0, 0, 0, 0, time.UTC)
	m, err := contact.NewMapper(contact.Mapping{
		contact.Email: "Email", contact.FirstName: "FirstName", contact.LastName: "LastName", contact.Address: "Street",
		contact.City: "City", contact.State: "State", contact.PostalCode: "PostalCode", contact.Country: "Country",
		contact.ConsentFlag: "EmailConsent", contact.ConsentDate: "ConsentDate",
	}, contact.Rules{}, now)
	require.NoError(t, err)

	items := [][]byte{contact.LeaverItem(nil, "gone@example.com", []string{"segment_spring", "segment_summer"})}
	for _, row := range rows[1:] {
		values := make([]string, len(m.Fields()))
		for i, field := range m.Fields() {
			values[i] = row[slices.Index(rows[0], field)]
		}
		if p, reason := m.Map(values); reason == "" {
			items = append(items, contact.Item(nil, p, settled(p, now), []contact.MarkerValue{{Property: "segment_spring", Member: true}, {Property: "segment_summer"}}))
		}
	}
	requireContract(t, items)
	for _, item := range items {
		var c struct {
			Identifiers []struct {
				Channels map[string]struct {
					Status          contact.Status `json:"status"`
					StatusChangedAt time.Time      `json:"statusChangedAt"`
				} `json:"channels"`
				SendWelcomeMessage *bool `json:"sendWelcomeMessage"`
				Consent            *struct {
					CreatedAt time.Time `json:"createdAt"`
				} `json:"consent"`
			} `json:"identifiers"`
			Tags any `json:"tags"`
		}
		require.NoError(t, json.Unmarshal(item, &c))
		require.Nil(t, c.Tags)
		require.Len(t, c.Identifiers, 1)
		id := c.Identifiers[0]
		require.False(t, *id.SendWelcomeMessage)
		email := id.Channels["email"]
		require.False(t, email.StatusChangedAt.After(now))
		switch email.Status {
		case contact.Subscribed:
			require.True(t, email.StatusChangedAt.After(contact.Undated))
			require.Equal(t, email.StatusChangedAt, id.Consent.CreatedAt)
		case contact.NonSubscribed:
			require.True(t, email.StatusChangedAt.Equal(contact.Undated))
			require.Nil(t, id.Consent)
		default:
			require.Equal(t, contact.Unsubscribed, email.Status)
			require.Nil(t, id.Consent)
		}
	}
}

// settled are the statuses of a contact that nothing is remembered of.
func settled(p contact.Profile, now time.Time) contact.Settled {
	s, _ := contact.Memory{}.Settle(p.Said, contact.ConsentRule{}, now)
	return s
}

// requireContract holds contacts, put into batches, against the contract.
func requireContract(t *testing.T, items [][]byte) {
	t.Helper()
	for call := range slices.Chunk(items, 100) {
		body := fmt.Sprintf(`{"method":"POST","endpoint":"contacts","items":[%s]}`, bytes.Join(call, []byte(",")))
		r := httptest.NewRequest(http.MethodPost, "/api/batches", nil)
		r.Header.Set("Authorization", "Omnisend-API-Key k")
		r.Header.Set("Omnisend-Version", contract.Version())
		r.Header.Set("Content-Type", "application/json")
		require.NoError(t, contract.CheckRequest(r, []byte(body)))
	}
}

// A contact with everything that can be mapped is one that the sandbox, which
// is strict, takes in whole.
func TestEverythingThatCanBeMapped(t *testing.T) {
	target := omnisendtest.Start(t, sandbox.Options{})
	fields := map[string]string{"E": "anna@example.com", "C": "PL", "P": "512 345 678", "Y": "yes", "D": "2024-05-01", "G": "f",
		"N": "12.50", "L": "a;b", "Never": ""}
	m, err := contact.NewMapper(contact.Mapping{
		contact.Email: "E", contact.Country: "C", contact.Phone: "P", contact.SMSConsent: "Y", contact.SMSConsentDate: "D",
		contact.BirthDate: "D", contact.Gender: "G", contact.ConsentFlag: "Y", contact.ConsentDate: "D", contact.City: "Never",
		"property:spent:number": "N", "property:tags:list": "L", "property:vip:boolean": "Y", "property:since:date": "D",
		"property:note": "G", "property:gone": "Never",
	}, contact.Rules{}, time.Date(2026, 3, 15, 0, 0, 0, 0, time.UTC))
	require.NoError(t, err)
	values := make([]string, len(m.Fields()))
	for i, field := range m.Fields() {
		values[i] = fields[field]
	}
	p, reason := m.Map(values)
	require.Empty(t, reason)
	require.Empty(t, m.LeftOut())
	item := contact.Item(nil, p, settled(p, time.Date(2026, 3, 15, 0, 0, 0, 0, time.UTC)), []contact.MarkerValue{{Property: "segment_spring", Member: true}})
	requireContract(t, [][]byte{item})
	_, err = target.API.CreateBatch(t.Context(), "test", [][]byte{item})
	require.NoError(t, err)

	got := target.Sandbox.Contacts(omnisendtest.Brand)["anna@example.com"]
	since := time.Date(2024, 5, 1, 0, 0, 0, 0, time.UTC)
	require.Equal(t, map[string]sandbox.Phone{"+48512345678": {Status: "subscribed", StatusChangedAt: since}}, got.Phones)
	require.Equal(t, map[string]string{"birthdate": "2024-05-01", "gender": "f", "country": "Poland", "countryCode": "PL"}, got.Fields)
	require.Equal(t, map[string]any{"spent": 12.5, "tags": []any{"a", "b"}, "vip": true, "since": "2024-05-01", "note": "f", "segment_spring": true}, got.Properties)
	stats := target.Sandbox.Stats(omnisendtest.Brand)
	require.Zero(t, stats.Welcomes)
	require.Zero(t, stats.UnknownFields)
}
