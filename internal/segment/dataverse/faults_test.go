package dataverse_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/segment-export/segment-export/internal/segment"
	"github.com/segment-export/segment-export/internal/segment/dataverse"
	"github.com/segment-export/segment-export/internal/segment/dataverse/dataversetest"
	"github.com/segment-export/segment-export/internal/segment/segmenttest"
)

var email = []string{"msdynci_email"}

// expected are the addresses of the members that fill made.
func expected(n int, in func(int) bool) []string {
	var all []string
	for i := range n {
		if in(i) {
			all = append(all, fmt.Sprintf("p%d@example.com", i))
		}
	}
	return all
}

func status(code int, body string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(code)
		_, _ = io.WriteString(w, body)
	})
}

// Whatever goes wrong on the way and passes, each member comes once.
func TestPassingFaultsLoseNothing(t *testing.T) {
	members, profiles := "msdynci_segmentmemberships", "msdynci_customerprofiles"
	for name, test := range map[string]struct {
		faults []dataversetest.Fault
		waits  bool
	}{
		"a page of members is cut":  {[]dataversetest.Fault{{Path: members, Skip: 3, Cut: 900}, {Path: members, Skip: 1, Cut: 5}}, true},
		"a page of profiles is cut": {[]dataversetest.Fault{{Path: profiles, Skip: 2, Cut: 700, Times: 2}}, true},
		"overload":                  {[]dataversetest.Fault{{Path: members, Skip: 4, Do: status(503, "busy"), Times: 3}}, true},
		"a gateway's page":          {[]dataversetest.Fault{{Path: profiles, Skip: 2, Do: status(502, "<html>"), Times: 2}, {Path: members, Skip: 2, Do: status(200, "<html>"), Times: 2}}, true},
		"links expire":              {[]dataversetest.Fault{{Path: members, Skip: 2, After: (*dataversetest.Server).ExpireLinks, Times: 4}}, false},
		"tokens are revoked":        {[]dataversetest.Fault{{Path: members, Skip: 2, After: (*dataversetest.Server).RevokeTokens, Times: 2}}, false},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, dataversetest.Options{PageRows: 40})
			w.fill(400, third)
			for _, f := range test.faults {
				w.Break(f)
			}
			require.Equal(t, expected(400, third), read(t, w.source(t), "Male_under_40"))
			require.Equal(t, test.waits, w.clock.slept > 0)
		})
	}
}

func TestAFaultThatDoesNotPassIsAnErrorAndNotAnEnd(t *testing.T) {
	w := newWorld(t, dataversetest.Options{PageRows: 40})
	w.fill(400, third)
	w.Break(dataversetest.Fault{Path: "msdynci_segmentmemberships", Skip: 3, Do: status(500, `{"error":{"code":"0x80040216","message":"filter was customer `+id(3)+`"}}`), Times: 1000})
	r, err := w.source(t).Open(t.Context(), "Male_under_40", email, nil)
	require.NoError(t, err)
	defer r.Close()
	rows, err := segmenttest.Drain(r)
	require.ErrorContains(t, err, "status 500")
	require.NotErrorIs(t, err, io.EOF)
	require.NotContains(t, err.Error(), id(3), "answers may quote customers")
	require.Less(t, len(rows), 134)
	_, again := r.Next()
	require.Equal(t, err, again)
}

func TestALinkToAnotherHostIsNotFollowed(t *testing.T) {
	w := newWorld(t, dataversetest.Options{})
	w.fill(10, third)
	w.Break(dataversetest.Fault{Path: "msdynci_segmentmemberships", Skip: 1, Do: status(200, `{"value":[],"@odata.nextLink":"https://example.com/api/data/v9.2/x"}`)})
	r, err := w.source(t).Open(t.Context(), "Male_under_40", email, nil)
	require.NoError(t, err)
	defer r.Close()
	_, err = segmenttest.Drain(r)
	require.ErrorIs(t, err, segment.ErrMalformed)
	require.ErrorContains(t, err, "at another host")
}

// Each of the three limits: the login waits as long as the answer says,
// and sends nothing meanwhile.
func TestServiceProtectionIsRespected(t *testing.T) {
	for name, limits := range map[string]dataversetest.Limits{
		"requests":    {Requests: 12},
		"execution":   {Execution: 240 * time.Millisecond},
		"concurrency": {Concurrency: 2},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, dataversetest.Options{PageRows: 300, Limits: limits})
			w.fill(3000, func(i int) bool { return i%3 < 2 })
			s := w.source(t)
			var got []string
			var cursor segment.Cursor
			waits := 0
			for done := false; !done; {
				r, err := s.Open(t.Context(), "Male_under_40", email, cursor)
				for err == nil {
					var row segment.Row
					if row, err = r.Next(); err == nil {
						got = append(got, row.Values[0])
						cursor = r.Cursor()
					}
				}
				if r != nil {
					require.NoError(t, r.Close())
				}
				if busy, ok := err.(*segment.BusyError); ok { //nolint:errorlint // it is the error itself
					require.Greater(t, busy.RetryAfter, 20*time.Second, "a short wait is waited in place")
					w.clock.advance(busy.RetryAfter)
					waits++
					require.Less(t, waits, 30)
					continue
				}
				require.ErrorIs(t, err, io.EOF)
				done = true
			}
			require.Equal(t, expected(3000, func(i int) bool { return i%3 < 2 }), got)
			_, early := w.Worst(client)
			require.LessOrEqual(t, early, 5*waits, "nobody asks before the time is over, but for those that had already asked")
			if name != "concurrency" {
				require.NotZero(t, waits)
			}
		})
	}
}

func TestTheLimitIsTheLoginsNotTheSources(t *testing.T) {
	w := newWorld(t, dataversetest.Options{})
	w.fill(10, third)
	w.Break(dataversetest.Fault{Path: "EntityDefinitions", Do: http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Retry-After", "60")
		rw.WriteHeader(http.StatusTooManyRequests)
	})})
	_, err := w.source(t).Describe(t.Context(), "Male_under_40")
	require.ErrorIs(t, err, segment.ErrBusy)
	before := len(w.Requests())
	_, err = w.source(t).Describe(t.Context(), "Male_under_40")
	require.ErrorIs(t, err, segment.ErrBusy, "another source with the same login")
	require.Len(t, w.Requests(), before)
	w.clock.advance(time.Minute)
	_, err = w.source(t).Describe(t.Context(), "Male_under_40")
	require.NoError(t, err)
}

// Two workers read for the same identity and know nothing of each other: both
// meet its limits, both wait as long as the answers say, and both get everything.
func TestTwoWorkersWithOneIdentity(t *testing.T) {
	w := newWorld(t, dataversetest.Options{PageRows: 300, Limits: dataversetest.Limits{Requests: 12}})
	in := func(i int) bool { return i%3 < 2 }
	w.fill(3000, in)
	type worker struct {
		source *dataverse.Source
		cursor segment.Cursor
		got    []string
		until  time.Time
		done   bool
	}
	workers := []*worker{{source: w.source(t).Apart()}, {source: w.source(t).Apart()}}
	waits := 0
	for !workers[0].done || !workers[1].done {
		for _, one := range workers {
			if one.done || w.clock.Now().Before(one.until) {
				w.clock.advance(time.Second)
				continue
			}
			r, err := one.source.Open(t.Context(), "Male_under_40", email, one.cursor)
			for err == nil {
				var row segment.Row
				if row, err = r.Next(); err == nil {
					one.got, one.cursor = append(one.got, row.Values[0]), r.Cursor()
				}
			}
			if r != nil {
				require.NoError(t, r.Close())
			}
			busy, ok := errors.AsType[*segment.BusyError](err)
			if one.done = errors.Is(err, io.EOF); one.done {
				continue
			}
			require.True(t, ok, "%v", err)
			one.until = w.clock.Now().Add(busy.RetryAfter)
			waits++
			require.Less(t, waits, 60)
		}
	}
	for _, one := range workers {
		require.Equal(t, expected(3000, in), one.got)
	}
	_, early := w.Worst(client)
	require.LessOrEqual(t, early, 7*waits, "a worker asks in vain once for what it has under way, and then not before the time is over")
}

func TestARefreshIsWaitedFor(t *testing.T) {
	w := newWorld(t, dataversetest.Options{})
	w.fill(10, third)
	s := w.source(t)
	for _, running := range []string{"Running", "Queued"} {
		w.SetSegments([]dataversetest.Segment{{Name: "Male_under_40", Status: running, Run: "run-1", RefreshedAt: w.clock.Now()}})
		_, err := s.Open(t.Context(), "Male_under_40", email, nil)
		var busy *segment.BusyError
		require.ErrorAs(t, err, &busy, running)
		require.ErrorContains(t, err, "refreshing the segment")
		checks, err := s.Test(t.Context())
		require.NoError(t, err)
		require.True(t, checks[len(checks)-1].OK, "nothing has to be corrected")
		require.Contains(t, checks[len(checks)-1].Detail, "runs wait until that is done")
	}
	// The segments are done, profiles are still being written.
	w.fill(10, third)
	w.SetProfiles([]dataversetest.Profile{{ID: id(0), Values: map[string]any{"msdynci_email": "a@example.com"}}}, w.clock.Now().Add(-30*time.Second))
	_, err := s.Open(t.Context(), "Male_under_40", email, nil)
	var busy *segment.BusyError
	require.ErrorAs(t, err, &busy)
	require.Equal(t, 90*time.Second, busy.RetryAfter)
	w.clock.advance(busy.RetryAfter)
	_, err = s.Open(t.Context(), "Male_under_40", email, nil)
	require.NoError(t, err)
}

func TestARefreshDuringTheRead(t *testing.T) {
	for _, o := range []dataversetest.Options{{PageRows: 40}, {PageRows: 40, MetadataForbidden: true}, {PageRows: 40, NoSort: true}} {
		w := newWorld(t, o)
		begin := func() (segment.Reader, segment.Cursor) {
			w.fill(400, third)
			r, err := w.source(t).Open(t.Context(), "Male_under_40", email, nil)
			require.NoError(t, err)
			for range 10 {
				_, err := r.Next()
				require.NoError(t, err)
			}
			cursor := r.Cursor()
			w.clock.advance(time.Hour)
			w.fill(400, third)
			w.SetSegments([]dataversetest.Segment{{Name: "Male_under_40", Run: "run-2", RefreshedAt: w.clock.Now()}})
			w.clock.advance(time.Hour)
			return r, cursor
		}
		r, cursor := begin()
		_, err := segmenttest.Drain(r)
		require.ErrorIs(t, err, segment.ErrChanged)
		require.NoError(t, r.Close())
		_, err = w.source(t).Open(t.Context(), "Male_under_40", email, cursor)
		require.ErrorIs(t, err, segment.ErrChanged)

		// By the other policy it is read on, here and from the cursor, and noted.
		w.config.OnChange = dataverse.OnChangeWarn
		r, cursor = begin()
		rows, err := segmenttest.Drain(r)
		require.NoError(t, err)
		require.Len(t, rows, 124)
		require.Contains(t, r.(segment.Noter).Notes()[0], "was refreshed while it was read")
		require.NoError(t, r.Close())
		r, err = w.source(t).Open(t.Context(), "Male_under_40", email, cursor)
		require.NoError(t, err)
		rows, err = segmenttest.Drain(r)
		require.NoError(t, err)
		require.Len(t, rows, 124)
		require.Contains(t, r.(segment.Noter).Notes()[0], "was refreshed while it was read")
		require.NoError(t, r.Close())
	}
}

// Each sign of a refresh is enough alone.
func TestEverySignOfARefreshCounts(t *testing.T) {
	for name, refresh := range map[string]func(*world){
		"another run": func(w *world) {
			w.SetSegments([]dataversetest.Segment{{Name: "Male_under_40", Run: "run-2", RefreshedAt: w.clock.Now()}})
		},
		"memberships written": func(w *world) {
			w.SetMemberships([]dataversetest.Membership{{Customer: id(0), Segments: []string{"Male_under_40"}}}, w.clock.Now())
		},
		"profiles written": func(w *world) {
			w.SetProfiles([]dataversetest.Profile{{ID: id(0), Values: map[string]any{"msdynci_email": "new@example.com"}}}, w.clock.Now())
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, dataversetest.Options{PageRows: 40})
			w.fill(400, third)
			r, err := w.source(t).Open(t.Context(), "Male_under_40", email, nil)
			require.NoError(t, err)
			_, err = r.Next()
			require.NoError(t, err)
			w.clock.advance(time.Hour)
			refresh(w)
			w.clock.advance(time.Hour)
			_, err = segmenttest.Drain(r)
			require.ErrorIs(t, err, segment.ErrChanged)
			require.NoError(t, r.Close())
		})
	}
}

// Where nothing shows a refresh, the report says that.
func TestAnEnvironmentThatShowsNoRefresh(t *testing.T) {
	w := newWorld(t, dataversetest.Options{NoSort: true, MetadataMissing: true})
	w.fill(30, third)
	r, err := w.source(t).Open(t.Context(), "Male_under_40", email, nil)
	require.NoError(t, err)
	defer r.Close()
	rows, err := segmenttest.Drain(r)
	require.NoError(t, err)
	require.Len(t, rows, 10)
	require.Contains(t, r.(segment.Noter).Notes()[0], "cannot be noticed")
}

func TestOddMemberships(t *testing.T) {
	w := newWorld(t, dataversetest.Options{PageRows: 2})
	w.fill(8, third)
	written := w.clock.Now().Add(-time.Hour)
	w.SetMemberships([]dataversetest.Membership{
		{Customer: id(0), Segments: []string{"Male_under_40"}},
		{Customer: id(0), Segments: []string{"Male_under_40"}, Provider: "Journeys"}, // twice
		{Customer: id(1), Segments: []string{"MALE_UNDER_40", "Male-under_40"}},      // what the filter finds and the list does not mean
		{Customer: id(2), Segments: []string{"Male_under_40x"}},
		{Customer: id(3), Segments: []string{"male_under_40"}},
		{Customer: id(3), Segments: []string{"Male_under_40"}, Provider: "Journeys"}, // only the second row
		{Customer: id(4), Raw: `"Male_under_40"]`},                                   // no list
		{Customer: id(90), Segments: []string{"Male_under_40"}},                      // no profile yet
		{Customer: id(95), Segments: []string{"Male_under_40"}},
	}, written)
	for _, expire := range []int{0, 10} {
		w.Break(dataversetest.Fault{Path: "msdynci_segmentmemberships", After: (*dataversetest.Server).ExpireLinks, Times: 1 + expire})
		rows := segmenttest.ReadAll(t, w.source(t), "Male_under_40", email, nil)
		require.Equal(t, []segmenttest.Row{
			{Number: 1, Values: []string{"p0@example.com"}},
			{Number: 2, Values: []string{"p3@example.com"}},
			{Number: 3, Problem: dataverse.ProblemMembership},
			{Number: 4, Problem: dataverse.ProblemNoProfile},
			{Number: 5, Problem: dataverse.ProblemNoProfile},
		}, rows)
	}

	w.SetMemberships([]dataversetest.Membership{{Customer: id(0), Segments: []string{"Male_under_40"}, Type: "Contact"}}, written)
	r, err := w.source(t).Open(t.Context(), "Male_under_40", email, nil)
	require.NoError(t, err)
	defer r.Close()
	_, err = r.Next()
	require.ErrorIs(t, err, segment.ErrMalformed)
	require.ErrorContains(t, err, "profiles of another type than Customer; only segments of customers")
}

// A segment of few among many is asked for by ids, one of many by stretches of
// the table; both give the same rows.
func TestSparseAndDenseSegments(t *testing.T) {
	for _, kind := range []dataversetest.Kind{dataversetest.Standard, dataversetest.Elastic, dataversetest.Virtual} {
		for every, want := range map[int]string{1: "ge%20", 9: "CRM.In%28"} {
			w := newWorld(t, dataversetest.Options{Kind: kind, PageRows: 1000})
			in := func(i int) bool { return i%every == 0 }
			w.fill(12_000, in)
			require.Equal(t, expected(12_000, in), read(t, w.source(t), "Male_under_40"))
			found := 0
			for _, r := range w.Requests() {
				if r.Path == "msdynci_customerprofiles" && strings.Contains(r.Query, want) {
					found++
				}
				require.Less(t, len(r.Query), 16_000, "addresses have an end")
			}
			require.NotZero(t, found, "%s, every %d", kind, every)
		}
	}
}

// Quotes in what is looked for stay within the filter.
func TestQuotesInFilters(t *testing.T) {
	w := newWorld(t, dataversetest.Options{PageRows: 40, MetadataForbidden: true})
	w.fill(1, everyone)
	written := w.clock.Now().Add(-time.Hour)
	var profiles []dataversetest.Profile
	var memberships []dataversetest.Membership
	var want []string
	for i := range 900 {
		customer, address := fmt.Sprintf("o'neil'%04d", i), fmt.Sprintf("p%d@example.com", i)
		profiles = append(profiles, dataversetest.Profile{ID: customer, Values: map[string]any{"msdynci_email": address}})
		if i%9 == 0 { // so few that they are asked for by their ids
			memberships = append(memberships, dataversetest.Membership{Customer: customer, Segments: []string{"Male_under_40"}})
			want = append(want, address)
		}
	}
	w.SetProfiles(profiles, written)
	w.SetMemberships(memberships, written)
	require.Equal(t, want, read(t, w.source(t), "Male_under_40"))
	r, err := w.source(t).Open(t.Context(), `x") or contains(msdynci_segments,'Male`, email, nil)
	if err == nil {
		rows, failed := segmenttest.Drain(r)
		require.NoError(t, r.Close())
		require.Empty(t, rows)
		err = failed
	}
	require.ErrorIs(t, err, segment.ErrNotFound)
}

func TestDifferentFormsOfTheFilter(t *testing.T) {
	for _, o := range []dataversetest.Options{{BackslashQuotes: true}, {BackslashQuotes: true, MetadataForbidden: true, Kind: dataversetest.Elastic}} {
		w := newWorld(t, o)
		w.fill(400, third)
		require.Equal(t, expected(400, third), read(t, w.source(t), "Male_under_40"))
	}
}

func TestValuesAreTextAsInFiles(t *testing.T) {
	w := newWorld(t, dataversetest.Options{})
	w.fill(1, everyone)
	for name, kind := range map[string]string{"msdynci_when": "DateTime", "msdynci_day": "DateTime", "msdynci_sum": "Decimal", "msdynci_tiny": "Double",
		"msdynci_many": "BigInt", "msdynci_yes": "Boolean", "msdynci_no": "Boolean", "msdynci_nothing": "String", "msdynci_text": "Memo", "msdynci_list": "Lookup"} {
		w.Column(name, kind)
	}
	w.SetProfiles([]dataversetest.Profile{{ID: id(0), Values: map[string]any{"msdynci_when": "2026-03-15T07:08:09Z", "msdynci_day": "1990-01-31",
		"msdynci_sum": 1234.5, "msdynci_tiny": 1e-9, "msdynci_many": int64(9007199254740993), "msdynci_yes": true, "msdynci_no": false,
		"msdynci_nothing": nil, "msdynci_text": "Zoë \"Ł\"\n'x' <&>"}}}, w.clock.Now().Add(-time.Hour))
	s := w.source(t)
	fields := []string{"msdynci_when", "msdynci_day", "msdynci_sum", "msdynci_tiny", "msdynci_many", "msdynci_yes", "msdynci_no", "msdynci_nothing", "msdynci_text", "msdynci_customerid"}
	rows := segmenttest.ReadAll(t, s, "Male_under_40", fields, nil)
	require.Equal(t, []string{"2026-03-15T07:08:09Z", "1990-01-31", "1234.5", "0.000000001", "9007199254740993", "true", "false", "", "Zoë \"Ł\"\n'x' <&>", id(0)}, rows[0].Values)
	_, err := s.Open(t.Context(), "Male_under_40", []string{"msdynci_list", "msdynci_hidden", "modifiedon"}, nil)
	var missing *segment.MissingFieldsError
	require.ErrorAs(t, err, &missing)
	require.Equal(t, []string{"msdynci_list", "msdynci_hidden", "modifiedon"}, missing.Missing, "what is no single value, may not be read or is the system's cannot be mapped")
}

func everyone(int) bool { return true }

// A request that never ends is given up as soon as nobody wants it.
func TestCancellationWithinASecond(t *testing.T) {
	w := newWorld(t, dataversetest.Options{PageRows: 40})
	w.fill(400, third)
	hangs := make(chan struct{})
	w.Break(dataversetest.Fault{Path: "msdynci_customerprofiles", Skip: 1, Do: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(hangs)
		<-r.Context().Done()
	})})
	ctx, cancel := context.WithCancel(t.Context())
	r, err := w.source(t).Open(ctx, "Male_under_40", email, nil)
	require.NoError(t, err)
	<-hangs
	began := time.Now()
	cancel()
	_, err = segmenttest.Drain(r)
	require.ErrorIs(t, err, context.Canceled)
	require.NoError(t, r.Close())
	segmenttest.EndsSoon(t, began)
}
