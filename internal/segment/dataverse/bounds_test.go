package dataverse_test

import (
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/segment-export/segment-export/internal/segment"
	"github.com/segment-export/segment-export/internal/segment/dataverse/dataversetest"
)

// Profiles as large as a row may be are read a few at a time: a whole page of
// them, and those read ahead, would take a gigabyte.
func TestLargeProfilesTakeLittleMemory(t *testing.T) {
	const n = 5000
	text := strings.Repeat("x", segment.MaxField-100)
	fields := []string{"msdynci_note0", "msdynci_note1", "msdynci_note2", "msdynci_note3"}
	for every, form := range map[int]string{1: "a stretch of the table", 7: "by their ids"} {
		t.Run(form, func(t *testing.T) {
			w := newWorld(t, dataversetest.Options{})
			var profiles []dataversetest.Profile
			var memberships []dataversetest.Membership
			for _, f := range fields {
				w.Column(f, "Memo")
			}
			for i := range n * every {
				values := map[string]any{}
				segments := []string{"Few"}
				if i%every == 0 {
					segments = []string{"Everybody"}
					for _, f := range fields {
						values[f] = text
					}
				}
				profiles = append(profiles, dataversetest.Profile{ID: id(i), Values: values})
				memberships = append(memberships, dataversetest.Membership{Customer: id(i), Segments: segments})
			}
			written := w.clock.Now().Add(-time.Hour)
			w.SetProfiles(profiles, written)
			w.SetMemberships(memberships, written)
			w.SetSegments([]dataversetest.Segment{{Name: "Everybody", Members: n, RefreshedAt: written}})

			before := held()
			r, err := w.source(t).Open(t.Context(), "Everybody", fields, nil)
			require.NoError(t, err)
			defer r.Close()
			most := uint64(0)
			for i := range n {
				row, err := r.Next()
				require.NoError(t, err)
				require.Empty(t, row.Problem)
				if i%500 == 0 {
					most = max(most, held()-before)
				}
			}
			_, err = r.Next()
			require.ErrorIs(t, err, io.EOF)
			require.Less(t, most, uint64(160<<20), "of %d MiB in all", n*len(fields)*len(text)>>20)
		})
	}
}

// held is what lives on the heap.
func held() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// A server that gives pages without rows, each with a link to another one, is
// not read for ever.
func TestPagesWithoutRowsEnd(t *testing.T) {
	w := newWorld(t, dataversetest.Options{})
	w.fill(10, third)
	pages := 0
	w.Break(dataversetest.Fault{Path: "msdynci_segmentmemberships", Skip: 1, Times: 1000, Do: http.HandlerFunc(func(out http.ResponseWriter, _ *http.Request) {
		pages++
		fmt.Fprintf(out, `{"value":[],"@odata.nextLink":"%s/api/data/v9.2/msdynci_segmentmemberships?page=%d"}`, w.URL, pages)
	})})
	r, err := w.source(t).Open(t.Context(), "Male_under_40", email, nil)
	require.NoError(t, err)
	defer r.Close()
	_, err = r.Next()
	require.ErrorIs(t, err, segment.ErrMalformed)
	require.ErrorContains(t, err, "msdynci_segmentmembership gave 101 pages without a row")
	require.Equal(t, 101, pages)
}
