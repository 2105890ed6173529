package delivery_test

import (
	"bytes"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/segment-export/segment-export/internal/catalogue"
	"github.com/segment-export/segment-export/internal/contact"
	"github.com/segment-export/segment-export/internal/delivery"
	"github.com/segment-export/segment-export/internal/job"
	"github.com/segment-export/segment-export/internal/omnisend/omnisendtest"
	"github.com/segment-export/segment-export/internal/omnisend/sandbox"
	"github.com/segment-export/segment-export/internal/run"
	"github.com/segment-export/segment-export/internal/segment/synthetic"
)

// BenchmarkRun goes through the steps of a first run without a limit, against a
// sandbox in this process that only counts, without Temporal: what is left is
// our own work. It reports the time of each step, and
//
//	go test ./internal/delivery -run '^$' -bench Run -cpuprofile cpu.out
//
// says where it goes.
func BenchmarkRun(b *testing.B) {
	const rows, uploads = 100_000, 4
	var content bytes.Buffer
	expected, err := synthetic.Write(&content, rows, 1)
	require.NoError(b, err)
	spent := map[string]time.Duration{}
	for b.Loop() {
		b.StopTimer()
		s := stepsTo(b, counting(b))
		require.NoError(b, os.WriteFile(filepath.Join(s.Dir, "buyers.csv"), content.Bytes(), 0o600))
		s.Remap(catalogue.ExportSpec{Connection: "shop", Source: "crm", ID: "CustomerId", Leavers: catalogue.LeaversUnmark,
			Segments: s.Export.Segments, Mapping: contact.Mapping{
				contact.Email: "Email", contact.FirstName: "FirstName", contact.LastName: "LastName", contact.Address: "Street",
				contact.Country: "Country", contact.State: "State", contact.City: "City", contact.PostalCode: "PostalCode",
				contact.ConsentFlag: "EmailConsent", contact.ConsentDate: "ConsentDate"}})
		b.StartTimer()
		timed := func(step string, do func()) {
			from := time.Now()
			do()
			spent[step] += time.Since(from)
		}
		var r *run.Report
		timed("read+decide", func() { r = s.Begin(run.Request{Yes: true}) })
		require.Equal(b, expected.Contacts, r.ToSend)
		timed("upload", func() {
			var group errgroup.Group
			group.SetLimit(uploads)
			for batch := range (r.ToSend + 999) / 1000 {
				group.Go(func() error {
					_, err := s.Delivery.UploadBatch(b.Context(), delivery.UploadInput{RunID: r.RunID, Batch: job.FirstUpload(0) + batch})
					return err
				})
			}
			require.NoError(b, group.Wait())
		})
		timed("confirm", func() { s.Sweep(r) })
		timed("finish", func() { r = s.Finish(r, "") })
		require.Equal(b, expected.Contacts, r.New)
	}
	for step, d := range spent {
		b.ReportMetric(d.Seconds()*1e6/rows/float64(b.N), step+"-µs/row")
	}
	b.ReportMetric(rows*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
}

// counting serves a sandbox that only counts, and that nothing checks: that
// would cost more than all the rest.
func counting(b *testing.B) *omnisendtest.Target {
	b.Helper()
	sb, err := sandbox.New(sandbox.Options{CountOnly: true, Keys: []sandbox.Key{{Key: omnisendtest.Key, Brand: omnisendtest.Brand}}})
	require.NoError(b, err)
	server := httptest.NewServer(sb)
	b.Cleanup(server.Close)
	return &omnisendtest.Target{Sandbox: sb, Clock: omnisendtest.NewClock(), URL: server.URL + "/api"}
}
