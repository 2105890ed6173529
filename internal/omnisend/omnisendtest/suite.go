package omnisendtest

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/segment-export/segment-export/internal/omnisend"
	"github.com/segment-export/segment-export/internal/omnisend/sandbox"
)

// Item makes a contact as an export sends it: nonSubscribed since 1970, no
// welcome message. Members, if any, is JSON without braces: "firstName":"Zoë".
func Item(email, members string) []byte {
	return ItemWithStatus(email, "nonSubscribed", time.Unix(0, 0), members)
}

// ItemWithStatus makes a contact with a dated status.
func ItemWithStatus(email, status string, at time.Time, members string) []byte {
	if members != "" {
		members = "," + members
	}
	id, _ := json.Marshal(email)
	return fmt.Appendf(nil,
		`{"identifiers":[{"type":"email","id":%s,"sendWelcomeMessage":false,"channels":{"email":{"status":%q,"statusChangedAt":%q}}}]%s}`,
		id, status, at.UTC().Format(time.RFC3339), members)
}

// Suite is what every implementation of omnisend.API must do. start makes a
// target with an empty brand named Brand that Key opens.
func Suite(t *testing.T, start func(t *testing.T, o sandbox.Options) *Target) {
	t.Run("brand", func(t *testing.T) { suiteBrand(t, start) })
	t.Run("a batch from its making to its verdicts", func(t *testing.T) { suiteBatch(t, start) })
	t.Run("stopped batch", func(t *testing.T) { suiteStopped(t, start) })
	t.Run("list", func(t *testing.T) { suiteList(t, start) })
	t.Run("endless list", func(t *testing.T) { suiteEndless(t, start) })
	t.Run("segments", func(t *testing.T) { suiteSegments(t, start) })
	t.Run("contact", func(t *testing.T) { suiteContact(t, start) })
	t.Run("classes", func(t *testing.T) { suiteClasses(t, start) })
	t.Run("canceled", func(t *testing.T) { suiteCanceled(t, start) })
	t.Run("many callers at once", func(t *testing.T) { suiteParallel(t, start) })
	t.Run("one request each", func(t *testing.T) { suiteOneRequest(t, start) })
}

type starter = func(t *testing.T, o sandbox.Options) *Target

func suiteBrand(t *testing.T, start starter) {
	x := start(t, sandbox.Options{})
	b, err := x.API.CurrentBrand(t.Context())
	require.NoError(t, err)
	require.Equal(t, Brand, b.ID)

	require.NoError(t, x.Sandbox.SetKey(sandbox.Key{Key: Key, Brand: Brand, Permissions: []string{sandbox.ContactsRead, sandbox.ContactsWrite}}))
	_, err = x.API.CurrentBrand(t.Context())
	RequireError(t, err, omnisend.Park, 403)
	_, err = x.API.CreateBatch(t.Context(), "o", [][]byte{Item("a@example.com", "")})
	require.NoError(t, err, "a key for contacts only can still export")

	require.NoError(t, x.Sandbox.SetKey(sandbox.Key{Key: Key, Brand: "other"}))
	b, err = x.API.CurrentBrand(t.Context())
	require.NoError(t, err)
	require.Equal(t, "other", b.ID)
}

func suiteBatch(t *testing.T, start starter) {
	x := start(t, sandbox.Options{BatchDelay: 10 * time.Second, Faults: sandbox.Faults{PoisonItems: []string{"poison@example.com"}}})
	ctx := t.Context()
	id, err := x.API.CreateBatch(ctx, "run/1 \"é\"", [][]byte{
		Item("zoe+a@example.com", `"firstName":"Zoë"`), Item("poison@example.com", ""), Item("O'Brien@Example.com", `"lastName":"O'Brien"`),
	})
	require.NoError(t, err)
	require.NotEmpty(t, id)

	b, err := x.API.Batch(ctx, id)
	require.NoError(t, err)
	require.Equal(t, omnisend.BatchPending, b.Status)
	require.False(t, b.Status.Ended())
	require.Equal(t, 3, b.TotalCount)
	require.Equal(t, "run/1 \"é\"", b.Origin)
	require.True(t, b.CreatedAt.Equal(x.Clock.Now()), b.CreatedAt)
	require.Zero(t, b.EndedAt)
	b, err = x.API.BatchItems(ctx, id)
	require.NoError(t, err)
	require.Empty(t, omnisend.Judge(b).ByEmail)

	x.Clock.Advance(5 * time.Second)
	b, err = x.API.Batch(ctx, id)
	require.NoError(t, err)
	require.Equal(t, omnisend.BatchInProgress, b.Status)

	x.Clock.Advance(5 * time.Second)
	b, err = x.API.Batch(ctx, id)
	require.NoError(t, err)
	require.Equal(t, omnisend.BatchFinished, b.Status)
	require.Equal(t, []int{3, 3, 1}, []int{b.TotalCount, b.FinishedCount, b.ErrorsCount})
	require.Empty(t, b.Errors, "the summary has no items")
	b, err = x.API.BatchItems(ctx, id)
	require.NoError(t, err)
	require.Equal(t, omnisend.Verdicts{ByEmail: map[string]omnisend.Verdict{
		"zoe+a@example.com":   {OK: true, Code: 201},
		"o'brien@example.com": {OK: true, Code: 201},
		"poison@example.com":  {Code: 400, Reason: "400 identifiers[0].id invalid", Sentence: "poison@example.com cannot be taken"},
	}}, omnisend.Judge(b))

	x.Clock.Advance(8 * 24 * time.Hour)
	_, err = x.API.Batch(ctx, id)
	RequireError(t, err, omnisend.Gone, 404)
	_, err = x.API.BatchItems(ctx, id)
	RequireError(t, err, omnisend.Gone, 404)
	_, err = x.API.Batch(ctx, "no/such?id")
	RequireError(t, err, omnisend.Gone, 404)
}

// suiteEndless: a list whose every page names a next one ends with the first
// page that is empty.
func suiteEndless(t *testing.T, start starter) {
	x := start(t, sandbox.Options{Faults: sandbox.Faults{EndlessList: true}})
	_, err := x.API.CreateBatch(t.Context(), "o", [][]byte{Item("a@example.com", "")})
	require.NoError(t, err)
	all, err := AllBatches(t.Context(), x.API)
	require.NoError(t, err)
	require.Len(t, all, 1)
}

func suiteStopped(t *testing.T, start starter) {
	x := start(t, sandbox.Options{Faults: sandbox.Faults{StopAfterErrors: 1, PoisonItems: []string{"b@example.com"}}})
	id, err := x.API.CreateBatch(t.Context(), "o", [][]byte{Item("a@example.com", ""), Item("b@example.com", ""), Item("c@example.com", "")})
	require.NoError(t, err)
	b, err := x.API.BatchItems(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, omnisend.BatchStopped, b.Status)
	v := omnisend.Judge(b)
	require.Len(t, v.ByEmail, 2)
	require.NotContains(t, v.ByEmail, "c@example.com", "what was left undone has no verdict")
}

func suiteList(t *testing.T, start starter) {
	x := start(t, sandbox.Options{})
	ctx := t.Context()
	page, err := x.API.ListBatches(ctx, omnisend.ListQuery{})
	require.NoError(t, err)
	require.Empty(t, page.Batches)
	require.False(t, page.More)

	made := map[string]bool{}
	for i := range 7 {
		id, err := x.API.CreateBatch(ctx, "origin", [][]byte{Item(fmt.Sprintf("c%d@example.com", i), "")})
		require.NoError(t, err)
		made[id] = true
		if i == 3 {
			x.Clock.Advance(24 * time.Hour)
		}
	}
	seen := map[string]bool{}
	for offset := 0; ; offset += 3 {
		page, err := x.API.ListBatches(ctx, omnisend.ListQuery{Offset: offset, Limit: 3})
		require.NoError(t, err)
		for _, b := range page.Batches {
			require.Equal(t, "origin", b.Origin)
			require.Equal(t, omnisend.BatchFinished, b.Status)
			seen[b.ID] = true
		}
		require.Equal(t, offset+3 < 7, page.More)
		if !page.More {
			break
		}
	}
	require.Equal(t, made, seen)
	page, err = x.API.ListBatches(ctx, omnisend.ListQuery{DateFrom: x.Clock.Now()})
	require.NoError(t, err)
	require.Len(t, page.Batches, 3)
	_, err = x.API.ListBatches(ctx, omnisend.ListQuery{Limit: omnisend.MaxListed + 1})
	require.Error(t, err)
}

func suiteContact(t *testing.T, start starter) {
	x := start(t, sandbox.Options{})
	x.Sandbox.Seed(Brand, sandbox.Contact{Email: "A+b@Example.com", Status: "subscribed", Fields: map[string]string{"city": "Łódź"}})
	raw, found, err := x.API.ContactByEmail(t.Context(), "a+B@example.com")
	require.NoError(t, err)
	require.True(t, found)
	var c struct{ Email, Status, City string }
	require.NoError(t, json.Unmarshal(raw, &c))
	require.Equal(t, "subscribed", c.Status)
	require.Equal(t, "Łódź", c.City)
	_, found, err = x.API.ContactByEmail(t.Context(), "nobody@example.com")
	require.NoError(t, err)
	require.False(t, found)
}

func suiteClasses(t *testing.T, start starter) {
	type result struct {
		class      omnisend.Class
		status     int
		unanswered bool
		effect     bool
	}
	for fault, want := range map[sandbox.Fault]result{
		sandbox.TooMany:        {omnisend.Wait, 429, false, false},
		sandbox.ServerError:    {omnisend.Retry, 500, false, false},
		sandbox.Unavailable:    {omnisend.Retry, 503, false, false},
		sandbox.Retired:        {omnisend.Park, 410, false, false},
		sandbox.BadGateway:     {omnisend.Retry, 502, true, false},
		sandbox.HTMLPage:       {omnisend.Retry, 200, true, false},
		sandbox.BreakBefore:    {omnisend.Retry, 0, true, false},
		sandbox.BreakAfter:     {omnisend.Retry, 0, true, true},
		sandbox.GatewayTimeout: {omnisend.Retry, 504, true, true},
		sandbox.Truncated:      {omnisend.Retry, 201, true, true},
	} {
		t.Run(string(fault), func(t *testing.T) {
			x := start(t, sandbox.Options{})
			require.NoError(t, x.Sandbox.Inject(sandbox.Trigger{Fault: fault}))
			_, err := x.API.CreateBatch(t.Context(), "o", [][]byte{Item("a@example.com", "")})
			e := RequireError(t, err, want.class, want.status)
			require.Equal(t, want.unanswered, e.Unanswered)
			require.Equal(t, want.effect, x.Sandbox.Stats(Brand).Batches == 1)
			if fault == sandbox.TooMany {
				require.Equal(t, time.Second, e.RetryAfter)
			}
			require.NoError(t, x.Sandbox.Inject(sandbox.Trigger{Fault: fault}))
			_, err = x.API.ListBatches(t.Context(), omnisend.ListQuery{})
			status := want.status
			if fault == sandbox.Truncated {
				status = 200
			}
			e = RequireError(t, err, want.class, status)
			require.False(t, e.Unanswered, "a GET has no effect to wonder about")
		})
	}
	t.Run("poison call", func(t *testing.T) {
		x := start(t, sandbox.Options{Faults: sandbox.Faults{PoisonCalls: []string{"poison@example.com"}}})
		_, err := x.API.CreateBatch(t.Context(), "o", [][]byte{Item("a@example.com", ""), Item("Poison@example.com", "")})
		e := RequireError(t, err, omnisend.Split, 400)
		require.Equal(t, []omnisend.FieldError{{Field: "items", Code: "invalid"}}, e.Fields)
	})
	t.Run("revoked key", func(t *testing.T) {
		x := start(t, sandbox.Options{})
		x.Sandbox.Revoke(Key)
		_, err := x.API.CreateBatch(t.Context(), "o", [][]byte{Item("a@example.com", "")})
		RequireError(t, err, omnisend.Park, 401)
		x.Sandbox.Restore(Key)
		_, err = x.API.CreateBatch(t.Context(), "o", [][]byte{Item("a@example.com", "")})
		require.NoError(t, err)
	})
	t.Run("over the limit", func(t *testing.T) {
		x := start(t, sandbox.Options{CallsPerMinute: 2})
		for range 2 {
			_, err := x.API.CurrentBrand(t.Context())
			require.NoError(t, err)
			x.Clock.Advance(10 * time.Second)
		}
		_, err := x.API.CurrentBrand(t.Context())
		require.Equal(t, 40*time.Second, RequireError(t, err, omnisend.Wait, 429).RetryAfter)
		require.NoError(t, x.Sandbox.SetFaults(sandbox.Faults{MuteRetryAfter: true}))
		_, err = x.API.CurrentBrand(t.Context())
		require.Zero(t, RequireError(t, err, omnisend.Wait, 429).RetryAfter)
		x.Clock.Advance(40 * time.Second)
		_, err = x.API.CurrentBrand(t.Context())
		require.NoError(t, err)
	})
}

func suiteCanceled(t *testing.T, start starter) {
	entered := make(chan struct{})
	x := start(t, sandbox.Options{Sleep: func(ctx context.Context, _ time.Duration) {
		close(entered)
		<-ctx.Done()
	}})
	require.NoError(t, x.Sandbox.SetFaults(sandbox.Faults{SlowSeconds: 3600}))
	require.NoError(t, x.Sandbox.Inject(sandbox.Trigger{Fault: sandbox.SlowAnswer}))
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-entered
		cancel()
	}()
	_, err := x.API.CreateBatch(ctx, "o", [][]byte{Item("a@example.com", "")})
	require.ErrorIs(t, err, context.Canceled)
	require.True(t, RequireError(t, err, omnisend.Retry, 0).Unanswered)

	_, err = x.API.CreateBatch(ctx, "o", [][]byte{Item("a@example.com", "")})
	require.ErrorIs(t, err, context.Canceled, "with a context that has ended nothing is sent")
	require.LessOrEqual(t, x.Sandbox.Stats(Brand).Route("POST /batches"), 1)
}

// With every kind of fault and sixteen callers, repeating what failed, each
// contact arrives, and what has an id is listed.
func suiteParallel(t *testing.T, start starter) {
	x := start(t, sandbox.Options{Seed: 1, RandomList: true, Faults: sandbox.Faults{Rates: map[sandbox.Fault]float64{
		sandbox.TooMany: 0.05, sandbox.ServerError: 0.1, sandbox.BadGateway: 0.05, sandbox.HTMLPage: 0.05,
		sandbox.BreakBefore: 0.05, sandbox.BreakAfter: 0.05, sandbox.GatewayTimeout: 0.05, sandbox.Truncated: 0.05,
	}}})
	var ids sync.Map
	var wait sync.WaitGroup
	for worker := range omnisend.ParallelCalls {
		wait.Go(func() {
			for call := range 10 {
				items := [][]byte{Item(fmt.Sprintf("a%d-%d@example.com", worker, call), ""), Item(fmt.Sprintf("b%d-%d@example.com", worker, call), "")}
				for {
					id, err := x.API.CreateBatch(t.Context(), "o", items)
					if err == nil {
						ids.Store(id, true)
						break
					}
				}
			}
		})
	}
	wait.Wait()
	require.Len(t, x.Sandbox.Contacts(Brand), omnisend.ParallelCalls*10*2)
	require.NoError(t, x.Sandbox.SetFaults(sandbox.Faults{}))
	page, err := x.API.ListBatches(t.Context(), omnisend.ListQuery{})
	require.NoError(t, err)
	listed := map[string]bool{}
	for _, b := range page.Batches {
		listed[b.ID] = true
	}
	ids.Range(func(id, _ any) bool {
		require.True(t, page.More || listed[id.(string)])
		return true
	})
}

func suiteOneRequest(t *testing.T, start starter) {
	x := start(t, sandbox.Options{})
	id, err := x.API.CreateBatch(t.Context(), "o", [][]byte{Item("a@example.com", "")})
	require.NoError(t, err)
	for name, method := range map[string]func() error{
		"CurrentBrand": func() error { _, err := x.API.CurrentBrand(t.Context()); return err },
		"CreateBatch": func() error {
			_, err := x.API.CreateBatch(t.Context(), "o", [][]byte{Item("b@example.com", "")})
			return err
		},
		"ListBatches":    func() error { _, err := x.API.ListBatches(t.Context(), omnisend.ListQuery{}); return err },
		"Batch":          func() error { _, err := x.API.Batch(t.Context(), id); return err },
		"BatchItems":     func() error { _, err := x.API.BatchItems(t.Context(), id); return err },
		"ContactByEmail": func() error { _, _, err := x.API.ContactByEmail(t.Context(), "a@example.com"); return err },
		"CreateSegment":  func() error { _, err := x.API.CreateSegment(t.Context(), "n", "m"); return err },
		"ListSegments":   func() error { _, err := x.API.ListSegments(t.Context(), ""); return err },
	} {
		before := x.Sandbox.Stats(Brand).Total()
		require.NoError(t, method(), name)
		require.Equal(t, before+1, x.Sandbox.Stats(Brand).Total(), name)
		// On a connection that was used before, net/http itself would send a
		// GET again when it breaks.
		require.NoError(t, x.Sandbox.Inject(sandbox.Trigger{Fault: sandbox.BreakBefore}))
		require.Error(t, method(), name)
		require.Equal(t, before+2, x.Sandbox.Stats(Brand).Total(), name)
		require.NoError(t, method(), name)
	}
}

// RequireError requires err to be an *omnisend.Error of a class and status,
// whose text has neither the key nor an address nor free text in it.
func RequireError(t testing.TB, err error, class omnisend.Class, status int) *omnisend.Error {
	t.Helper()
	var e *omnisend.Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, class, e.Class, e)
	require.Equal(t, status, e.Status, e)
	text := fmt.Sprintf("%v %+v %#v %s", err, e, e.Fields, e.Error())
	require.NotContains(t, text, Key)
	require.NotContains(t, text, "@")
	require.NotContains(t, text, "free text")
	return e
}
