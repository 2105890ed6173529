package protocol

import (
	"fmt"
)

// RefusalError is a command's failure of a class that the starter knows.
type RefusalError struct {
	Class   string
	Message string
}

func (r *RefusalError) Error() string { return r.Message }

// Refuse makes a refusal of a class, with a formatted message.
func Refuse(class, format string, args ...any) error {
	return &RefusalError{Class: class, Message: fmt.Sprintf(format, args...)}
}
