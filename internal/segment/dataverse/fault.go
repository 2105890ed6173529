package dataverse

import (
	"fmt"
	"regexp"
)

// passingError is a fault that may be gone the next time.
type passingError struct{ text string }

func (e *passingError) Error() string { return e.text }

func passing(format string, args ...any) error { return &passingError{fmt.Sprintf(format, args...)} }

var notPlain = regexp.MustCompile(`[^0-9A-Za-z_.-]+`)

// plainWord makes an identifier from outside fit for a message.
func plainWord(s string) string {
	s = notPlain.ReplaceAllString(s, "")
	return s[:min(len(s), 80)]
}
