package omnisend

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
)

func echo(email string) json.RawMessage {
	return json.RawMessage(`{"identifiers":[{"type":"phone","id":"+15551234567"},{"type":"email","id":"` + email + `"}]}`)
}

func TestJudge(t *testing.T) {
	validation := json.RawMessage(`{"status":400,"detail":"x@example.com","errors":[{"field":"identifiers[0].id","code":"invalid_format","message":"x@example.com"},{"field":"gender","code":"invalid"},{"field":"c","code":"c"},{"field":"d","code":"d"}]}`)
	for name, tc := range map[string]struct {
		batch     Batch
		want      map[string]Verdict
		unmatched int
	}{
		"nothing": {want: map[string]Verdict{}},
		"created and updated, shuffled": {
			batch: Batch{Responses: []Item{{Request: echo("B@Example.com "), ResponseCode: 200}, {Request: echo("a@example.com"), ResponseCode: 201, Status: "finished"}}},
			want:  map[string]Verdict{"a@example.com": {OK: true, Code: 201}, "b@example.com": {OK: true, Code: 200}},
		},
		"refused with fields": {
			batch: Batch{Errors: []Item{{Request: echo("a@example.com"), ResponseCode: 400, Response: validation}}},
			want:  map[string]Verdict{"a@example.com": {Code: 400, Reason: "400 identifiers[0].id invalid_format, gender invalid, c c", Sentence: "x@example.com"}},
		},
		"refused with the older body": {
			batch: Batch{Errors: []Item{{Request: echo("a@example.com"), ResponseCode: 400, Response: json.RawMessage(`{"error":"email channel must be provided","fields":[]}`)}}},
			want:  map[string]Verdict{"a@example.com": {Code: 400, Reason: "400", Sentence: "email channel must be provided"}},
		},
		"passing refusals": {
			batch: Batch{Errors: []Item{
				{Request: echo("a@x"), ResponseCode: 403}, {Request: echo("b@x"), ResponseCode: 408}, {Request: echo("c@x"), ResponseCode: 429},
				{Request: echo("d@x"), ResponseCode: 503}, {Request: echo("e@x"), ResponseCode: 409},
			}},
			want: map[string]Verdict{
				"a@x": {Code: 403, Reason: "403", Retry: true}, "b@x": {Code: 408, Reason: "408", Retry: true},
				"c@x": {Code: 429, Reason: "429", Retry: true}, "d@x": {Code: 503, Reason: "503", Retry: true}, "e@x": {Code: 409, Reason: "409"},
			},
		},
		"the array does not decide": {
			batch: Batch{Errors: []Item{{Request: echo("a@x"), ResponseCode: 200}}, Responses: []Item{{Request: echo("b@x"), ResponseCode: 422}}},
			want:  map[string]Verdict{"a@x": {OK: true, Code: 200}, "b@x": {Code: 422, Reason: "422"}},
		},
		"no code": {
			batch: Batch{
				Errors:    []Item{{Request: echo("a@x"), Response: json.RawMessage(`{"status":429}`)}, {Request: echo("b@x"), Response: json.RawMessage(`"boom"`)}},
				Responses: []Item{{Request: echo("c@x")}},
			},
			want: map[string]Verdict{"a@x": {Code: 429, Reason: "429", Retry: true}, "b@x": {Reason: "no_code", Retry: true}},
		},
		"still pending": {batch: Batch{Responses: []Item{{Request: echo("a@x"), ResponseCode: 200, Status: "pending"}}}, want: map[string]Verdict{}},
		"twice, the worse counts": {
			batch: Batch{
				Errors:    []Item{{Request: echo("a@x"), ResponseCode: 503}, {Request: echo("b@x"), ResponseCode: 400}, {Request: echo("b@x"), ResponseCode: 503}},
				Responses: []Item{{Request: echo("A@x"), ResponseCode: 200}},
			},
			want: map[string]Verdict{"a@x": {Code: 503, Reason: "503", Retry: true}, "b@x": {Code: 400, Reason: "400"}},
		},
		"echoed as a string, and as a contact": {
			batch: Batch{Responses: []Item{
				{Request: json.RawMessage(`"{\"identifiers\":[{\"type\":\"email\",\"id\":\"a@x\"}]}"`), ResponseCode: 200},
				{Request: json.RawMessage(`{"email":"B@x","phone":[]}`), ResponseCode: 200},
			}},
			want: map[string]Verdict{"a@x": {OK: true, Code: 200}, "b@x": {OK: true, Code: 200}},
		},
		"not to be matched": {
			batch:     Batch{Errors: []Item{{ResponseCode: 400}, {ResponseCode: 400, Request: json.RawMessage(`"?"`)}, {ResponseCode: 400, Request: json.RawMessage(`{"identifiers":[{"type":"phone","id":"+1"}]}`)}}},
			want:      map[string]Verdict{},
			unmatched: 3,
		},
	} {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, Verdicts{ByEmail: tc.want, Unmatched: tc.unmatched}, Judge(tc.batch))
		})
	}
}
