package job

import (
	"context"
	"fmt"
	"strings"

	"github.com/segment-export/segment-export/internal/catalogue"
	"github.com/segment-export/segment-export/internal/reason"
	"github.com/segment-export/segment-export/internal/record"
)

// Exports of one account may fill one attribute from different fields. Of a
// contact in both, the account has what was sent last. When a contact leaves one
// of them, the next run of the other sends it again, although its own data did
// not change.

// rival is an export of the same account that fills attributes from other fields.
type rival struct {
	catalogue.Export

	attributes []string
}

// Rivals returns the rivals of an export, detached ones too.
func (a *Runs) Rivals(ctx context.Context, e catalogue.Export) ([]rival, error) {
	exports, err := record.List[catalogue.Export](ctx, a.Store, catalogue.KindExport)
	if err != nil {
		return nil, err
	}
	var found []rival
	for _, other := range exports {
		if other.Name == e.Name || e.Brand == "" || other.Brand != e.Brand {
			continue
		}
		if both := e.Mapping.Contested(other.Mapping, e.Source == other.Source); len(both) > 0 {
			found = append(found, rival{other, both})
		}
	}
	return found, nil
}

// RivalNotes says which attributes other active exports fill too.
func (a *Runs) RivalNotes(ctx context.Context, e catalogue.Export) ([]string, error) {
	rivals, err := a.Rivals(ctx, e)
	var notes []string
	for _, r := range rivals {
		if r.Connection != "" {
			notes = append(notes, fmt.Sprintf("%s filled by the export %q too, from another field (%s): of a contact in both, Omnisend keeps what is sent last",
				reason.Count(len(r.attributes), "attribute is", "attributes are"), r.Name, strings.Join(r.attributes, ", ")))
		}
	}
	return notes, err
}
