package sandbox

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const channel = `"channels":{"email":{"status":"subscribed"}}`

func TestValidation(t *testing.T) {
	email := func(members string) string {
		return `{"identifiers":[{"type":"email","id":"a@example.com",` + members + `}]}`
	}
	with := func(members string) string {
		return `{"identifiers":[{"type":"email","id":"a@example.com",` + channel + `}],` + members + `}`
	}
	many := make([]string, 101)
	for i := range many {
		many[i] = fmt.Sprintf(`"t%d"`, i)
	}
	for _, tc := range []struct{ body, want string }{
		{email(channel), ""},
		{email(channel + `,"sendWelcomeMessage":false,"consent":{"source":"s","createdAt":"2026-01-01T00:00:00Z"},"source":"api"`), ""},
		{`5`, "body invalid_type"},
		{`null`, "body invalid_type"},
		{`{}`, "identifiers required"},
		{`{"identifiers":{}}`, "identifiers invalid_type"},
		{`{"identifiers":[5]}`, "identifiers[0] invalid_type"},
		{`{"identifiers":[{"type":"fax","id":"1"}]}`, "identifiers[0].type invalid_value"},
		{`{"identifiers":[{"type":"email","id":"a@example.com"}]}`, "identifiers[0].channels.email required"},
		{email(`"channels":{}`), "identifiers[0].channels.email required"},
		{email(`"channels":{"email":{}}`), "identifiers[0].channels.email.status invalid_value"},
		{email(`"channels":{"email":{"status":"Subscribed"}}`), "identifiers[0].channels.email.status invalid_value"},
		{email(`"channels":{"email":{"status":"subscribed"},"sms":{"status":"subscribed"}}`), "identifiers[0].channels.email invalid_value"},
		{email(`"channels":{"email":{"status":"subscribed","statusChangedAt":"2026-01-01"}}`), "identifiers[0].channels.email.statusChangedAt invalid_format"},
		{email(channel + `,"sendWelcomeMessage":"no"`), "identifiers[0].sendWelcomeMessage invalid_type"},
		{email(channel + `,"consent":5`), "identifiers[0].consent invalid_type"},
		{email(channel + `,"consent":{"createdAt":"x"}`), "identifiers[0].consent.createdAt invalid_format"},
		{`{"identifiers":[{"type":"email","id":"no address",` + channel + `}]}`, "identifiers[0].id invalid_format"},
		{`{"identifiers":[{"type":"email","id":"a@example",` + channel + `}]}`, "identifiers[0].id invalid_format"},
		{`{"identifiers":[{"type":"email","id":"a@bücher.example",` + channel + `}]}`, "identifiers[0].id invalid_format"},
		{`{"identifiers":[{"type":"email","id":"a@example.com",` + channel + `},{"type":"email","id":"b@example.com",` + channel + `}]}`, "identifiers[1].type duplicate"},
		{`{"identifiers":[{"type":"email","id":"a@example.com",` + channel + `},{"type":"phone","id":"0151"}]}`, "identifiers[1].channels.sms required, identifiers[1].id invalid_format"},
		{`{"identifiers":[{"type":"phone","id":"+15551234567","channels":{"sms":{"status":"subscribed"}}}]}`, "identifiers required"},
		{with(`"firstName":5`), "firstName invalid_type"},
		{with(`"firstName":null`), "firstName invalid_type"},
		{with(`"firstName":""`), ""},
		{with(`"gender":"x"`), "gender invalid_format"},
		{with(`"gender":"f","birthdate":"1990-01-31","countryCode":"PL","createdAt":"2024-01-01T00:00:00Z"`), ""},
		{with(`"birthdate":"31.01.1990"`), "birthdate invalid_format"},
		{with(`"createdAt":"x"`), "createdAt invalid_format"},
		{with(`"countryCode":"XX"`), "countryCode invalid_format"},
		{with(`"countryCode":"pl"`), "countryCode invalid_format"},
		{with(`"countryCode":"POL"`), "countryCode invalid_format"},
		{with(`"tags":"x"`), "tags invalid_type"},
		{with(`"tags":[1]`), "tags invalid_type"},
		{with(`"tags":[` + strings.Join(many, ",") + `]`), "tags invalid_length"},
		{with(`"customProperties":[]`), "customProperties invalid_type"},
		{with(`"customProperties":{"a b":"x"}`), "customProperties invalid_format"},
		{with(`"customProperties":{"a":{"b":1}}`), "customProperties.a invalid_type"},
		{with(`"customProperties":{"a":[1]}`), "customProperties.a invalid_type"},
		{with(`"customProperties":{"a":["x"],"b":true,"c":1.5,"d":"","e":null}`), ""},
		{with(`"first_name":"ignored"`), ""},
	} {
		w, fields := parseContact(json.RawMessage(tc.body))
		w.requireEmail(&fields)
		var got []string
		for _, f := range fields {
			got = append(got, f.Field+" "+f.Code)
		}
		require.Equal(t, tc.want, strings.Join(got, ", "), tc.body)
	}
}

// upsertAll writes bodies one after another, an hour apart from noon on.
func upsertAll(t *testing.T, seed Contact, bodies ...string) (Contact, Stats) {
	t.Helper()
	noon := time.Date(2026, 9, 20, 12, 0, 0, 0, time.UTC)
	s, err := New(Options{Now: func() time.Time { return noon }})
	require.NoError(t, err)
	if seed.Email != "" {
		s.Seed("b", seed)
	}
	for i, body := range bodies {
		w, fields := parseContact(json.RawMessage(body))
		require.Empty(t, fields, body)
		_, isNew := s.upsert(s.brand("b"), w, noon.Add(time.Duration(i)*time.Hour))
		require.Equal(t, i == 0 && seed.Email == "", isNew)
	}
	all := s.Contacts("b")
	require.Len(t, all, 1)
	for _, c := range all {
		return c, s.Stats("b")
	}
	return Contact{}, Stats{}
}

func TestStatusWithTheLatestDateWins(t *testing.T) {
	body := func(status, at string) string {
		if at != "" {
			at = `,"statusChangedAt":"` + at + `"`
		}
		return `{"identifiers":[{"type":"email","id":"A@Example.com","sendWelcomeMessage":false,"channels":{"email":{"status":"` + status + `"` + at + `}}}]}`
	}
	optOut := Contact{Email: "a@example.com", Status: "unsubscribed", StatusChangedAt: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
	for name, tc := range map[string]struct {
		bodies       []string
		want         string
		resubscribed int
	}{
		"older is ignored":           {[]string{body("subscribed", "2025-12-31T23:59:59Z")}, "unsubscribed", 0},
		"equal is ignored":           {[]string{body("subscribed", "2026-01-01T01:00:00+01:00")}, "unsubscribed", 0},
		"later wins":                 {[]string{body("subscribed", "2026-01-01T00:00:01Z")}, "subscribed", 1},
		"no date is now":             {[]string{body("subscribed", "")}, "subscribed", 1},
		"no date is now, even so":    {[]string{body("nonSubscribed", "")}, "nonSubscribed", 1},
		"1970 loses":                 {[]string{body("nonSubscribed", "1970-01-01T00:00:00Z")}, "unsubscribed", 0},
		"the order does not decide":  {[]string{body("subscribed", "2026-03-01T00:00:00Z"), body("unsubscribed", "2026-02-01T00:00:00Z")}, "subscribed", 1},
		"the order does not decide2": {[]string{body("unsubscribed", "2026-02-01T00:00:00Z"), body("subscribed", "2026-03-01T00:00:00Z")}, "subscribed", 1},
	} {
		t.Run(name, func(t *testing.T) {
			c, stats := upsertAll(t, optOut, tc.bodies...)
			require.Equal(t, tc.want, c.Status)
			require.Equal(t, tc.resubscribed, stats.Resubscribed)
			require.Zero(t, stats.Welcomes)
		})
	}
	c, _ := upsertAll(t, Contact{}, body("subscribed", "1970-01-01T00:00:00Z"))
	require.Equal(t, "subscribed", c.Status, "a new contact takes any date")
}

func TestUpsertMerges(t *testing.T) {
	head := `{"identifiers":[{"type":"email","id":"a@example.com",` + channel + `}]`
	c, stats := upsertAll(t, Contact{Email: "a@example.com", Tags: []string{"vip"}, Fields: map[string]string{"lastName": "Doe"}},
		head+`,"firstName":"Jane","city":"Kraków","country":"Poland","customProperties":{"a":true,"b":"x","c":"keep"}}`,
		head+`,"city":"","customProperties":{"a":"","b":null,"d":["y"]},"createdAt":"2020-01-01T00:00:00Z","nickname":"j"}`,
		`{"identifiers":[{"type":"email","id":"a@example.com",`+channel+`,"sendWelcomeMessage":true}]}`,
	)
	require.Equal(t, map[string]string{"firstName": "Jane", "lastName": "Doe", "country": "Poland", "countryCode": "PL"}, c.Fields)
	require.Equal(t, map[string]any{"c": "keep", "d": []any{"y"}, "externalCreated": "2020-01-01T00:00:00Z"}, c.Properties)
	require.Equal(t, []string{"vip"}, c.Tags)
	require.Equal(t, 3, c.Writes)
	require.Equal(t, []int{3, 0, 1}, []int{stats.Welcomes, stats.TagsReplaced, stats.UnknownFields}, "a welcome is the default")

	c, stats = upsertAll(t, Contact{Email: "a@example.com", Tags: []string{"vip"}}, head+`,"tags":["new"]}`)
	require.Equal(t, []string{"new"}, c.Tags, "tags are replaced")
	require.Equal(t, 1, stats.TagsReplaced)
	c, _ = upsertAll(t, Contact{}, head+`,"country":"Poland","countryCode":"LT"}`)
	require.Equal(t, map[string]string{"country": "Lithuania", "countryCode": "LT"}, c.Fields, "the code counts for more")
}
