package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/segment-export/segment-export/activities"
	"github.com/segment-export/segment-export/internal/catalogue"
	"github.com/segment-export/segment-export/internal/omnisend/sandbox"
	"github.com/segment-export/segment-export/internal/protocol"
	"github.com/segment-export/segment-export/internal/run"
	"github.com/segment-export/segment-export/internal/schedule"
	"github.com/segment-export/segment-export/internal/segment/synthetic"
	"github.com/segment-export/segment-export/internal/store"
	"github.com/segment-export/segment-export/internal/store/sqlstore"
	"github.com/segment-export/segment-export/worker/service"
)

// ticking makes the export spring run every so often, which no command does:
// a test need not wait for minutes. Workers see it when they start.
func (s *shop) ticking(every time.Duration) {
	s.t.Helper()
	db, err := sqlstore.OpenSQLite(s.t.Context(), s.path("data", "store.db"), sqlstore.Options{RequestTimeout: time.Second})
	require.NoError(s.t, err)
	defer func() { require.NoError(s.t, db.Close()) }()
	now, err := db.Now(s.t.Context())
	require.NoError(s.t, err)
	body, err := json.Marshal(catalogue.Schedule{Meta: catalogue.Meta{Name: "spring", Version: 1, UpdatedAt: now},
		Calendar: schedule.Calendar{Interval: every}})
	require.NoError(s.t, err)
	require.NoError(s.t, db.CreateObject(s.t.Context(), store.Object{Kind: string(catalogue.KindSchedule), Name: "spring", Body: body}))
}

// runs lists the runs of the export, the oldest first.
func (s *shop) runs() []protocol.RunAnswer {
	s.t.Helper()
	var page protocol.RunsPage
	require.NoError(s.t, json.Unmarshal([]byte(s.must("runs", "list", "--limit", "1000", "--output", "json")), &page))
	var all []protocol.RunAnswer
	for _, r := range slices.Backward(page.Runs) {
		all = append(all, *r)
	}
	return all
}

// Every start that is due is on record: as a run, as one that was skipped with
// the reason, or in the note of the run that stands for several. No two runs
// overlap.
func TestTicksNeverOverlapAndAreAllOnRecord(t *testing.T) {
	s := newShop(t, 300, sandbox.Options{Seed: 5})
	w := s.worker()
	s.define("--calls-per-minute", "0")
	_, _ = s.run("--yes")
	s.stopWorker(w)

	const every = 3 * time.Second
	slow := func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if strings.HasSuffix(r.URL.Path, "/brands/current") {
			select { // the run takes about two starts
			case <-r.Context().Done():
			case <-time.After(every + every/2):
			}
		}
		next.ServeHTTP(w, r)
	}
	s.hook.Store(&slow)
	s.ticking(every)
	began := time.Now()
	w = s.worker()
	s.eventually("five starts are on record", func() bool { return len(s.runs()) >= 1+5 })
	s.must("schedule", "off", "spring")
	s.eventually("all runs end", func() bool { // the newest on record may be a start that was skipped, beside a run
		return !slices.ContainsFunc(s.runs(), func(r protocol.RunAnswer) bool { return r.EndedAt == nil })
	})
	lasted := time.Since(began)
	s.stopWorker(w)
	w = s.worker()
	defer s.stopWorker(w)

	var skipped, ran int
	var last time.Time
	for _, r := range s.runs()[1:] {
		require.Equal(t, run.BySchedule, r.Trigger)
		require.Equal(t, "schedule", r.Actor)
		if r.Status == run.Skipped {
			skipped++
			require.Contains(t, r.Reason, "was still open")
			continue
		}
		ran++
		require.True(t, r.Status.Complete(), "%s: %s", r.Status, r.Reason)
		require.False(t, r.StartedAt.Before(last), "run %s began before the one before had ended", r.RunID)
		last = *r.EndedAt
	}
	require.NotZero(t, skipped)
	require.NotZero(t, ran)
	require.LessOrEqual(t, ran+skipped, int(lasted/every)+1, "no start is doubled")
}

// worker opens a worker that can be stopped before the test ends.
func (s *shop) worker() *service.Service {
	s.t.Helper()
	if s.client == nil {
		s.serve()
	}
	w, err := service.Open(s.t.Context(), s.client, service.Options{DataDir: s.path("data"), FilesRoot: s.dir,
		OmnisendURL: s.omnisend, Log: slog.New(slog.DiscardHandler)})
	require.NoError(s.t, err)
	require.NoError(s.t, w.Start(s.t.Context()))
	return w
}

func (s *shop) stopWorker(w *service.Service) {
	s.t.Helper()
	require.NoError(s.t, w.Stop())
}

// A parked run that a schedule began ends when the next start comes, which
// reads afresh.
func TestNextTickEndsAParkedRun(t *testing.T) {
	s := newShop(t, 300, sandbox.Options{Seed: 5})
	w := s.worker()
	s.define("--calls-per-minute", "0")
	_, _ = s.run("--yes")
	s.stopWorker(w)

	s.write(50, synthetic.Variant{}) // far fewer
	s.ticking(4 * time.Second)
	w = s.worker()
	defer func() { s.stopWorker(w) }()
	s.eventually("a start has ended a parked run", func() bool {
		for _, r := range s.runs() {
			if r.Status == run.Skipped && strings.HasPrefix(string(r.Reason), "unanswered question: guard shrunk") {
				return true
			}
		}
		return false
	})
	s.write(300, synthetic.Variant{})
	s.eventually("the next one reads afresh and completes", func() bool {
		all := s.runs()
		last := all[len(all)-1]
		return last.Trigger == run.BySchedule && last.Status.Complete()
	})
	s.must("schedule", "off", "spring")
	s.record("tick", protocol.TickWorkflowType, enumspb.WORKFLOW_EXECUTION_STATUS_COMPLETED)
}

// A process that was away makes up for all starts that it missed with one run.
func TestMissedTicksAreOneRun(t *testing.T) {
	s := newShop(t, 50, sandbox.Options{Seed: 5})
	kill := s.process()
	s.define("--calls-per-minute", "0")
	_, _ = s.run("--yes")
	kill()
	const every = 2 * time.Second
	s.ticking(every)
	kill = s.process()
	s.eventually("its schedule starts it", func() bool { return len(s.runs()) > 1 })
	kill()
	before, cancel := context.WithTimeout(t.Context(), 5*every)
	<-before.Done() // the time that the process is away is what is tested
	cancel()

	kill = s.process()
	defer func() { kill() }()
	madeUp := func() (runs int) {
		for _, r := range s.runs() {
			for _, n := range r.Notes {
				var missed int
				// A slow machine misses one or two at any time.
				if _, err := fmt.Sscanf(n, "one run for %d starts", &missed); err == nil && missed >= 4 {
					runs++
				}
			}
		}
		return runs
	}
	s.eventually("the starts that were missed are made up for", func() bool { return madeUp() > 0 })
	s.must("schedule", "off", "spring")
	require.Equal(t, 1, madeUp())
}

// What people see of a schedule is what Temporal will do, also when the clock
// changes; the worker repairs what was changed in Temporal.
func TestScheduleIsWhatTemporalDoes(t *testing.T) {
	s := newShop(t, 10, sandbox.Options{Seed: 5})
	w := s.worker()
	s.define("--calls-per-minute", "0")
	out := s.must("export", "show", "spring")
	require.Contains(t, out, "the system refresh is off")

	warsaw, err := time.LoadLocation("Europe/Warsaw")
	require.NoError(t, err)
	var a protocol.ScheduleAnswer
	set := s.must("schedule", "set", "spring", "--every", "sun", "--at", "02:30,06:00", "--tz", "Europe/Warsaw", "--output", "json")
	require.NoError(t, json.Unmarshal([]byte(set), &a))
	require.Len(t, a.Next, 5)
	at := time.Now()
	for _, next := range a.Next {
		at = a.Calendar.Next(at)
		require.True(t, at.Equal(next), "%s is not %s", next, at)
	}
	handle := s.client.ScheduleClient().GetHandle(t.Context(), "export/spring")
	for _, c := range []struct{ day, want string }{
		{"2027-03-28", "03:30 +0200, 06:00 +0200"}, // there is no 02:30
		{"2027-10-31", "02:30 +0100, 06:00 +0100"}, // there are two
	} {
		day, err := time.ParseInLocation(time.DateOnly, c.day, warsaw)
		require.NoError(t, err)
		var times []string
		for _, m := range matching(t, s, "export/spring", day, day.AddDate(0, 0, 1)) {
			times = append(times, m.In(warsaw).Format("15:04 -0700"))
		}
		require.Equal(t, c.want, strings.Join(times, ", "), c.day)
		_, _, n := a.Calendar.Due(day.Add(-time.Second), day.AddDate(0, 0, 1), 10)
		require.Len(t, times, n)
	}
	d, err := handle.Describe(t.Context())
	require.NoError(t, err)
	require.False(t, d.Schedule.State.Paused)
	updated := d.Info.LastUpdateAt

	// What is as it should be is left alone, or Temporal would forget what it
	// missed; what is not is repaired.
	s.stopWorker(w)
	w = s.worker()
	d, err = handle.Describe(t.Context())
	require.NoError(t, err)
	require.Equal(t, updated, d.Info.LastUpdateAt)
	require.NoError(t, handle.Delete(t.Context()))
	s.stopWorker(w)
	w = s.worker()
	defer func() { s.stopWorker(w) }()
	s.eventually("the schedule is there again", func() bool { _, err := handle.Describe(t.Context()); return err == nil })

	require.Contains(t, s.must("schedule", "off", "spring"), "Off (saved: every sun at 02:30, 06:00 (Europe/Warsaw))")
	d, err = handle.Describe(t.Context())
	require.NoError(t, err)
	require.True(t, d.Schedule.State.Paused)
	require.Contains(t, s.must("schedule", "on", "spring"), "02:30")
	s.must("schedule", "follow-refresh", "spring")
	_, err = handle.Describe(t.Context())
	require.Error(t, err)
	require.FileExists(t, filepath.Join(s.path("data"), "store.db"))
}

// The system refresh follows a source, or comes at a command; run --all is for
// what runs on a schedule.
func TestSystemRefresh(t *testing.T) {
	s := newShop(t, 50, sandbox.Options{Seed: 5})
	s.open(activities.Tuning{})
	s.define("--calls-per-minute", "0")
	_, _ = s.run("--yes")
	code, _, errs := s.starter("run", "--all")
	require.Equal(t, 1, code)
	require.Contains(t, errs, "no export has an active schedule")

	s.must("refresh", "now")
	s.eventually("it ran", func() bool {
		last := s.show()
		return last.Trigger == run.ByRefresh && last.Status.Complete()
	})
	require.Contains(t, s.must("refresh", "set", "--every", "day", "--at", "06:00,18:00", "--tz", "Europe/Warsaw"), "Exports that run with it: spring")
	code, out, errs := s.starter("run", "--all", "--output", "json")
	require.Equal(t, 3, code, errs)
	require.Contains(t, out, `"trigger":"on-demand"`)
	require.Contains(t, s.must("refresh", "set", "--follow", "crm"), "after each refresh of the source crm")
	s.eventually("the runs before have ended", func() bool { return s.show().Status.Ended() })
	before := len(s.runs())
	look := s.client.ScheduleClient().GetHandle(t.Context(), "refresh")
	require.NoError(t, look.Trigger(t.Context(), client.ScheduleTriggerOptions{}))
	code, _, errs = s.starter("source", "remove", "crm")
	require.Equal(t, 1, code, errs)
	s.write(60, synthetic.Variant{})
	// As if the file were some time old, and newer than the setting.
	later := time.Now().Add(time.Minute)
	require.NoError(t, os.Chtimes(s.path("segments", "spring_buyers.csv"), later, later))
	require.NoError(t, look.Trigger(t.Context(), client.ScheduleTriggerOptions{}))
	s.eventually("it has run after the source's refresh", func() bool {
		last := s.show()
		return last.Trigger == run.ByFollow && last.Status.Complete()
	})
	require.NoError(t, look.Trigger(t.Context(), client.ScheduleTriggerOptions{}))
	require.Len(t, s.runs(), before+1, "once for each refresh")
	require.Contains(t, s.must("refresh", "off"), "is off")
}

// matching asks Temporal for the times of a schedule.
func matching(t *testing.T, s *shop, id string, from, to time.Time) []time.Time {
	t.Helper()
	answer, err := s.client.WorkflowService().ListScheduleMatchingTimes(t.Context(), &workflowservice.ListScheduleMatchingTimesRequest{
		Namespace: client.DefaultNamespace, ScheduleId: id, StartTime: timestamppb.New(from), EndTime: timestamppb.New(to)})
	require.NoError(t, err)
	var times []time.Time
	for _, at := range answer.GetStartTime() {
		times = append(times, at.AsTime())
	}
	return times
}
