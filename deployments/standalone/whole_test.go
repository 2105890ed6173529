package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/segment-export/segment-export/activities"
	"github.com/segment-export/segment-export/internal/omnisend/omnisendtest"
	"github.com/segment-export/segment-export/internal/omnisend/sandbox"
	"github.com/segment-export/segment-export/internal/run"
)

func TestRunArrivesThroughFaults(t *testing.T) {
	s := newShop(t, 5000, sandbox.Options{CallsPerMinute: 400, BatchDelay: 300 * time.Millisecond, Seed: 3,
		Faults: sandbox.Faults{Rates: map[sandbox.Fault]float64{sandbox.ServerError: 0.10, sandbox.BreakAfter: 0.05, sandbox.TooMany: 0.05}}})
	s.open(activities.Tuning{BatchSize: 500})
	s.define()
	code, r := s.run("--yes")
	require.Equal(t, 3, code)
	require.Equal(t, run.CompletedWithRejects, r.Status)
	e := s.expected
	require.Equal(t, []int{e.Rows, e.Invalid, e.Duplicate, e.Contacts, e.Contacts}, []int{r.Read, r.Invalid, r.Duplicate, r.Contacts, r.New})
	require.Equal(t, e.Subscribed, r.Consent.Subscribed)
	require.Equal(t, e.Unsubscribed, r.Consent.Unsubscribed)

	stats := s.sandbox.Stats(omnisendtest.Brand)
	require.Zero(t, stats.Welcomes)
	require.Zero(t, stats.TagsReplaced)
	require.Zero(t, stats.Resubscribed)
	require.Len(t, s.sandbox.Contacts(omnisendtest.Brand), e.Contacts)

	code, r = s.run()
	require.Equal(t, 3, code, "the invalid rows are still invalid")
	require.Equal(t, e.Contacts, r.Unchanged)
	require.Zero(t, r.Calls)
}
