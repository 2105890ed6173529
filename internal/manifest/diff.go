package manifest

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
)

// Difference is one value that differs from the document.
type Difference struct {
	Path   string          `json:"path"` // "mapping.email", "segments[0].marker"
	Before json.RawMessage `json:"before,omitempty"`
	After  json.RawMessage `json:"after,omitempty"`
}

// String returns it in one line: + new, - gone, before -> after.
func (d Difference) String() string {
	switch {
	case d.Before == nil:
		return fmt.Sprintf("+ %s: %s", d.Path, d.After)
	case d.After == nil:
		return fmt.Sprintf("- %s: %s", d.Path, d.Before)
	}
	return fmt.Sprintf("~ %s: %s -> %s", d.Path, d.Before, d.After)
}

// Differences lists in which values two specs differ, in the order of paths.
// What is left out is the same as what is empty.
func Differences(before, after json.RawMessage) ([]Difference, error) {
	var a, b any
	for raw, into := range map[*json.RawMessage]*any{&before: &a, &after: &b} {
		if len(*raw) == 0 {
			continue
		}
		if err := json.Unmarshal(*raw, into); err != nil {
			return nil, err
		}
	}
	var all []Difference
	compare(&all, "", a, b)
	return all, nil
}

func compare(all *[]Difference, path string, a, b any) {
	if empty(a) && empty(b) || reflect.DeepEqual(a, b) {
		return
	}
	if am, bm, ok := both[map[string]any](a, b); ok {
		names := map[string]any{}
		maps.Copy(names, am)
		maps.Copy(names, bm)
		for _, name := range slices.Sorted(maps.Keys(names)) {
			compare(all, strings.TrimPrefix(path+"."+name, "."), am[name], bm[name])
		}
		return
	}
	if al, bl, ok := both[[]any](a, b); ok {
		for i := range max(len(al), len(bl)) {
			var x, y any
			if i < len(al) {
				x = al[i]
			}
			if i < len(bl) {
				y = bl[i]
			}
			compare(all, fmt.Sprintf("%s[%d]", path, i), x, y)
		}
		return
	}
	*all = append(*all, Difference{Path: path, Before: raw(a), After: raw(b)})
}

// both takes two values as one type, nothing being an empty one of it.
func both[T map[string]any | []any](a, b any) (x, y T, ok bool) {
	x, isX := a.(T)
	y, isY := b.(T)
	return x, y, (isX || empty(a)) && (isY || empty(b)) && (isX || isY)
}

func empty(v any) bool {
	switch v := v.(type) {
	case nil:
		return true
	case string:
		return v == ""
	case map[string]any:
		return len(v) == 0
	case []any:
		return len(v) == 0
	}
	return false
}

func raw(v any) json.RawMessage {
	if empty(v) {
		return nil
	}
	out, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("what was read from JSON is not JSON: %v", err))
	}
	return out
}
