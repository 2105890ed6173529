package contact

import (
	"bytes"
)

// Carries says whether a contact is sent with a status on any channel. A quote
// within a value would be escaped.
func Carries(item []byte, status Status) bool {
	return bytes.Contains(item, []byte(`"status":"`+status+`"`))
}
