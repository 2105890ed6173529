package catalogue

import (
	"maps"
	"slices"

	"github.com/segment-export/segment-export/internal/contact"
)

// Clears says whether emptied values of a field, by its name in
// contact.Mapper.FieldNames, are cleared at Omnisend.
func (e *ExportSpec) Clears(field string) bool {
	for a := range e.Mapping {
		if a.FieldName() != field || !a.CanClear() {
			continue
		}
		if policy, ok := e.EmptyOf[a]; ok {
			return policy == contact.EmptyClear
		}
		return e.Empty == contact.EmptyClear
	}
	return false // not mapped any more: what was sent stays
}

func (e *ExportSpec) checkEmpty() error {
	known := []contact.EmptyPolicy{contact.EmptyKeep, contact.EmptyClear}
	if e.Empty != "" && !slices.Contains(known, e.Empty) {
		return invalid("--empty %q is neither %s nor %s", e.Empty, contact.EmptyKeep, contact.EmptyClear)
	}
	for _, a := range slices.Sorted(maps.Keys(e.EmptyOf)) {
		policy := e.EmptyOf[a]
		switch {
		case e.Mapping[a] == "":
			return invalid("empty values of %q cannot be treated otherwise: it is not mapped", a)
		case !slices.Contains(known, policy):
			return invalid("--map %s=%s,empty=%s: %q is neither %s nor %s", a, e.Mapping[a], policy, policy, contact.EmptyKeep, contact.EmptyClear)
		case policy == contact.EmptyClear && !a.CanClear():
			return invalid("emptied values of %q cannot be cleared at Omnisend: its API documents no way", a)
		}
	}
	return nil
}
