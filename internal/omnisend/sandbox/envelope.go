package sandbox

import (
	"bytes"
	"encoding/json"
	"errors"
)

// envelope is the body of POST /batches.
type envelope struct {
	endpoint, method, origin string
	count                    int               // of items
	items                    []json.RawMessage // parts of the body; only when asked for
	unknown                  int               // members that the contract does not name
	fields                   []fieldError      // members of a wrong type
}

var errNotJSON = errors.New("not a JSON object")

// parseEnvelope reads the envelope and finds its items without looking into
// them, at several hundred megabytes a second: it must not be what a benchmark
// measures. Structure is checked only as far as is needed to find the ends; who
// wants more calls json.Valid before.
func parseEnvelope(body []byte, keep bool) (envelope, error) {
	var e envelope
	i := space(body, 0)
	if i >= len(body) || body[i] != '{' {
		return e, errNotJSON
	}
	i = space(body, i+1)
	for i < len(body) && body[i] != '}' {
		end, err := skip(body, i)
		if err != nil || body[i] != '"' {
			return e, errNotJSON
		}
		name := string(body[i+1 : end-1])
		i = space(body, end)
		if i >= len(body) || body[i] != ':' {
			return e, errNotJSON
		}
		i = space(body, i+1)
		if name == "items" && i < len(body) && body[i] == '[' {
			end, err = e.readItems(body, i, keep)
		} else if end, err = skip(body, i); err == nil {
			e.member(name, body[i:end])
		}
		if err != nil {
			return e, err
		}
		i = space(body, end)
		if i < len(body) && body[i] == ',' {
			i = space(body, i+1)
		}
	}
	if i >= len(body) || space(body, i+1) != len(body) {
		return e, errNotJSON
	}
	return e, nil
}

func (e *envelope) member(name string, raw []byte) {
	var target *string
	switch name {
	case "endpoint":
		target = &e.endpoint
	case "method":
		target = &e.method
	case "origin":
		target = &e.origin
	case "items":
		e.fields = append(e.fields, fieldError{"items", "invalid_type", "must be an array"})
		return
	default:
		e.unknown++
		return
	}
	if json.Unmarshal(raw, target) != nil {
		e.fields = append(e.fields, fieldError{name, "invalid_type", "must be a string"})
	}
}

// readItems walks the array that begins at i and returns where it ends.
func (e *envelope) readItems(body []byte, i int, keep bool) (int, error) {
	e.count, e.items = 0, nil
	i = space(body, i+1)
	for i < len(body) && body[i] != ']' {
		end, err := skip(body, i)
		if err != nil {
			return 0, err
		}
		e.count++
		if keep {
			e.items = append(e.items, body[i:end])
		}
		i = space(body, end)
		if i < len(body) && body[i] == ',' {
			i = space(body, i+1)
		}
	}
	if i >= len(body) {
		return 0, errNotJSON
	}
	return i + 1, nil
}

func space(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\n' || b[i] == '\t' || b[i] == '\r') {
		i++
	}
	return i
}

// skip returns where the value that begins at i ends.
func skip(b []byte, i int) (int, error) {
	depth := 0
	start := i
	for i < len(b) {
		switch b[i] {
		case '"':
			end := endOfString(b, i)
			if end < 0 {
				return 0, errNotJSON
			}
			i = end
			if depth == 0 {
				return i, nil
			}
			continue
		case '{', '[':
			depth++
		case '}', ']':
			depth--
			if depth == 0 {
				return i + 1, nil
			}
			if depth < 0 {
				if i == start {
					return 0, errNotJSON
				}
				return i, nil // the end of a bare value at the end of its parent
			}
		case ',', ' ', '\n', '\t', '\r':
			if depth == 0 {
				if i == start {
					return 0, errNotJSON
				}
				return i, nil
			}
		}
		i++
	}
	return 0, errNotJSON
}

// endOfString returns the place after the string that begins at i, or -1.
func endOfString(b []byte, i int) int {
	for j := i + 1; ; {
		n := bytes.IndexByte(b[j:], '"')
		if n < 0 {
			return -1
		}
		j += n
		slashes := 0
		for k := j - 1; k > i && b[k] == '\\'; k-- {
			slashes++
		}
		j++
		if slashes%2 == 0 {
			return j
		}
	}
}
