// Package recordtest compares the JSON of types with files, so that a renamed
// field is noticed: stores and the histories of workflows hold what earlier
// releases wrote.
package recordtest

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"reflect"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update-golden", false, "rewrite the files with the JSON of types")

// Golden fills each type with something in every field, and compares its JSON
// with the file, which go test -update-golden rewrites. What the file holds must
// decode to the same value.
func Golden(t *testing.T, file string, types ...any) {
	t.Helper()
	all := map[string]any{}
	for _, v := range types {
		filled := reflect.New(reflect.TypeOf(v)).Elem()
		fill(t, filled, 0)
		all[fmt.Sprintf("%T", v)] = filled.Interface()
	}
	got, err := json.MarshalIndent(all, "", "  ")
	require.NoError(t, err)
	got = append(got, '\n')
	if *update {
		require.NoError(t, os.WriteFile(file, got, 0o600))
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, string(want), string(got), "a field was renamed, removed or added: stores and histories hold the former JSON")

	var stored map[string]json.RawMessage
	require.NoError(t, json.Unmarshal(want, &stored))
	for name, v := range all {
		back := reflect.New(reflect.TypeOf(v))
		require.NoError(t, json.Unmarshal(stored[name], back.Interface()), name)
		again, err := json.Marshal(back.Elem().Interface())
		require.NoError(t, err)
		require.JSONEq(t, string(stored[name]), string(again), name)
	}
}

// deepest is how deep types that hold themselves are filled.
const deepest = 8

func fill(t *testing.T, v reflect.Value, depth int) {
	t.Helper()
	if depth > deepest {
		return
	}
	switch x := v.Addr().Interface().(type) {
	case *time.Time:
		*x = time.Date(2026, 11, 24, 6, 0, 0, 0, time.UTC)
		return
	case *json.RawMessage:
		*x = json.RawMessage(`{"raw":true}`)
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString("text")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		v.SetInt(7)
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(7)
	case reflect.Float32, reflect.Float64:
		v.SetFloat(0.5)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(t, v.Elem(), depth+1)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(t, v.Index(0), depth+1)
	case reflect.Array:
		for i := range v.Len() {
			fill(t, v.Index(i), depth+1)
		}
	case reflect.Map:
		key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		fill(t, key, depth+1)
		fill(t, value, depth+1)
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(key, value)
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				fill(t, v.Field(i), depth+1)
			}
		}
	case reflect.Interface: // what a value is decoded to depends on the JSON
	default:
		t.Fatalf("a %s cannot be filled", v.Type())
	}
}
