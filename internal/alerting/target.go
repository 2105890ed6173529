package alerting

import (
	"fmt"

	"github.com/segment-export/segment-export/internal/catalogue"
	"github.com/segment-export/segment-export/internal/reason"
	"github.com/segment-export/segment-export/internal/record"
)

// TargetContext is the context that an alert's target is sealed with.
func TargetContext(name string) string { return "alert/" + name + "/target" }

// Target is where an alert goes, as it is stored.
type Target struct {
	Type    catalogue.ChannelType `json:"type"`
	Mail    *Mail                 `json:"mail,omitempty"`
	Webhook *Webhook              `json:"webhook,omitempty"`
}

// Check refuses a target that cannot work.
func (t *Target) Check() error {
	if t.Mail != nil {
		return t.Mail.Check()
	}
	return t.Webhook.Check()
}

// Describe says where it goes without an address or a secret.
func (t *Target) Describe() string {
	if t.Mail == nil {
		return fmt.Sprintf("%s, as %s", t.Webhook.Host(), t.Webhook.Format)
	}
	return reason.Count(len(t.Mail.To), "address", "addresses") + " through " + t.Mail.Server
}

// Channel opens what an alert's target was sealed with.
func (a *Alerts) Channel(name string, sealed []byte) (Channel, error) {
	data, err := a.Keyring.Open(sealed, TargetContext(name))
	if err != nil {
		return nil, fmt.Errorf("the target of the alert %q cannot be decrypted with this keyring: make the alert again", name)
	}
	t, err := record.Decode[Target](data)
	if err != nil {
		return nil, err
	}
	if t.Mail != nil {
		t.Mail.Roots = a.Roots
		return t.Mail, nil
	}
	t.Webhook.Roots = a.Roots
	return t.Webhook, nil
}
