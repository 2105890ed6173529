package delivery

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/segment-export/segment-export/internal/contact"
	"github.com/segment-export/segment-export/internal/omnisend"
)

// found is what the account has of one address.
type found struct {
	There   bool
	Missing []string // markers that it does not carry
	Contact json.RawMessage
}

// lookUp asks the account for one address and looks for markers on it.
func lookUp(ctx context.Context, api omnisend.API, email string, markers []string) (found, error) {
	raw, there, err := api.ContactByEmail(ctx, email)
	if err != nil || !there {
		return found{Missing: markers}, err
	}
	f := found{There: true, Contact: raw}
	var has struct {
		Properties map[string]any `json:"customProperties"`
	}
	if err := json.Unmarshal(raw, &has); err != nil {
		// A value of an unexpected form is left out.
		return found{There: true, Missing: markers, Contact: raw}, nil //nolint:nilerr // see above
	}
	for _, m := range markers {
		if has.Properties[m] != true {
			f.Missing = append(f.Missing, m)
		}
	}
	return f, nil
}

// statuses says which channels stand otherwise than was confirmed. What the
// account decided later is no difference.
func (f *found) statuses(m contact.Memory) []string {
	var has struct {
		Statuses []struct {
			Channel string    `json:"channel"`
			Status  string    `json:"status"`
			At      time.Time `json:"statusChangedAt"`
		} `json:"statuses"`
	}
	if !f.There || json.Unmarshal(f.Contact, &has) != nil {
		return nil
	}
	var differ []string
	for channel, c := range map[string]contact.Channel{"email": m.Mail, "sms": m.SMS} {
		if c.Sent == "" || c.Sent == contact.NonSubscribed || !c.SentAt.After(contact.Undated) {
			continue // it changes nothing that the account has
		}
		for _, s := range has.Statuses {
			if s.Channel == channel && s.Status != string(c.Sent) && !s.At.After(c.SentAt) {
				differ = append(differ, fmt.Sprintf("%s is %s since %s, and was sent as %s since %s", channel, s.Status, s.At.Format(time.RFC3339), c.Sent, c.SentAt.Format(time.RFC3339)))
			}
		}
	}
	slices.Sort(differ)
	return differ
}
