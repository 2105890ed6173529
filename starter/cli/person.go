package cli

import (
	"strings"

	"github.com/segment-export/segment-export/internal/command"
)

// address gets the address of somebody that a command is about: as given, or
// from standard input for -, so that it need not stand in the arguments, which
// other users of the machine see.
func (s *session) address(given string) (command.Address, error) {
	if given == "-" {
		text, err := readLimited(s.o.In)
		if err != nil {
			return command.Address{}, err
		}
		given = text
	}
	given = strings.TrimSpace(given)
	if !strings.Contains(given, "@") || strings.ContainsAny(given, "\r\n") {
		return command.Address{}, usage("this is not one e-mail address")
	}
	return command.Address{Email: given}, nil
}
