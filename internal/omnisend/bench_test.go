package omnisend_test

import (
	"fmt"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/segment-export/segment-export/internal/omnisend"
	"github.com/segment-export/segment-export/internal/omnisend/omnisendtest"
	"github.com/segment-export/segment-export/internal/omnisend/sandbox"
)

// BenchmarkCreateBatch sends calls of 100 contacts to a counting sandbox over
// loopback, both in this process.
func BenchmarkCreateBatch(b *testing.B) {
	sb, err := sandbox.New(sandbox.Options{CountOnly: true, Keys: []sandbox.Key{{Key: "k", Brand: "b"}}})
	require.NoError(b, err)
	server := httptest.NewServer(sb)
	defer server.Close()
	c, err := omnisend.New(omnisend.Options{BaseURL: server.URL + "/api", Key: "k"})
	require.NoError(b, err)
	defer c.CloseIdle()
	items := make([][]byte, omnisend.MaxItems)
	bytes := 0
	for i := range items {
		items[i] = omnisendtest.Item(fmt.Sprintf("customer.number.%06d@example.com", i),
			`"firstName":"Zoë","lastName":"O'Brien","address":"Pilies gatvė 12-3","city":"Vilnius","state":"Vilniaus apskritis","postalCode":"01123","countryCode":"LT","customProperties":{"segment_spring_buyers":true}`)
		bytes += len(items[i])
	}
	b.SetBytes(int64(bytes))
	b.ReportAllocs()
	b.SetParallelism(8)
	var sent atomic.Int64
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := c.CreateBatch(b.Context(), "bench", items); err != nil {
				b.Error(err)
				return
			}
			sent.Add(omnisend.MaxItems)
		}
	})
	b.ReportMetric(float64(sent.Load())/b.Elapsed().Seconds(), "contacts/s")
	require.EqualValues(b, sent.Load(), sb.Stats("b").Items)
}
