package sandbox_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/segment-export/segment-export/internal/omnisend/contract"
	"github.com/segment-export/segment-export/internal/omnisend/omnisendtest"
	"github.com/segment-export/segment-export/internal/omnisend/sandbox"
)

const (
	key   = omnisendtest.Key
	brand = omnisendtest.Brand
)

// fixture speaks to a sandbox without a network, and holds every answer
// against the contract.
type fixture struct {
	t *testing.T
	*sandbox.Sandbox
	clock *omnisendtest.Clock
}

func start(t *testing.T, o sandbox.Options) fixture {
	t.Helper()
	f := fixture{t: t, clock: omnisendtest.NewClock()}
	o.Now = f.clock.Now
	if o.Keys == nil {
		o.Keys = []sandbox.Key{{Key: key, Brand: brand}}
	}
	s, err := sandbox.New(o)
	require.NoError(t, err)
	f.Sandbox = s
	return f
}

func (f fixture) send(method, path, body string, header ...string) (int, map[string]any) {
	f.t.Helper()
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Header.Set("Authorization", "Omnisend-API-Key "+key)
	r.Header.Set("Omnisend-Version", "2026-03-15")
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	f.ServeHTTP(w, r)
	if route, ok := contract.Route(r); ok && w.Header().Get("Content-Type") != "text/html; charset=utf-8" {
		require.NoError(f.t, contract.CheckResponse(route, w.Code, w.Body.Bytes()))
	}
	var out map[string]any
	if strings.HasPrefix(w.Header().Get("Content-Type"), "application/json") {
		require.NoError(f.t, json.Unmarshal(w.Body.Bytes(), &out))
	}
	return w.Code, out
}

func (f fixture) post(items ...[]byte) string {
	f.t.Helper()
	status, out := f.send("POST", "/api/batches", envelope(items...))
	require.Equal(f.t, http.StatusCreated, status)
	return out["batchID"].(string)
}

func envelope(items ...[]byte) string {
	return `{"endpoint":"contacts","method":"POST","origin":"o","items":[` + string(bytes.Join(items, []byte(","))) + `]}`
}

// complaints of a validation answer.
func complaints(out map[string]any) string {
	var all []string
	list, _ := out["errors"].([]any)
	for _, one := range list {
		all = append(all, fmt.Sprint(one.(map[string]any)["field"], " ", one.(map[string]any)["code"]))
	}
	return strings.Join(all, ", ")
}

func TestRefusals(t *testing.T) {
	item := omnisendtest.Item("a@example.com", "")
	full := bytes.Repeat([]byte(" "), 1_000_000)
	for name, tc := range map[string]struct {
		method, path, body string
		header             []string
		status             int
		complaint          string
	}{
		"no key":            {method: "GET", path: "/api/brands/current", header: []string{"Authorization", ""}, status: 401},
		"wrong key":         {method: "GET", path: "/api/brands/current", header: []string{"Authorization", "Omnisend-API-Key x"}, status: 401},
		"older header":      {method: "GET", path: "/api/brands/current", header: []string{"Authorization", "X-API-KEY " + key}, status: 401},
		"no version":        {method: "GET", path: "/api/brands/current", header: []string{"Omnisend-Version", ""}, status: 400, complaint: "Omnisend-Version required"},
		"odd version":       {method: "GET", path: "/api/brands/current", header: []string{"Omnisend-Version", "v5"}, status: 400, complaint: "Omnisend-Version required"},
		"retired version":   {method: "GET", path: "/api/brands/current", header: []string{"Omnisend-Version", "2025-01-01"}, status: 410},
		"later version":     {method: "GET", path: "/api/brands/current", header: []string{"Omnisend-Version", "2026-04-01"}, status: 200},
		"unknown path":      {method: "GET", path: "/api/carts", status: 404},
		"outside of api":    {method: "GET", path: "/brands/current", status: 404},
		"other method":      {method: "PUT", path: "/api/batches", status: 404},
		"brand, parameter":  {method: "GET", path: "/api/brands/current?x=1", status: 400, complaint: "query unknown_parameter"},
		"list, parameter":   {method: "GET", path: "/api/batches?endpoint=contacts&page=2", status: 400, complaint: "query unknown_parameter"},
		"list, repeated":    {method: "GET", path: "/api/batches?endpoint=contacts&limit=1&limit=2", status: 400, complaint: "query unknown_parameter"},
		"list, no endpoint": {method: "GET", path: "/api/batches", status: 400, complaint: "endpoint invalid_value"},
		"list, all wrong": {
			method: "GET", path: "/api/batches?endpoint=x&limit=251&offset=-1&status=done&dateFrom=1&dateTo=2026-13-01", status: 400,
			complaint: "offset invalid_value, limit invalid_value, endpoint invalid_value, status invalid_value, dateFrom invalid_format, dateTo invalid_format",
		},
		"batch":           {method: "GET", path: "/api/batches/5f92cbf10cf217478ba93561", status: 404},
		"items":           {method: "GET", path: "/api/batches/5f92cbf10cf217478ba93561/items", status: 404},
		"no JSON":         {method: "POST", path: "/api/batches", body: `{"items":[{]}`, status: 400, complaint: "body invalid_format"},
		"a list":          {method: "POST", path: "/api/batches", body: `[]`, status: 400, complaint: "body invalid_format"},
		"nothing in it":   {method: "POST", path: "/api/batches", body: `{}`, status: 400, complaint: "endpoint invalid_value, method invalid_value, items invalid_length"},
		"wrong types":     {method: "POST", path: "/api/batches", body: `{"endpoint":"contacts","method":"POST","origin":1,"items":{}}`, status: 400, complaint: "origin invalid_type, items invalid_type, items invalid_length"},
		"PUT of contacts": {method: "POST", path: "/api/batches", body: strings.Replace(envelope(item), "POST", "PUT", 1), status: 400, complaint: "method invalid_value"},
		"products":        {method: "POST", path: "/api/batches", body: strings.Replace(envelope(item), "contacts", "products", 1), status: 403},
		"no items":        {method: "POST", path: "/api/batches", body: envelope(), status: 400, complaint: "items invalid_length"},
		"101 items":       {method: "POST", path: "/api/batches", body: envelope(bytes.Split(bytes.Repeat([]byte("{} "), 100), []byte(" "))...), status: 400, complaint: "body invalid_format"},
		"too large":       {method: "POST", path: "/api/batches", body: envelope(append(full, item...)), status: 413},
		"no address":      {method: "POST", path: "/api/contacts", body: `{}`, status: 400, complaint: "identifiers required"},
		"contacts, limit": {method: "GET", path: "/api/contacts?limit=0", status: 400, complaint: "limit invalid_value"},
		"contacts, both":  {method: "GET", path: "/api/contacts?status=subscribed&tag=x", status: 400, complaint: "tag invalid_value"},
		"PATCH nobody":    {method: "PATCH", path: "/api/contacts?email=a@example.com", body: `{}`, status: 404},
		"PATCH":           {method: "PATCH", path: "/api/contacts", body: `{}`, status: 400, complaint: "email required"},
		"tags":            {method: "POST", path: "/api/contacts/tags", body: `{}`, status: 400, complaint: "emails required, tags invalid_length"},
	} {
		t.Run(name, func(t *testing.T) {
			f := start(t, sandbox.Options{})
			status, out := f.send(tc.method, tc.path, tc.body, tc.header...)
			require.Equal(t, tc.status, status)
			require.Equal(t, tc.complaint, complaints(out))
			require.Empty(t, f.Contacts(brand))
			require.Zero(t, f.Stats(brand).Batches)
		})
	}
	f := start(t, sandbox.Options{})
	var items [][]byte
	for i := range 101 {
		items = append(items, omnisendtest.Item(fmt.Sprintf("c%d@example.com", i), ""))
	}
	status, out := f.send("POST", "/api/batches", envelope(items...))
	require.Equal(t, 400, status)
	require.Equal(t, "items invalid_length", complaints(out))
	f.post(items[:100]...)
	require.Len(t, f.Contacts(brand), 100)
}

func TestKeysOfABrandShareAllAndPermissionsHold(t *testing.T) {
	f := start(t, sandbox.Options{CallsPerMinute: 3, Keys: []sandbox.Key{
		{Key: key, Brand: brand}, {Key: "second", Brand: brand, Permissions: []string{sandbox.ContactsRead}}, {Key: "third", Brand: "other"},
	}})
	second := []string{"Authorization", "Omnisend-API-Key second"}
	third := []string{"Authorization", "Omnisend-API-Key third"}
	id := f.post(omnisendtest.Item("a@example.com", ""))
	status, _ := f.send("GET", "/api/batches/"+id, "", second...)
	require.Equal(t, 200, status)
	status, _ = f.send("GET", "/api/batches/"+id, "", third...)
	require.Equal(t, 404, status, "another brand's batch")
	status, _ = f.send("POST", "/api/batches", envelope(omnisendtest.Item("a@example.com", "")), second...)
	require.Equal(t, 403, status)
	status, out := f.send("GET", "/api/brands/current", "")
	require.Equal(t, 429, status, "both keys count against the brand")
	require.EqualValues(t, 60, out["retryAfter"])
	require.Equal(t, 1, f.Stats("other").Total())

	require.Error(t, f.SetKey(sandbox.Key{Key: "x", Brand: "y", Permissions: []string{"all"}}))
	require.Error(t, f.SetKey(sandbox.Key{Key: "x"}))
	f.Revoke("unknown")
	f.Revoke("second")
	status, _ = f.send("GET", "/api/brands/current", "", second...)
	require.Equal(t, 401, status)
	require.Equal(t, 1, f.Unauthorized())
}

func TestLimitAndPeak(t *testing.T) {
	f := start(t, sandbox.Options{CallsPerMinute: 400})
	for range 100 { // 5 calls a second for 20 s, which is all of a minute's budget in its first third
		for range 5 {
			f.send("GET", "/api/brands/current", "")
		}
		f.clock.Advance(200 * time.Millisecond)
	}
	stats := f.Stats(brand)
	require.Equal(t, map[int]int{200: 400, 429: 100}, stats.Calls["GET /brands/current"])
	require.Equal(t, 100, stats.TooMany)
	require.Equal(t, 500, stats.Peak)

	f.SetCallsPerMinute(0)
	for range 10 {
		status, _ := f.send("GET", "/api/brands/current", "")
		require.Equal(t, 200, status)
	}
}

func TestReceivedAndOverlaps(t *testing.T) {
	f := start(t, sandbox.Options{TrackReceived: true, BatchDelay: time.Minute})
	require.NoError(t, f.SetFaults(sandbox.Faults{SlowBatchSeconds: 60}))
	a, b := omnisendtest.Item("a@example.com", ""), omnisendtest.Item("B@example.com", "")
	require.NoError(t, f.Inject(sandbox.Trigger{Fault: sandbox.SlowBatch}))
	f.post(a)
	f.clock.Advance(time.Minute)
	f.post(b)
	f.post(a) // the slow one is not done yet
	f.clock.Advance(time.Minute)
	f.post(a)
	stats := f.Stats(brand)
	require.Equal(t, map[string]int{"a@example.com": 3, "b@example.com": 1}, stats.Received)
	require.Equal(t, 1, stats.Overlaps)
	require.Equal(t, []int{4, 4}, []int{stats.Batches, stats.Items})
}

func TestListFilters(t *testing.T) {
	f := start(t, sandbox.Options{BatchDelay: time.Hour, RandomList: true, Seed: 7})
	for i := range 30 {
		f.post(omnisendtest.Item(fmt.Sprintf("c%d@example.com", i), ""))
		if i == 9 || i == 19 {
			f.clock.Advance(24 * time.Hour)
		}
	}
	list := func(query string) []string {
		status, out := f.send("GET", "/api/batches?endpoint=contacts"+query, "")
		require.Equal(t, 200, status)
		var ids []string
		for _, b := range out["batches"].([]any) {
			ids = append(ids, b.(map[string]any)["batchID"].(string))
		}
		return ids
	}
	require.Len(t, list(""), 30)
	require.NotEqual(t, list(""), list(""))
	require.ElementsMatch(t, list(""), list(""))
	require.Len(t, list("&status=finished"), 20)
	require.Len(t, list("&status=pending"), 10)
	require.Empty(t, list("&status=stopped"))
	require.Len(t, list("&dateFrom=2026-09-21"), 20)
	require.Len(t, list("&dateTo=2026-09-21"), 20)
	require.Len(t, list("&dateFrom=2026-09-21&dateTo=2026-09-21"), 10)
	_, out := f.send("GET", "/api/batches?endpoint=products", "")
	require.Empty(t, out["batches"])
	_, out = f.send("GET", "/api/batches?endpoint=contacts&limit=10&offset=10", "")
	paging := out["paging"].(map[string]any)
	require.Contains(t, paging["next"], "offset=20")
	require.Contains(t, paging["previous"], "offset=0")
	f.clock.Advance(6*24*time.Hour + time.Second)
	require.Len(t, list(""), 10, "the rest is older than 7 days")
}

func TestRates(t *testing.T) {
	f := start(t, sandbox.Options{Seed: 3, Faults: sandbox.Faults{
		Rates:       map[sandbox.Fault]float64{sandbox.ServerError: 0.1, sandbox.BadGateway: 0.1, sandbox.StoppedBatch: 0.2},
		ItemRefused: 0.2, ItemBusy: 0.1,
	}})
	accepted := 0
	for i := range 1000 {
		status, _ := f.send("POST", "/api/batches", envelope(omnisendtest.Item(fmt.Sprintf("a%d@example.com", i), ""), omnisendtest.Item(fmt.Sprintf("b%d@example.com", i), "")))
		if status == 201 {
			accepted++
		}
	}
	stats := f.Stats(brand)
	require.Equal(t, accepted, stats.Batches)
	byStatus := stats.Calls["POST /batches"]
	require.InDelta(t, 100, byStatus[500], 40)
	require.InDelta(t, 90, byStatus[502], 40)
	contacts := f.Contacts(brand)
	require.InDelta(t, float64(accepted)*(2-0.2)*0.8*0.9, len(contacts), 150)

	require.NoError(t, f.SetFaults(sandbox.Faults{ItemRefused: 0.2}))
	refused := 0
	for i := range 200 {
		email := fmt.Sprintf("a%d@example.com", i)
		body := string(omnisendtest.Item(email, ""))
		id := f.post([]byte(body))
		_, out := f.send("GET", "/api/batches/"+id+"/items", "")
		if len(out["errors"].([]any)) == 1 {
			refused++
			require.NotContains(t, contacts, email, "the same addresses are refused every time")
		}
	}
	require.InDelta(t, 40, refused, 20)

	for _, bad := range []sandbox.Faults{
		{Rates: map[sandbox.Fault]float64{"sever_error": 0.1}}, {Rates: map[sandbox.Fault]float64{sandbox.TooMany: 1.1}}, {ItemBusy: -1},
	} {
		require.Error(t, f.SetFaults(bad))
		_, err := sandbox.New(sandbox.Options{Faults: bad})
		require.Error(t, err)
	}
}

func TestTriggersHitWhatTheyAreMeantFor(t *testing.T) {
	f := start(t, sandbox.Options{})
	require.NoError(t, f.Inject(sandbox.Trigger{Fault: sandbox.ServerError, Route: "POST /batches", Skip: 1, Times: 2}))
	var got []int
	for range 4 {
		status, _ := f.send("POST", "/api/batches", envelope(omnisendtest.Item("a@example.com", "")))
		got = append(got, status)
		status, _ = f.send("GET", "/api/brands/current", "")
		require.Equal(t, 200, status)
	}
	require.Equal(t, []int{201, 500, 500, 201}, got)
	require.Error(t, f.Inject(sandbox.Trigger{Fault: "x"}))
	require.Error(t, f.Inject(sandbox.Trigger{Fault: sandbox.TooMany, Route: "POST /carts"}))
}

func TestCountOnly(t *testing.T) {
	f := start(t, sandbox.Options{CountOnly: true, BatchDelay: time.Hour})
	id := f.post([]byte(`{"anything":1}`), []byte(`5`))
	status, out := f.send("GET", "/api/batches/"+id+"/items", "")
	require.Equal(t, 200, status)
	require.Equal(t, "finished", out["status"])
	require.EqualValues(t, 2, out["finishedCount"])
	require.Equal(t, "o", out["origin"])
	status, _ = f.send("POST", "/api/batches", envelope())
	require.Equal(t, 400, status)
	stats := f.Stats(brand)
	require.Equal(t, []int{1, 2, len(envelope([]byte(`{"anything":1}`), []byte(`5`)))}, []int{stats.Batches, stats.Items, int(stats.Bytes)})
	require.Empty(t, f.Contacts(brand))
}
