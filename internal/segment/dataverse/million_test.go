package dataverse_test

import (
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/segment-export/segment-export/internal/segment"
	"github.com/segment-export/segment-export/internal/segment/dataverse/standin"
)

// A segment of many members in flat memory, broken off and gone on with in
// another source again and again. SEGMENT_ROWS=1000000 makes it a million.
func TestManyMembersInFlatMemory(t *testing.T) {
	rows := 50_000
	if n, err := strconv.Atoi(os.Getenv("SEGMENT_ROWS")); err == nil {
		rows = n
	}
	w := newWorld(t, standin.Options{})
	for _, name := range []string{"msdynci_email", "msdynci_firstname", "msdynci_lastname", "msdynci_city", "msdynci_country"} {
		w.Column(name, "String")
	}
	customer := func(i int) standin.Profile {
		return standin.Profile{ID: id(i), Values: map[string]any{"msdynci_email": fmt.Sprintf("person.%d@example.com", i), "msdynci_firstname": "Zoë",
			"msdynci_lastname": "Kowalska-Nowak", "msdynci_city": "Łódź", "msdynci_country": "PL"}}
	}
	w.Generate(rows, customer, func(int) []string { return []string{"Everybody"} }, w.clock.Now().Add(-time.Hour))
	fields := []string{"msdynci_email", "msdynci_firstname", "msdynci_lastname", "msdynci_city", "msdynci_country", "msdynci_customerid"}

	var cursor segment.Cursor
	var memory runtime.MemStats
	began, seen, highest := time.Now(), 0, uint64(0)
	part := max(rows/7, 1)
	for done := false; !done; {
		r, err := w.source(t).Open(t.Context(), "Everybody", fields, cursor)
		require.NoError(t, err)
		for n := 0; n < part && !done; n++ {
			row, err := r.Next()
			if done = errors.Is(err, io.EOF); done {
				break
			}
			require.NoError(t, err)
			require.Empty(t, row.Problem)
			if row.Values[5] != id(seen) {
				t.Fatalf("row %d is that of %s", seen, row.Values[5])
			}
			seen++
			if seen%10_000 == 0 {
				runtime.GC()
				runtime.ReadMemStats(&memory)
				highest = max(highest, memory.HeapAlloc)
			}
		}
		cursor = r.Cursor()
		require.NoError(t, r.Close())
	}
	require.Equal(t, rows, seen)
	require.Less(t, len(cursor), 100)
	require.Less(t, highest, uint64(64<<20), "the stand-in included")
	t.Logf("%d rows in %s, %d requests, at most %d MiB in use", rows, time.Since(began).Round(time.Second), len(w.Requests()), highest>>20)
}
