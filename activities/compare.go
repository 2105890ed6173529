package activities

import (
	"context"
	"encoding/json"

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
	var contact struct {
		Properties map[string]any `json:"customProperties"`
	}
	if err := json.Unmarshal(raw, &contact); err != nil {
		// What has another form than it should carries nothing that can be told.
		return found{There: true, Missing: markers, Contact: raw}, nil //nolint:nilerr // see above
	}
	for _, m := range markers {
		if contact.Properties[m] != true {
			f.Missing = append(f.Missing, m)
		}
	}
	return f, nil
}

// names returns the custom properties of marker bits.
func (n *ledgerNote) names(bits uint64) []string {
	var names []string
	for i, m := range n.Markers {
		if bits&(1<<i) != 0 {
			names = append(names, m)
		}
	}
	return names
}
