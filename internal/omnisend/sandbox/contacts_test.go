package sandbox_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/segment-export/segment-export/internal/omnisend/omnisendtest"
	"github.com/segment-export/segment-export/internal/omnisend/sandbox"
)

func TestContacts(t *testing.T) {
	f := start(t, sandbox.Options{})
	status, out := f.send("POST", "/api/contacts", string(omnisendtest.Item("Jane@example.com", `"firstName":"Jane"`)))
	require.Equal(t, 201, status)
	require.Equal(t, "Jane@example.com", out["email"])
	f.clock.Advance(time.Second)
	status, out = f.send("POST", "/api/contacts", string(omnisendtest.Item("jane@example.com", `"city":"Vilnius","tags":["a"]`)))
	require.Equal(t, 200, status)
	require.Equal(t, "Jane", out["firstName"])
	require.Equal(t, "nonSubscribed", out["status"])
	status, out = f.send("PATCH", "/api/contacts?email=JANE@example.com", `{"lastName":"Doe"}`)
	require.Equal(t, 200, status)
	require.Equal(t, []any{"Jane", "Doe", "Vilnius"}, []any{out["firstName"], out["lastName"], out["city"]})
	status, _ = f.send("PATCH", "/api/contacts?email=jane@example.com", string(omnisendtest.Item("other@example.com", "")))
	require.Equal(t, 409, status)
	status, _ = f.send("PATCH", "/api/contacts?email=jane@example.com", `{"lastName":5}`)
	require.Equal(t, 400, status)
	require.Zero(t, f.Stats(brand).Welcomes)

	f.Seed(brand, sandbox.Contact{Email: "phone@example.com", Phones: map[string]sandbox.Phone{"+15551234567": {Status: "subscribed"}}})
	phone := `{"identifiers":[{"type":"phone","id":"+15551234567","channels":{"sms":{"status":"subscribed"}}}]}`
	status, _ = f.send("PATCH", "/api/contacts?email=jane@example.com", phone)
	require.Equal(t, 409, status, "another contact's number")
	item := strings.Replace(string(omnisendtest.Item("jane@example.com", "")), `]}`, `,`+strings.TrimPrefix(phone, `{"identifiers":[`), 1)
	status, _ = f.send("POST", "/api/contacts", item)
	require.Equal(t, 200, status, "in a POST it is ignored")
	require.Empty(t, f.Contacts(brand)["jane@example.com"].Phones)
	status, out = f.send("POST", "/api/contacts", strings.Replace(item, "4567", "0000", 1))
	require.Equal(t, 200, status)
	require.Equal(t, []any{"+15551230000"}, out["phone"])
}

func TestListContacts(t *testing.T) {
	f := start(t, sandbox.Options{})
	for i := range 5 {
		f.Seed(brand, sandbox.Contact{Email: fmt.Sprintf("c%d@example.com", i), Tags: []string{fmt.Sprint(i % 2)}, Status: []string{"subscribed", ""}[i%2]})
	}
	list := func(query string) (emails []string, after any) {
		status, out := f.send("GET", "/api/contacts"+query, "")
		require.Equal(t, 200, status)
		for _, c := range out["contacts"].([]any) {
			emails = append(emails, c.(map[string]any)["email"].(string)[:2])
		}
		return emails, out["paging"].(map[string]any)["cursors"].(map[string]any)["after"]
	}
	all, _ := list("")
	require.Equal(t, []string{"c4", "c3", "c2", "c1", "c0"}, all)
	first, after := list("?limit=2")
	require.Equal(t, []string{"c4", "c3"}, first)
	second, after := list("?limit=3&after=" + after.(string))
	require.Equal(t, []string{"c2", "c1", "c0"}, second)
	require.Nil(t, after)
	tagged, _ := list("?tag=1")
	require.Equal(t, []string{"c3", "c1"}, tagged)
	subscribed, _ := list("?status=subscribed")
	require.Equal(t, []string{"c4", "c2", "c0"}, subscribed)
}

func TestTags(t *testing.T) {
	f := start(t, sandbox.Options{CallsPerMinute: 400})
	f.Seed(brand, sandbox.Contact{ID: "one", Email: "a@example.com", Tags: []string{"vip"}},
		sandbox.Contact{ID: "two", Email: "b@example.com", Phones: map[string]sandbox.Phone{"+15551234567": {}}})
	status, _ := f.send("POST", "/api/contacts/tags", `{"emails":["A@example.com","nobody@example.com"],"contactIDs":["one"],"phones":["+15551234567"],"tags":["source: x"]}`)
	require.Equal(t, 202, status)
	require.Equal(t, []string{"source: x", "vip"}, f.Contacts(brand)["a@example.com"].Tags)
	require.Equal(t, []string{"source: x"}, f.Contacts(brand)["b@example.com"].Tags)
	status, _ = f.send("DELETE", "/api/contacts/tags", `{"contactIDs":["one"],"tags":["vip"]}`)
	require.Equal(t, 202, status)
	require.Equal(t, []string{"source: x"}, f.Contacts(brand)["a@example.com"].Tags)

	var last int
	for range 60 {
		last, _ = f.send("POST", "/api/contacts/tags", `{"emails":["a@example.com"],"tags":["x"]}`)
	}
	require.Equal(t, 429, last, "60 a minute, one was before")
	status, _ = f.send("DELETE", "/api/contacts/tags", `{"emails":["a@example.com"],"tags":["x"]}`)
	require.Equal(t, 202, status, "removing has its own limit")
}

func TestSteering(t *testing.T) {
	f := start(t, sandbox.Options{CallsPerMinute: 400})
	post := func(path, body string, want int) {
		t.Helper()
		status, _ := f.send("POST", "/sandbox/"+path, body)
		require.Equal(t, want, status, path)
	}
	post("contacts?brand="+brand, `[{"email":"Jane@example.com","status":"unsubscribed","tags":["vip"]}]`, 204)
	post("contacts", `[]`, 400)
	post("faults", `{"rates":{"too_many":0.5},"slow_seconds":1}`, 204)
	post("faults", `{"rate":{"too_many":0.5}}`, 400)
	post("faults", `{"rates":{"too_manny":0.5}}`, 400)
	status, out := f.send("GET", "/sandbox/faults", "")
	require.Equal(t, 200, status)
	require.Equal(t, map[string]any{"rates": map[string]any{"too_many": 0.5}, "slow_seconds": 1.0}, out)
	post("faults", `{}`, 204)
	post("triggers", `{"fault":"server_error","route":"GET /brands/current"}`, 204)
	status, _ = f.send("GET", "/api/brands/current", "")
	require.Equal(t, 500, status)
	post("keys", `{"key":"second","brand":"other"}`, 204)
	post("settings", `{"calls_per_minute":2,"batch_delay_seconds":30}`, 204)
	post("settings", `{"calls_per_minute":-2}`, 400)
	post("settings", `{"batch_delay_seconds":-2}`, 400)
	f.post(omnisendtest.Item("b@example.com", ""))

	status, out = f.send("GET", "/sandbox/state", "")
	require.Equal(t, 200, status)
	raw, err := json.Marshal(out)
	require.NoError(t, err)
	require.JSONEq(t, `{"calls_per_minute":2,"batch_delay_seconds":30,"count_only":false,"unauthorized":0,"brands":[
		{"brand":"11aa","keys":1,"contacts":1,"batches":{"pending":1}},{"brand":"other","keys":1,"contacts":0,"batches":{}}]}`, string(raw))
	require.NotContains(t, string(raw), key)
	_, out = f.send("GET", "/sandbox/stats?brand="+brand, "")
	require.Equal(t, map[string]any{"GET /brands/current": map[string]any{"500": 1.0}, "POST /batches": map[string]any{"201": 1.0}}, out["calls"])
	require.EqualValues(t, 2, out["peak"])
	_, out = f.send("GET", "/sandbox/contacts?brand="+brand+"&email=jane@EXAMPLE.com", "")
	require.Equal(t, "unsubscribed", out["jane@example.com"].(map[string]any)["status"])
	_, out = f.send("GET", "/sandbox/contacts?brand="+brand+"&email=x@example.com", "")
	require.Empty(t, out)
	status, _ = f.send("GET", "/sandbox/else", "")
	require.Equal(t, 404, status)
}

// What cannot be combined by Omnisend's documents is refused, and a cursor is of
// one list only.
func TestFiltersOfContacts(t *testing.T) {
	f := start(t, sandbox.Options{})
	for i := range 3 {
		f.Seed(brand, sandbox.Contact{Email: fmt.Sprintf("c%d@example.com", i), Phones: map[string]sandbox.Phone{fmt.Sprintf("+1555123456%d", i): {Status: "subscribed"}}})
		f.clock.Advance(time.Minute)
	}
	list := func(query string) (int, map[string]any) { return f.send("GET", "/api/contacts?"+query, "") }
	since := "updatedAtFrom=" + f.clock.Now().Add(-2*time.Minute).UTC().Format("2006-01-02T15:04:05Z")
	status, out := list(since)
	require.Equal(t, 200, status)
	require.Len(t, out["contacts"], 2)
	status, out = list("phone=%2B15551234561")
	require.Equal(t, 200, status)
	require.Len(t, out["contacts"], 1)
	for _, other := range []string{"email=a@example.com", "phone=1", "status=subscribed", "segmentID=1", "tag=a"} {
		status, _ = list(since + "&" + other)
		require.Equal(t, 400, status, other)
	}
	for _, bad := range []string{"updatedAtFrom=yesterday", "status=subscribed&tag=a"} {
		status, _ = list(bad)
		require.Equal(t, 400, status, bad)
	}
	status, out = list("limit=1&status=nonSubscribed")
	require.Equal(t, 200, status)
	after := "&after=" + out["paging"].(map[string]any)["cursors"].(map[string]any)["after"].(string)
	status, _ = list("limit=2&status=nonSubscribed" + after)
	require.Equal(t, 200, status, "another size is the same list")
	for _, other := range []string{"status=subscribed", "limit=1", "tag=a"} {
		status, _ = list(other + after)
		require.Equal(t, 400, status, other)
	}
}

func TestAnswersAsLiveAndAsDocumented(t *testing.T) {
	for _, documented := range []bool{false, true} {
		f := start(t, sandbox.Options{AsDocumented: documented})
		status, contact := f.send("POST", "/api/contacts", string(omnisendtest.Item("a@example.com", "")))
		require.Equal(t, 201, status)
		_, hasGender := contact["gender"]
		require.Equal(t, !documented, hasGender)
		require.Equal(t, documented, contact["customProperties"] != nil)
		_, list := f.send("GET", "/api/batches?endpoint=contacts", "")
		_, hasNext := list["paging"].(map[string]any)["next"]
		require.Equal(t, !documented, hasNext)

		status, made := f.send("POST", "/api/batches", `{"endpoint":"contacts","method":"POST","items":[{"identifiers":[{"type":"email","id":"b@example.com"}]}]}`)
		require.Equal(t, 201, status)
		_, items := f.send("GET", "/api/batches/"+made["batchID"].(string)+"/items", "")
		response := items["errors"].([]any)[0].(map[string]any)["response"].(map[string]any)
		_, oneSentence := response["error"]
		require.Equal(t, !documented, oneSentence)
	}
}
