package store_test

import (
	"testing"

	"github.com/segment-export/segment-export/internal/record/recordtest"
	"github.com/segment-export/segment-export/internal/store"
)

// A verdict stays as it is stored with its call.
func TestTheJSONOfAVerdict(t *testing.T) {
	recordtest.Golden(t, "testdata/stored.json", store.Verdict{})
}
