package catalogue_test

import (
	"testing"

	"github.com/segment-export/segment-export/internal/catalogue"
	"github.com/segment-export/segment-export/internal/record/recordtest"
)

// The objects of the catalogue stay as the store has them.
func TestTheJSONOfObjects(t *testing.T) {
	recordtest.Golden(t, "testdata/stored.json", catalogue.Connection{}, catalogue.Source{}, catalogue.Export{}, catalogue.Schedule{},
		catalogue.Refresh{}, catalogue.Alert{})
}
