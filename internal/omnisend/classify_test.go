package omnisend

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const html = "<!DOCTYPE html><html><body>jane@example.com</body></html>"

func TestClassify(t *testing.T) {
	problem := func(members string) string {
		return `{"type":"https://problems.omnisend.com/problem","title":"T jane@example.com","status":400,"detail":"Jane is wrong","instance":"urn:omnisend:request:1f-2"` + members + `}`
	}
	broken := errors.New("connection closed")
	for name, tc := range map[string]struct {
		op     string
		status int
		header http.Header
		body   string
		err    error
		unsent bool
		want   Error // Op, Status, Instance and Cause are filled in
		ok     bool
	}{
		"created":                       {op: opCreate, status: 201, body: `{"batchID":"x"}`, ok: true},
		"ok with space":                 {op: opBrand, status: 200, body: "\n {} ", ok: true},
		"201 with html":                 {op: opCreate, status: 201, body: html, want: Error{Class: Retry, Unanswered: true}},
		"201 with nothing":              {op: opCreate, status: 201, want: Error{Class: Retry, Unanswered: true}},
		"201 with a list":               {op: opCreate, status: 201, body: `[]`, want: Error{Class: Retry, Unanswered: true}},
		"201 truncated":                 {op: opCreate, status: 201, body: `{"batchID":"x`, want: Error{Class: Retry, Unanswered: true}},
		"201 incomplete":                {op: opCreate, status: 201, body: `{"batchID":"x"}`, err: broken, want: Error{Class: Retry, Unanswered: true}},
		"200 with html, GET":            {op: opList, status: 200, body: html, want: Error{Class: Retry}},
		"no answer":                     {op: opCreate, err: broken, want: Error{Class: Retry, Unanswered: true}},
		"not sent":                      {op: opCreate, err: broken, unsent: true, want: Error{Class: Retry}},
		"no answer, GET":                {op: opItems, err: broken, want: Error{Class: Retry}},
		"redirect":                      {op: opCreate, status: 302, body: html, want: Error{Class: Retry}},
		"400 batch":                     {op: opCreate, status: 400, body: problem(`,"errors":[{"field":"items[3].identifiers[0].id","code":"invalid_format","message":"jane@example.com"}]`), want: Error{Class: Split, Fields: []FieldError{{Field: "items[3].identifiers[0].id", Code: "invalid_format"}}, Sentence: "jane@example.com"}},
		"400 of the call":               {op: opCreate, status: 400, body: problem(`,"errors":[{"field":"endpoint","code":"invalid_value"}]`), want: Error{Class: Park, Fields: []FieldError{{Field: "endpoint", Code: "invalid_value"}}}},
		"400 of the version header":     {op: opCreate, status: 400, body: problem(`,"errors":[{"field":"Omnisend-Version","code":"required"}]`), want: Error{Class: Park, Fields: []FieldError{{Field: "Omnisend-Version", Code: "required"}}}},
		"422 of the origin":             {op: opCreate, status: 422, body: problem(`,"errors":[{"field":"origin"}]`), want: Error{Class: Park, Fields: []FieldError{{Field: "origin"}}}},
		"400 of the call and a contact": {op: opCreate, status: 400, body: problem(`,"errors":[{"field":"method"},{"field":"items[0].gender","code":"c"}]`), want: Error{Class: Split, Fields: []FieldError{{Field: "method"}, {Field: "items[0].gender", Code: "c"}}}},
		"400 of a contact's member":     {op: opCreate, status: 400, body: problem(`,"errors":[{"field":"identifiers[1].id","code":"c"}]`), want: Error{Class: Split, Fields: []FieldError{{Field: "identifiers[1].id", Code: "c"}}}},
		"400 of a path not readable":    {op: opCreate, status: 400, body: problem(`,"errors":[{"field":"jane@example.com","code":"c"}]`), want: Error{Class: Split, Fields: []FieldError{{Field: "?", Code: "c"}}}},
		"400 in one sentence":           {op: opCreate, status: 400, body: `{"error":"Provide sms channel for phone identifier."}`, want: Error{Class: Split, Sentence: "Provide sms channel for phone identifier."}},
		"422 batch":                     {op: opCreate, status: 422, body: problem(``), want: Error{Class: Split}},
		"400 batch with no body":        {op: opCreate, status: 400, want: Error{Class: Split}},
		"400 from a proxy":              {op: opCreate, status: 400, body: html, want: Error{Class: Retry}},
		"400 elsewhere":                 {op: opList, status: 400, body: problem(``), want: Error{Class: Fail}},
		"422 elsewhere":                 {op: opContact, status: 422, body: problem(``), want: Error{Class: Fail}},
		"413 json":                      {op: opCreate, status: 413, body: problem(``), want: Error{Class: Split}},
		"413 html":                      {op: opCreate, status: 413, body: html, want: Error{Class: Split}},
		"413 elsewhere":                 {op: opList, status: 413, body: problem(``), want: Error{Class: Fail}},
		"401":                           {op: opBrand, status: 401, body: problem(``), want: Error{Class: Park}},
		"403":                           {op: opBrand, status: 403, body: problem(``), want: Error{Class: Park}},
		"403 from a firewall":           {op: opBrand, status: 403, body: html, want: Error{Class: Retry}},
		"410":                           {op: opCreate, status: 410, body: problem(``), want: Error{Class: Park}},
		"404 batch":                     {op: opBatch, status: 404, body: problem(``), want: Error{Class: Gone}},
		"404 items":                     {op: opItems, status: 404, body: problem(``), want: Error{Class: Gone}},
		"404 from a proxy":              {op: opItems, status: 404, body: html, want: Error{Class: Retry}},
		"404 elsewhere":                 {op: opCreate, status: 404, body: problem(``), want: Error{Class: Fail}},
		"402":                           {op: opCreate, status: 402, body: problem(``), want: Error{Class: Park}},
		"409":                           {op: opCreate, status: 409, body: problem(``), want: Error{Class: Fail}},
		"408":                           {op: opCreate, status: 408, body: html, want: Error{Class: Retry}},
		"500 json":                      {op: opCreate, status: 500, body: problem(``), want: Error{Class: Retry}},
		"500 html":                      {op: opCreate, status: 500, body: html, want: Error{Class: Retry, Unanswered: true}},
		"503 json":                      {op: opCreate, status: 503, body: problem(``), want: Error{Class: Retry}},
		"503 html":                      {op: opCreate, status: 503, body: html, want: Error{Class: Retry, Unanswered: true}},
		"502 json":                      {op: opCreate, status: 502, body: problem(``), want: Error{Class: Retry, Unanswered: true}},
		"504 html":                      {op: opCreate, status: 504, body: html, want: Error{Class: Retry, Unanswered: true}},
		"520":                           {op: opCreate, status: 520, body: html, want: Error{Class: Retry, Unanswered: true}},
		"524":                           {op: opCreate, status: 524, body: html, want: Error{Class: Retry, Unanswered: true}},
		"524 GET":                       {op: opBatch, status: 524, body: html, want: Error{Class: Retry}},
		"429":                           {op: opCreate, status: 429, body: problem(`,"retryAfter":17`), want: Error{Class: Wait, RetryAfter: 17 * time.Second}},
		"429 body before header":        {op: opList, status: 429, header: http.Header{"Retry-After": {"5"}}, body: problem(`,"retryAfter":17`), want: Error{Class: Wait, RetryAfter: 17 * time.Second}},
		"429 text":                      {op: opList, status: 429, body: problem(`,"retryAfter":"1.5"`), want: Error{Class: Wait, RetryAfter: 1500 * time.Millisecond}},
		"429 header":                    {op: opList, status: 429, header: http.Header{"Retry-After": {"5"}}, body: html, want: Error{Class: Wait, RetryAfter: 5 * time.Second}},
		"429 header date":               {op: opList, status: 429, header: http.Header{"Retry-After": {"Sun, 20 Sep 2026 10:00:30 GMT"}, "Date": {"Sun, 20 Sep 2026 10:00:00 GMT"}}, want: Error{Class: Wait, RetryAfter: 30 * time.Second}},
		"429 header date without Date":  {op: opList, status: 429, header: http.Header{"Retry-After": {"Sun, 20 Sep 2026 10:00:30 GMT"}}, want: Error{Class: Wait}},
		"429 mute":                      {op: opCreate, status: 429, body: problem(``), want: Error{Class: Wait}},
		"429 negative":                  {op: opCreate, status: 429, body: problem(`,"retryAfter":-3`), want: Error{Class: Wait}},
		"429 absurd":                    {op: opCreate, status: 429, body: problem(`,"retryAfter":1e300`), want: Error{Class: Wait, RetryAfter: MaxRetryAfter}},
		"older error body":              {op: opList, status: 400, body: `{"error":"jane@example.com is wrong","fields":[{"field":"limit","code":"too_large"}]}`, want: Error{Class: Fail, Sentence: "jane@example.com is wrong", Fields: []FieldError{{Field: "limit", Code: "too_large"}}}},
		"older error body, by path":     {op: opList, status: 400, body: `{"error":"wrong","fields":{"offset":"jane@example.com","limit":["x"]}}`, want: Error{Class: Fail, Sentence: "wrong", Fields: []FieldError{{Field: "limit"}, {Field: "offset"}}}},
		"values in place of paths":      {op: opList, status: 400, body: `{"errors":[{"field":"jane@example.com","code":"Jane Doe"},{"field":"x.15551234567","code":"c"}]}`, want: Error{Class: Fail, Fields: []FieldError{{Field: "?", Code: "?"}, {Field: "?", Code: "c"}}}},
		"members of unexpected types":   {op: opCreate, status: 400, body: `{"status":"x","instance":5,"detail":[],"errors":[1,{"field":2},{"field":"a","code":"b"}],"retryAfter":{}}`, want: Error{Class: Park, Fields: []FieldError{{Field: "a", Code: "b"}}}},
		"an instance that is something": {op: opCreate, status: 500, body: `{"instance":"urn:jane@example.com"}`, want: Error{Class: Retry}},
	} {
		t.Run(name, func(t *testing.T) {
			got := Classify(Answer{Op: tc.op, Status: tc.status, Header: tc.header, Body: []byte(tc.body), Err: tc.err, Sent: !tc.unsent})
			if tc.ok {
				require.Nil(t, got)
				return
			}
			want := tc.want
			want.Op, want.Status, want.Cause = tc.op, tc.status, tc.err
			if strings.Contains(tc.body, "urn:omnisend") {
				want.Instance = "urn:omnisend:request:1f-2"
				if want.Sentence == "" {
					want.Sentence = "Jane is wrong"
				}
			}
			require.Equal(t, &want, got)
			require.NotContains(t, got.Error(), "jane")
			require.NotContains(t, got.Error(), "Jane")
		})
	}
}

func TestClassOf(t *testing.T) {
	require.Equal(t, Gone, ClassOf(errors.Join(&Error{Class: Gone})))
	require.Equal(t, Retry, ClassOf(errors.New("x")))
}

func FuzzClassify(f *testing.F) {
	for _, body := range []string{
		"", html, "{}", "null", `{"retryAfter":5}`, `{"batchID":"x"`, `{"errors":[{"field":"a","code":"b"}]}`,
		`{"fields":{"a@b":"c"}}`, `{"errors":{"x":1},"fields":[]}`, `{"instance":"urn:omnisend:request:1"}`, "{\"a\":\"\xff\"}",
	} {
		for _, status := range []int{0, 200, 201, 400, 404, 429, 502} {
			f.Add(status, body, "7")
		}
	}
	f.Fuzz(func(t *testing.T, status int, body, retryAfter string) {
		for _, op := range []string{opBrand, opCreate, opList, opBatch, opItems, opContact} {
			a := Answer{Op: op, Status: status, Header: http.Header{"Retry-After": {retryAfter}}, Body: []byte(body), Sent: true}
			e := Classify(a)
			if e == nil {
				require.True(t, status >= 200 && status < 300 && json.Valid([]byte(body)))
				continue
			}
			require.Contains(t, []Class{Wait, Retry, Split, Park, Fail, Gone}, e.Class)
			require.True(t, e.RetryAfter >= 0 && e.RetryAfter <= MaxRetryAfter)
			require.NotContains(t, e.Error(), "@")
			require.Less(t, len(e.Error()), 4096)
			require.Less(t, len(e.Sentence), maxSentence+4)
			require.False(t, e.Unanswered && op != opCreate)
		}
	})
}
