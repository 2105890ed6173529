package omnisend

import (
	"fmt"
	"log/slog"
)

// Key is an Omnisend API key. Printing, logging or marshalling it gives
// "[API key]" in its place; string(k) is the only way to the key itself.
type Key string

const hiddenKey = "[API key]"

// String hides the key.
func (Key) String() string { return hiddenKey }

// GoString hides the key from %#v.
func (Key) GoString() string { return hiddenKey }

// Format hides the key from every verb: with only String, %d would print it.
func (Key) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(hiddenKey)) }

// LogValue hides the key from structured logs.
func (Key) LogValue() slog.Value { return slog.StringValue(hiddenKey) }

// MarshalJSON hides the key.
func (Key) MarshalJSON() ([]byte, error) { return []byte(`"` + hiddenKey + `"`), nil }

// MarshalText hides the key from the encodings that ask for it; encoding/json
// does not when a Key is the key of a map, so it must not be one.
func (Key) MarshalText() ([]byte, error) { return []byte(hiddenKey), nil }
