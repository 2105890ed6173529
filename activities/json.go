package activities

import (
	"encoding/json"
	"fmt"
)

// decode reads stored JSON; nothing stored is the zero value.
func decode[T any](data []byte) (T, error) {
	var v T
	if len(data) == 0 {
		return v, nil
	}
	if err := json.Unmarshal(data, &v); err != nil {
		return v, fmt.Errorf("read a stored %T: %w", v, err)
	}
	return v, nil
}

// decodeInto reads stored JSON into v.
func decodeInto(data []byte, v any) error {
	if err := json.Unmarshal(data, v); err != nil {
		return fmt.Errorf("read a stored %T: %w", v, err)
	}
	return nil
}

// encode writes one of our own types, which cannot fail.
func encode(v any) []byte {
	data, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("a %T is not JSON: %v", v, err))
	}
	return data
}
