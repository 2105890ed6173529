package storetest

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/segment-export/segment-export/internal/store"
)

var runTests = map[string]func(t *testing.T, f fixture){
	"a run lives": func(t *testing.T, f fixture) {
		want := run("r1", "spring")
		f.createRun(t, want)
		want.CreatedAt = f.clock.Now()
		requireRun(t, f, want)

		f.clock.Advance(time.Second)
		got, err := f.StartRun(t.Context(), "r1", "execution")
		require.NoError(t, err)
		want.Started, want.StartedBy, want.StartedAt = true, "execution", f.clock.Now()
		require.Equal(t, want, got)
		requireRun(t, f, want)

		f.clock.Advance(time.Second)
		want.Status, want.Report = "running", json.RawMessage(`{"read":2}`)
		require.NoError(t, f.SaveRun(t.Context(), "r1", "running", want.Report, false))
		requireRun(t, f, want)

		f.clock.Advance(time.Second)
		want.Status, want.EndedAt = "completed", f.clock.Now()
		require.NoError(t, f.SaveRun(t.Context(), "r1", "completed", want.Report, true))
		requireRun(t, f, want)

		f.clock.Advance(time.Second) // it ended when it ended, as what it ended
		require.NoError(t, f.SaveRun(t.Context(), "r1", "failed", nil, true))
		require.NoError(t, f.SaveRun(t.Context(), "r1", "running", nil, false))
		requireRun(t, f, want)
	},
	"a report is amended, also after the run's end": func(t *testing.T, f fixture) {
		want := run("r1", "spring")
		f.createRun(t, want)
		want.CreatedAt = f.clock.Now()
		amend := func(old, with string) {
			t.Helper()
			require.NoError(t, f.AmendReport(t.Context(), "r1", func(stored json.RawMessage) (json.RawMessage, error) {
				require.JSONEq(t, old, string(stored))
				return json.RawMessage(with), nil
			}))
			want.Report = json.RawMessage(with)
			requireRun(t, f, want)
		}
		require.NoError(t, f.SaveRun(t.Context(), "r1", "running", json.RawMessage(`{"read":1}`), false))
		want.Status = "running"
		amend(`{"read":1}`, `{"read":2}`)
		require.NoError(t, f.SaveRun(t.Context(), "r1", "failed", want.Report, true))
		want.Status, want.EndedAt = "failed", f.clock.Now()
		amend(`{"read":2}`, `{"read":3}`)
		refused := errors.New("refused")
		require.ErrorIs(t, f.AmendReport(t.Context(), "r1", func(json.RawMessage) (json.RawMessage, error) { return nil, refused }), refused)
		requireRun(t, f, want)
		require.ErrorIs(t, f.AmendReport(t.Context(), "none", nil), store.ErrNotFound)
	},
	"a run is created once": func(t *testing.T, f fixture) {
		f.createRun(t, run("r1", "spring"))
		require.ErrorIs(t, f.CreateRun(t.Context(), run("r1", "summer")), store.ErrExists)
		got, err := f.Run(t.Context(), "r1")
		require.NoError(t, err)
		require.Equal(t, "spring", got.Export)
	},
	"what the caller says of its progress is not taken": func(t *testing.T, f fixture) {
		r := run("r1", "spring")
		r.Started, r.StartedAt, r.EndedAt, r.CreatedAt = true, time.Unix(1, 0), time.Unix(2, 0), time.Unix(3, 0)
		f.createRun(t, r)
		want := run("r1", "spring")
		want.CreatedAt = f.clock.Now()
		requireRun(t, f, want)
	},
	"only one workflow takes a run up": func(t *testing.T, f fixture) {
		f.createRun(t, run("r1", "spring"))
		first, err := f.StartRun(t.Context(), "r1", "a")
		require.NoError(t, err)
		f.clock.Advance(time.Second)
		again, err := f.StartRun(t.Context(), "r1", "a")
		require.NoError(t, err)
		require.Equal(t, first, again)
		got, err := f.StartRun(t.Context(), "r1", "b")
		require.ErrorIs(t, err, store.ErrExists)
		require.Zero(t, got)
	},
	"of many workflows one takes it up": func(t *testing.T, f fixture) {
		f.createRun(t, run("r1", "spring"))
		errs := race(8, func(i int) error {
			_, err := f.StartRun(t.Context(), "r1", fmt.Sprint(i))
			return err
		})
		require.Equal(t, 1, count(errs, succeeded))
		require.Equal(t, 7, count(errs, func(err error) bool { return errors.Is(err, store.ErrExists) }))
	},
	"what is not there": func(t *testing.T, f fixture) {
		_, err := f.Run(t.Context(), "r1")
		require.ErrorIs(t, err, store.ErrNotFound)
		_, err = f.StartRun(t.Context(), "r1", "a")
		require.ErrorIs(t, err, store.ErrNotFound)
		require.ErrorIs(t, f.SaveRun(t.Context(), "r1", "failed", nil, true), store.ErrNotFound)
		err = f.ControlRun(t.Context(), "r1", func(c json.RawMessage) (json.RawMessage, error) { return c, nil })
		require.ErrorIs(t, err, store.ErrNotFound)
	},
	"zero values and odd names": func(t *testing.T, f fixture) {
		f.createRun(t, store.Run{})
		requireRun(t, f, store.Run{CreatedAt: f.clock.Now()})
		for _, name := range odd[1:] {
			want := store.Run{ID: name, Export: name, Connection: name, Brand: name, Status: name, Plan: true}
			f.createRun(t, want)
			want.CreatedAt = f.clock.Now()
			requireRun(t, f, want)
		}
	},
	"control is changed in turn": func(t *testing.T, f fixture) {
		r := run("r1", "spring")
		r.Control = nil
		f.createRun(t, r)
		const each, at = 5, 4
		errs := race(at, func(int) error {
			for range each {
				err := f.ControlRun(t.Context(), "r1", func(c json.RawMessage) (json.RawMessage, error) {
					n, _ := strconv.Atoi(string(c))
					return json.RawMessage(strconv.Itoa(n + 1)), nil
				})
				if err != nil {
					return err
				}
			}
			return nil
		})
		require.Equal(t, at, count(errs, succeeded), "%v", errs)
		got, err := f.Run(t.Context(), "r1")
		require.NoError(t, err)
		require.Equal(t, strconv.Itoa(each*at), string(got.Control))
	},
	"a refused change of control is no change": func(t *testing.T, f fixture) {
		f.createRun(t, run("r1", "spring"))
		refusal := errors.New("not now")
		err := f.ControlRun(t.Context(), "r1", func(json.RawMessage) (json.RawMessage, error) {
			return json.RawMessage(`{"paused":true}`), refusal
		})
		require.ErrorIs(t, err, refusal)
		got, err := f.Run(t.Context(), "r1")
		require.NoError(t, err)
		require.JSONEq(t, `{}`, string(got.Control))
	},
	"lists": func(t *testing.T, f fixture) {
		start := f.clock.Now()
		for i := range 60 {
			r := run(fmt.Sprintf("r%02d", i), []string{"spring", "summer"}[i%2])
			r.Plan = i%10 == 9
			f.clock.Advance(time.Second)
			f.createRun(t, r)
		}
		f.endRun(t, "r02")
		f.endRun(t, "r03")
		for _, c := range []struct {
			name   string
			filter store.RunFilter
			want   []string // of the first ones
			n      int
		}{
			{"all, newest first", store.RunFilter{}, []string{"r58", "r57", "r56"}, 50},
			{"at most", store.RunFilter{Limit: 2}, []string{"r58", "r57"}, 2},
			{"more", store.RunFilter{Limit: 100}, []string{"r58"}, 54},
			{"plans too", store.RunFilter{Plans: true, Limit: 100}, []string{"r59", "r58"}, 60},
			{"of an export", store.RunFilter{Export: "summer", Limit: 100}, []string{"r57", "r55"}, 24},
			{"of none", store.RunFilter{Export: "Summer"}, nil, 0},
			{"by status", store.RunFilter{Status: "completed"}, []string{"r03", "r02"}, 2},
			{"by both", store.RunFilter{Status: "completed", Export: "spring"}, []string{"r02"}, 1},
			{"since a time", store.RunFilter{Since: start.Add(58 * time.Second), Plans: true}, []string{"r59", "r58", "r57"}, 3},
			{"after a place", store.RunFilter{After: store.RunPlace{CreatedAt: start.Add(4 * time.Second), ID: "r03"}}, []string{"r02", "r01", "r00"}, 3},
			{"after a place between", store.RunFilter{After: store.RunPlace{CreatedAt: start.Add(4 * time.Second), ID: "r99"}}, []string{"r03", "r02"}, 4},
			{"before a time", store.RunFilter{Before: start.Add(4 * time.Second)}, []string{"r02", "r01", "r00"}, 3},
		} {
			runs, err := f.ListRuns(t.Context(), c.filter)
			require.NoError(t, err, c.name)
			require.Len(t, runs, c.n, c.name)
			for i, id := range c.want {
				require.Equal(t, id, runs[i].ID, c.name)
			}
			require.True(t, slices.IsSortedFunc(runs, func(a, b store.Run) int { return b.CreatedAt.Compare(a.CreatedAt) }), c.name)
		}
		all, err := f.ListRuns(t.Context(), store.RunFilter{Limit: 1})
		require.NoError(t, err)
		one, err := f.Run(t.Context(), all[0].ID)
		require.NoError(t, err)
		require.Equal(t, one, all[0], "a list tells everything")
	},
}

func requireRun(t *testing.T, f fixture, want store.Run) {
	t.Helper()
	got, err := f.Run(t.Context(), want.ID)
	require.NoError(t, err)
	require.Equal(t, want, got)
}
