// Package record reads and writes what the store keeps as JSON, and finds the
// objects of the catalogue.
package record

import (
	"encoding/json"
	"fmt"
)

// Decode reads stored JSON; nothing stored is the zero value.
func Decode[T any](data []byte) (T, error) {
	var v T
	if len(data) == 0 {
		return v, nil
	}
	if err := json.Unmarshal(data, &v); err != nil {
		return v, fmt.Errorf("read a stored %T: %w", v, err)
	}
	return v, nil
}

// DecodeInto reads stored JSON into v.
func DecodeInto(data []byte, v any) error {
	if err := json.Unmarshal(data, v); err != nil {
		return fmt.Errorf("read a stored %T: %w", v, err)
	}
	return nil
}

// Encode writes one of our own types, which cannot fail.
func Encode(v any) []byte {
	data, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("a %T is not JSON: %v", v, err))
	}
	return data
}
