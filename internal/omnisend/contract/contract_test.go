package contract

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestContractIsWhole(t *testing.T) {
	require.Equal(t, "2026-03-15", Version())
	require.Len(t, Routes(), 12)
	known := func(name string) {
		if name != "" {
			require.Contains(t, held.Schemas, name)
		}
	}
	for _, r := range held.Routes {
		known(r.Request)
		for _, name := range r.Responses {
			known(name)
		}
	}
	for _, name := range everywhere {
		known(name)
	}
	for name, fields := range relied {
		known(name)
		for _, f := range fields {
			require.Contains(t, held.Schemas[name].Properties, f)
		}
	}
	var walk func(s schema)
	walk = func(s schema) {
		known(s.Ref)
		require.True(t, s.Ref != "" || strings.Contains("any object array string integer number boolean", s.Type) && s.Type != "")
		for _, p := range s.Properties {
			walk(p)
		}
		for _, p := range []*schema{s.Additional, s.Items} {
			if p != nil {
				walk(*p)
			}
		}
	}
	for _, s := range held.Schemas {
		walk(s)
	}
}

func TestCheckRequest(t *testing.T) {
	const item = `{"identifiers":[{"type":"email","id":"a@example.com","channels":{"email":{"status":"subscribed"}}}],"customProperties":{"x":[1]}}`
	envelope := func(items string) string { return `{"endpoint":"contacts","method":"POST","items":[` + items + `]}` }
	for name, tc := range map[string]struct {
		method, path, body string
		without            string // a header
		breach             string // empty: none
	}{
		"brand":                    {method: "GET", path: "/api/brands/current"},
		"list":                     {method: "GET", path: "/api/batches?endpoint=contacts&limit=250&offset=0&dateFrom=2026-01-01"},
		"batch":                    {method: "GET", path: "/api/batches/1%2F2"},
		"items":                    {method: "GET", path: "/v/api/batches/1/items"},
		"create":                   {method: "POST", path: "/api/batches", body: envelope(item)},
		"no route":                 {method: "PUT", path: "/api/batches", breach: "no such route"},
		"no base":                  {method: "GET", path: "/batches", breach: "no such route"},
		"no version":               {method: "GET", path: "/api/brands/current", without: "Omnisend-Version", breach: "header Omnisend-Version"},
		"no key":                   {method: "GET", path: "/api/brands/current", without: "Authorization", breach: "header Authorization"},
		"no content type":          {method: "POST", path: "/api/batches", body: envelope(item), without: "Content-Type", breach: "header Content-Type"},
		"body where none is":       {method: "GET", path: "/api/brands/current", body: "{}", breach: "body is not expected"},
		"no endpoint":              {method: "GET", path: "/api/batches", breach: "query endpoint is missing"},
		"bad endpoint":             {method: "GET", path: "/api/batches?endpoint=carts", breach: "query endpoint is none"},
		"unknown parameter":        {method: "GET", path: "/api/batches?endpoint=contacts&page=1", breach: "query page"},
		"limit":                    {method: "GET", path: "/api/batches?endpoint=contacts&limit=251", breach: "query limit"},
		"offset":                   {method: "GET", path: "/api/batches?endpoint=contacts&offset=-1", breach: "query offset"},
		"no JSON":                  {method: "POST", path: "/api/batches", body: "{", breach: "body is not JSON"},
		"no items":                 {method: "POST", path: "/api/batches", body: envelope(""), breach: "body.items has 0"},
		"too many items":           {method: "POST", path: "/api/batches", body: envelope(item + strings.Repeat(","+item, 100)), breach: "body.items has 101"},
		"unknown member":           {method: "POST", path: "/api/batches", body: `{"endpoint":"contacts","method":"POST","items":[1],"x":1}`, breach: "body.x is not in"},
		"wrong enum":               {method: "POST", path: "/api/batches", body: `{"endpoint":"contacts","method":"PATCH","items":[{}]}`, breach: "body.method is none"},
		"member of an item":        {method: "POST", path: "/api/batches", body: envelope(`{"first_name":"x"}`), breach: "items[0].first_name is not in"},
		"type in an item":          {method: "POST", path: "/api/batches", body: envelope(item + `,{"city":5}`), breach: "items[1].city is not of type string"},
		"status in an item":        {method: "POST", path: "/api/batches", body: envelope(strings.Replace(item, "subscribed", "x", 1)), breach: "items[0].identifiers[0].channels.email.status"},
		"required in an item":      {method: "POST", path: "/api/batches", body: envelope(`{"identifiers":[{"type":"email"}]}`), breach: "items[0].identifiers[0].id is missing"},
		"item is no object":        {method: "POST", path: "/api/batches", body: envelope(`5`), breach: "items[0] is not of type object"},
		"products' items are open": {method: "POST", path: "/api/batches", body: `{"endpoint":"products","method":"PUT","items":[{"x":1}]}`},
	} {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequest(tc.method, tc.path, nil)
			r.Header.Set("Authorization", "Omnisend-API-Key k")
			r.Header.Set("Omnisend-Version", Version())
			r.Header.Set("Content-Type", "application/json")
			r.Header.Del(tc.without)
			err := CheckRequest(r, []byte(tc.body))
			if tc.breach == "" {
				require.NoError(t, err)
			} else {
				require.ErrorContains(t, err, tc.breach)
			}
		})
	}
}

func TestCheckResponse(t *testing.T) {
	const problem = `"type":"t","title":"t","status":1`
	for name, tc := range map[string]struct {
		route  string
		status int
		body   string
		breach string
	}{
		"brand":              {"GET /brands/current", 200, `{"brandID":"x"}`, ""},
		"brand without id":   {"GET /brands/current", 200, `{}`, "body.brandID is missing"},
		"created":            {"POST /batches", 201, `{"batchID":"x","totalCount":1}`, ""},
		"created with 200":   {"POST /batches", 200, `{"batchID":"x","totalCount":1}`, "200 is not declared"},
		"fraction":           {"POST /batches", 201, `{"batchID":"x","totalCount":1.5}`, "body.totalCount is not of type integer"},
		"global":             {"POST /batches", http.StatusTooManyRequests, `{` + problem + `,"retryAfter":1}`, ""},
		"member of another":  {"POST /batches", 401, `{` + problem + `,"retryAfter":1}`, "body.retryAfter is not in"},
		"null cursor":        {"GET /contacts", 200, `{"contacts":[],"paging":{"cursors":{"after":null}}}`, ""},
		"null elsewhere":     {"GET /contacts", 200, `{"contacts":null,"paging":{}}`, "body.contacts is not of type array"},
		"null cursors":       {"GET /contacts", 200, `{"contacts":[],"paging":{"cursors":null}}`, ""},
		"null pages":         {"GET /batches", 200, `{"batches":[],"paging":{"next":null,"previous":null}}`, ""},
		"a bare contact":     {"POST /contacts", 200, `{"id":"1","email":"a@x","identifiers":[],"status":"subscribed","customProperties":null,"gender":""}`, ""},
		"another gender":     {"POST /contacts", 200, `{"id":"1","email":"a@x","identifiers":[],"status":"subscribed","gender":"x"}`, "gender is none of its values"},
		"no body":            {"POST /contacts/tags", 202, ``, ""},
		"body where none is": {"POST /contacts/tags", 202, `{}`, "body is not expected"},
		"unknown route":      {"GET /x", 200, ``, "no such route"},
	} {
		t.Run(name, func(t *testing.T) {
			err := CheckResponse(tc.route, tc.status, []byte(tc.body))
			if tc.breach == "" {
				require.NoError(t, err)
			} else {
				require.ErrorContains(t, err, tc.breach)
			}
		})
	}
}
