package activities

import (
	"encoding/json"

	"github.com/segment-export/segment-export/internal/command"
	"github.com/segment-export/segment-export/internal/contact"
)

// sealedAddress opens the address that came with a command, in the form in which
// it is sent.
func (a *Activities) sealedAddress(c caller) (string, error) {
	data, err := a.Keyring.OpenEnvelope(c.request.Sealed, command.Context(c.request.ID))
	if err != nil {
		return "", refuse(command.ErrUsage, "the address did not arrive: it was sealed to another worker's key, or not at all")
	}
	var sent command.Address
	if err := json.Unmarshal(data, &sent); err != nil {
		return "", refuse(command.ErrUsage, "the address did not arrive whole")
	}
	email, ok := contact.NormaliseEmail(sent.Email)
	if !ok {
		return "", refuse(command.ErrUsage, "this is no e-mail address that would ever be sent")
	}
	return email, nil
}
