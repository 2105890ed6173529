package sandbox

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestParseEnvelope(t *testing.T) {
	e, err := parseEnvelope([]byte(` { "items" : [ {"a":"]}\\\"","b":[1,{"c":2}]} , 5,"x", true ,null,[[]] ] ,"endpoint":"contacts","method":"POST","origin":"a\"b","more":{"items":[1]} } `), true)
	require.NoError(t, err)
	require.Equal(t, 6, e.count)
	require.Equal(t, []string{"contacts", "POST", `a"b`}, []string{e.endpoint, e.method, e.origin})
	require.Equal(t, 1, e.unknown)
	require.JSONEq(t, `{"a":"]}\\\"","b":[1,{"c":2}]}`, string(e.items[0]))
	require.Equal(t, []string{"5", `"x"`, "true", "null", "[[]]"}, []string{string(e.items[1]), string(e.items[2]), string(e.items[3]), string(e.items[4]), string(e.items[5])})

	for _, body := range []string{``, `[]`, `{`, `{"items":[`, `{"items":[1}`, `{"a"`, `{"a":`, `{"a":"`, `{}x`, `{1:2}`, `{,}`} {
		_, err := parseEnvelope([]byte(body), false)
		require.Error(t, err, body)
	}
	e, err = parseEnvelope([]byte(`{"items":{},"origin":5}`), false)
	require.NoError(t, err)
	require.Len(t, e.fields, 2)
}

func FuzzParseEnvelope(f *testing.F) {
	for _, body := range []string{`{}`, `{"items":[]}`, `{"items":[1,{"a":"\""}],"endpoint":"contacts"}`, `{"a":[[`, `{"":0,"items":[{}]}`} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		e, err := parseEnvelope(body, true)
		var want map[string]json.RawMessage
		if json.Unmarshal(body, &want) != nil || want == nil {
			return // it need not notice, only end
		}
		require.NoError(t, err)
		// Escapes in names are not looked into, and a repeated name counts twice.
		var items []json.RawMessage
		if json.Unmarshal(want["items"], &items) == nil && items != nil && len(want) == e.unknown+1 {
			require.Len(t, e.items, len(items))
			for i := range items {
				require.JSONEq(t, string(items[i]), string(e.items[i]))
			}
		}
	})
}
