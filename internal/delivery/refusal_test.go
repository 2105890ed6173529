package delivery_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/segment-export/segment-export/internal/delivery"
	"github.com/segment-export/segment-export/internal/job"
	"github.com/segment-export/segment-export/internal/omnisend"
	"github.com/segment-export/segment-export/internal/omnisend/omnisendtest"
	"github.com/segment-export/segment-export/internal/omnisend/sandbox"
	"github.com/segment-export/segment-export/internal/protocol"
	"github.com/segment-export/segment-export/internal/run"
)

// people are n rows of a segment.
func people(n int) []string {
	rows := make([]string, n)
	for i := range rows {
		rows[i] = fmt.Sprintf("p%03d@example.com,P", i)
	}
	return rows
}

// bent changes what one method of the API answers.
type bent struct {
	omnisend.API

	create func(items [][]byte) error
	items  func(omnisend.Batch) omnisend.Batch
}

func (b bent) CreateBatch(ctx context.Context, origin string, items [][]byte) (string, error) {
	if b.create != nil {
		if err := b.create(items); err != nil {
			return "", err
		}
	}
	return b.API.CreateBatch(ctx, origin, items)
}

func (b bent) BatchItems(ctx context.Context, id string) (omnisend.Batch, error) {
	batch, err := b.API.BatchItems(ctx, id)
	if err == nil && b.items != nil {
		batch = b.items(batch)
	}
	return batch, err
}

// bend lets the API answer otherwise from now on.
func (s *steps) bend(b bent) {
	open := s.OpenAPI
	s.OpenAPI = func(endpoint, key string) (omnisend.API, error) {
		api, err := open(endpoint, key)
		bent := b
		bent.API = api
		return bent, err
	}
}

func (s *steps) uploadFirst(r *run.Report) *delivery.UploadResult {
	s.T.Helper()
	sent, err := s.Delivery.UploadBatch(s.T.Context(), delivery.UploadInput{RunID: r.RunID, Batch: job.FirstUpload(0)})
	require.NoError(s.T, err)
	return sent
}

// A reason that every contact shares is found out with a few calls, not with two
// for each contact.
func TestACallThatEveryContactBreaks(t *testing.T) {
	s := newSteps(t, sandbox.Options{Faults: sandbox.Faults{PoisonCalls: []string{"segment_buyers"}}})
	s.Write(people(300)...)
	r := s.Begin(run.Request{Yes: true})
	sent := s.uploadFirst(r)
	require.NotNil(t, sent.Halt)
	require.Equal(t, run.HaltPark, sent.Halt.Kind)
	require.EqualValues(t, "Omnisend refuses every call for the same reason: 400 items invalid; the last 10 contacts were sent alone, and each was refused for it", sent.Halt.Reason)
	require.Contains(t, sent.Halt.Action, "starter runs rejects "+r.RunID)
	calls := s.Target.Sandbox.Stats(omnisendtest.Brand).Calls["POST /batches"][400]
	require.LessOrEqual(t, calls, 30)

	var said []protocol.Reject
	require.NoError(t, s.EachReject(t.Context(), r.RunID, func(r protocol.Reject) { said = append(said, r) }, job.RejectsRefused))
	require.Len(t, said, 10)
	for _, r := range said {
		require.Equal(t, "an item cannot be taken", r.Said)
		require.Equal(t, "400 items invalid", r.Reason)
	}

	require.NoError(t, s.Target.Sandbox.SetFaults(sandbox.Faults{})) // it was corrected there, and the run resumed
	sent = s.uploadFirst(r)
	require.Nil(t, sent.Halt)
	require.True(t, sent.Done)
	s.Sweep(r)
	r = s.Finish(r, "")
	require.Equal(t, 10, r.Refused)
	require.Equal(t, 290, r.New)
}

// Contacts here and there that break their call are refused, each for itself.
func TestContactsThatBreakTheirCall(t *testing.T) {
	poison := []string{}
	for _, i := range []int{3, 4, 5, 6, 40, 41, 80, 81, 82, 99} {
		poison = append(poison, fmt.Sprintf("p%03d@example.com", i))
	}
	s := newSteps(t, sandbox.Options{Faults: sandbox.Faults{PoisonCalls: poison}})
	s.Write(people(100)...)
	r := s.Begin(run.Request{Yes: true})
	s.Upload(r)
	s.Sweep(r)
	r = s.Finish(r, "")
	require.Equal(t, len(poison), r.Refused)
	require.Equal(t, 100-len(poison), r.New)
}

// What Omnisend refuses of the call itself is no matter of its contacts.
func TestACallThatIsRefusedForItself(t *testing.T) {
	for name, tc := range map[string]struct {
		answer omnisend.Answer
		reason string
	}{
		"method":  {omnisend.Answer{Status: 400, Body: []byte(`{"errors":[{"field":"method","code":"invalid_value","message":"m"}]}`)}, "whatever contacts are in them"},
		"payment": {omnisend.Answer{Status: 402, Body: []byte(`{"title":"Payment required"}`)}, "asks for a payment"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSteps(t, sandbox.Options{})
			calls := 0
			tc.answer.Op = "POST /batches"
			s.bend(bent{create: func([][]byte) error { calls++; return omnisend.Classify(tc.answer) }})
			s.Write(people(100)...)
			r := s.Begin(run.Request{Yes: true})
			sent := s.uploadFirst(r)
			require.NotNil(t, sent.Halt)
			require.Equal(t, run.HaltPark, sent.Halt.Kind)
			require.Contains(t, sent.Halt.Reason, tc.reason)
			require.Equal(t, 1, calls)
		})
	}
}

// A 403 may pass: it is tried again for a while, and then the run parks.
func TestA403IsTriedAgainSlowly(t *testing.T) {
	s := newSteps(t, sandbox.Options{})
	s.Write("ann@example.com,Ann")
	r := s.Begin(run.Request{Yes: true})
	forbid := func(permissions ...string) {
		require.NoError(t, s.Target.Sandbox.SetKey(sandbox.Key{Key: omnisendtest.Key, Brand: omnisendtest.Brand, Permissions: permissions}))
	}
	forbid(sandbox.BrandsRead, sandbox.ContactsRead)
	tries := 0
	for {
		tries++
		halt := s.uploadFirst(r).Halt
		require.NotNil(t, halt)
		require.Contains(t, halt.Reason, "lacks a permission, or Omnisend has blocked it for a while")
		if halt.Kind == run.HaltPark {
			break
		}
		require.Equal(t, run.HaltWait, halt.Kind)
		require.LessOrEqual(t, halt.Wait, time.Minute)
		s.Later(halt.Wait)
	}
	require.Equal(t, 4, tries)

	s.Later(time.Hour) // the operator resumes it
	require.Equal(t, run.HaltWait, s.uploadFirst(r).Halt.Kind)
	forbid()
	require.True(t, s.uploadFirst(r).Done)
}

// An answer of another shape says nothing about the contacts: the run parks, and
// nobody is refused.
func TestOutcomesThatNameNoContact(t *testing.T) {
	for name, echo := range map[string]string{"no address": `{"id":"5"}`, "another address": `{"email":"other@example.com"}`} {
		t.Run(name, func(t *testing.T) {
			s := newSteps(t, sandbox.Options{Faults: sandbox.Faults{PoisonItems: []string{"p001@example.com"}}})
			s.bend(bent{items: func(b omnisend.Batch) omnisend.Batch {
				for _, list := range [][]omnisend.Item{b.Errors, b.Responses} {
					for i := range list {
						list[i].Request = []byte(echo)
					}
				}
				return b
			}})
			s.Write(people(3)...)
			r := s.Begin(run.Request{Yes: true})
			s.Upload(r)
			swept, err := s.Delivery.Sweep(t.Context(), delivery.SweepInput{RunID: r.RunID, Whole: true})
			require.NoError(t, err)
			require.NotNil(t, swept.Halt)
			require.Equal(t, run.HaltPark, swept.Halt.Kind)
			require.Contains(t, swept.Halt.Reason, "none of its")
			require.Equal(t, 1, swept.Totals.Unsettled)
			require.Empty(t, swept.Uploads, "nobody is sent again")
		})
	}
}
