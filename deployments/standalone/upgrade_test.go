package main

import (
	"log/slog"
	"net/http"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"

	"github.com/segment-export/segment-export/activities"
	"github.com/segment-export/segment-export/internal/omnisend/omnisendtest"
	"github.com/segment-export/segment-export/internal/omnisend/sandbox"
	"github.com/segment-export/segment-export/internal/run"
	"github.com/segment-export/segment-export/worker/service"
)

const deployment = "segment-export"

// build starts a worker of a build and returns what stops it.
func (s *shop) build(id string) (stop func()) {
	s.t.Helper()
	w, err := service.Open(s.t.Context(), s.client, service.Options{DataDir: s.path("data"), FilesRoot: s.dir, OmnisendURL: s.omnisend,
		Log: slog.New(slog.DiscardHandler), Tuning: activities.Tuning{BatchSize: 100}, BuildID: id, Deployment: deployment})
	require.NoError(s.t, err)
	require.NoError(s.t, w.Start(s.t.Context()))
	var once sync.Once
	stop = func() { once.Do(func() { require.NoError(s.t, w.Stop()) }) }
	s.t.Cleanup(stop)
	return stop
}

// current makes a build the one that new runs and commands go to.
func (s *shop) current(build string) {
	s.t.Helper()
	handle := s.client.WorkerDeploymentClient().GetHandle(deployment)
	s.eventually("build "+build+" is current", func() bool {
		_, err := handle.SetCurrentVersion(s.t.Context(), client.WorkerDeploymentSetCurrentVersionOptions{BuildID: build})
		return err == nil
	})
}

// pinned returns the build that the export's newest run belongs to.
func (s *shop) pinned() string {
	s.t.Helper()
	d, err := s.client.DescribeWorkflowExecution(s.t.Context(), activities.WorkflowID("spring", false), "")
	require.NoError(s.t, err)
	return d.GetWorkflowExecutionInfo().GetVersioningInfo().GetDeploymentVersion().GetBuildId()
}

// A worker is upgraded in mid-run, and taken back in mid-run: each run ends on
// the build that began it, and nothing is lost or sent twice.
func TestUpgradeAndDowngradeInMidRun(t *testing.T) {
	t.Parallel()
	s := newShop(t, 1000, sandbox.Options{Seed: 5})
	s.serve()
	stopOld := s.build("1.0")
	s.current("1.0")
	s.define("--calls-per-minute", "0")

	// held holds the run's uploads after the third until it is closed.
	hold := func() (reached, release chan struct{}) {
		reached, release = make(chan struct{}), make(chan struct{})
		var once sync.Once
		uploads := make(chan struct{}, 3)
		hook := func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			if isUpload(r) {
				select {
				case uploads <- struct{}{}:
				default:
					once.Do(func() { close(reached) })
					<-release
				}
			}
			next.ServeHTTP(w, r)
		}
		s.hook.Store(&hook)
		return reached, release
	}
	finish := func(build string) run.Report {
		s.eventually("the run ends", func() bool { return s.show().Status.Ended() })
		r := s.show()
		require.NoError(t, r.Check())
		require.True(t, r.Status.Complete(), "%s: %s", r.Status, r.Reason)
		require.Equal(t, build, s.pinned())
		return r
	}

	reached, release := hold()
	s.must("run", "spring", "--yes", "--detach")
	<-reached
	s.build("2.0")
	s.current("2.0") // the starter's commands go to 2.0 from here on
	require.Equal(t, "1.0", s.pinned())
	close(release)
	r := finish("1.0")
	require.Equal(t, s.expected.Contacts, r.New)
	stats := s.sandbox.Stats(omnisendtest.Brand)
	require.Len(t, stats.Received, s.expected.Contacts, "nothing is lost")
	require.Zero(t, again(stats), "nothing is sent twice")

	reached, release = hold()
	s.must("run", "spring", "--yes", "--full", "--detach")
	<-reached
	s.current("1.0")
	require.Equal(t, "2.0", s.pinned())
	close(release)
	r = finish("2.0")
	require.Equal(t, s.expected.Contacts, r.Delivered)
	require.Equal(t, s.expected.Contacts, again(s.sandbox.Stats(omnisendtest.Brand)), "once for each run")

	// The old build is gone for good; the next run goes to the new one.
	s.current("2.0")
	stopOld()
	s.hook.Store(nil)
	_, last := s.run()
	require.Zero(t, last.Calls)
	require.Equal(t, "2.0", s.pinned())
}
