package store_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/segment-export/segment-export/internal/store"
)

// Totals are in the histories of workflows: a field with another name there
// would be read as zero.
func TestTotalsKeepTheirNamesInHistories(t *testing.T) {
	totals := store.CallTotals{Calls: 1, Unsettled: 2, Pending: 3, New: 4, Changed: 5, Leavers: 6, Refused: 7, LeaversRefused: 8}
	const written = `{"calls":1,"unsettled":2,"pending":3,"new":4,"changed":5,"leavers":6,"refused":7,"leavers_refused":8}`

	text, err := json.Marshal(totals)
	require.NoError(t, err)
	require.Equal(t, written, string(text))
	var read store.CallTotals
	require.NoError(t, json.Unmarshal([]byte(written), &read))
	require.Equal(t, totals, read)
}
