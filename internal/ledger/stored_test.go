package ledger

import (
	"testing"

	"github.com/segment-export/segment-export/internal/record/recordtest"
)

// The note of a ledger stays as the store has it.
func TestTheJSONOfANote(t *testing.T) {
	recordtest.Golden(t, "testdata/stored.json", Note{})
}
