package e2e

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/segment-export/segment-export/deployments/standalone/program"
	"github.com/segment-export/segment-export/internal/localfile"
	"github.com/segment-export/segment-export/internal/omnisend/omnisendtest"
	"github.com/segment-export/segment-export/internal/omnisend/sandbox"
	"github.com/segment-export/segment-export/internal/protocol"
	"github.com/segment-export/segment-export/internal/run"
	"github.com/segment-export/segment-export/worker/service"
)

// program runs standalone with a command line of its own to its end. It is a
// process, since the parser of command lines keeps state in its package.
func (s *shop) program(args ...string) (stdout, stderr string, err error) {
	s.t.Helper()
	self, err := os.Executable()
	require.NoError(s.t, err)
	var out, errs bytes.Buffer
	c := exec.CommandContext(s.t.Context(), self, args...)
	c.Env = append(os.Environ(), asStandalone+"=1")
	c.Stdout, c.Stderr = &out, &errs
	if err := c.Run(); err != nil {
		return out.String(), errs.String(), fmt.Errorf("%w: %s", err, errs.String())
	}
	return out.String(), errs.String(), nil
}

// backUp gives the command backup, as a person would.
func (s *shop) backUp(from, to string) (stdout, stderr string, err error) {
	s.t.Helper()
	return s.program("backup", "--data-dir", from, to)
}

// private requires that nobody but the owner can enter or read what is in a directory.
func private(t *testing.T, dir string) {
	t.Helper()
	require.NoError(t, filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		require.NoError(t, err)
		info, err := d.Info()
		require.NoError(t, err)
		require.Zero(t, info.Mode().Perm()&0o077, path)
		return nil
	}))
}

// The copy of a running standalone's directory, taken in the middle of a run,
// continues that run when the original is gone.
func TestBackupInMidRunGoesOnElsewhere(t *testing.T) {
	t.Parallel()
	s := newShop(t, 3000, sandbox.Options{Seed: 5})
	kill := s.process()
	defer func() { kill() }()
	s.define("--calls-per-minute", "0")
	reached := s.moment(7, false, isUpload)
	s.must("run", "spring", "--yes", "--detach")
	select {
	case <-reached:
	case <-t.Context().Done():
		require.FailNow(t, "never reached: uploads")
	}

	elsewhere := s.path("copy")
	require.NoError(t, os.Mkdir(elsewhere, 0o700), "an empty directory may be there")
	out, errs, err := s.backUp(s.path("data"), elsewhere)
	require.NoError(t, err)
	require.Contains(t, out, elsewhere+" is a copy of "+s.path("data"))
	require.Contains(t, errs, "anyone who has it can read everything")
	private(t, elsewhere)
	require.NoDirExists(t, elsewhere+".partial")
	kill()
	s.hook.Store(nil)
	require.Less(t, len(s.sandbox.Contacts(omnisendtest.Brand)), s.expected.Contacts, "the run was under way")

	require.NoError(t, os.RemoveAll(s.path("data")))
	require.NoError(t, os.Rename(elsewhere, s.path("moved")))
	require.NoError(t, os.Symlink(s.path("moved"), s.path("data")))
	kill = s.process()
	code, out, errs := s.starter("runs", "watch", "spring", "--output", "json")
	require.Equal(t, 3, code, "%s%s", out, errs)
	r := s.show()
	require.NoError(t, r.Check())
	require.Equal(t, run.CompletedWithRejects, r.Status)
	require.Equal(t, []int{s.expected.Contacts, s.expected.Contacts}, []int{r.Contacts, r.New})
	require.Len(t, s.sandbox.Contacts(omnisendtest.Brand), s.expected.Contacts)
	_, again := s.run()
	require.Equal(t, []int{s.expected.Contacts, 0}, []int{again.Unchanged, again.Calls})
}

// A backup that cannot be made leaves nothing behind.
func TestBackupThatFailsLeavesNothing(t *testing.T) {
	t.Parallel()
	s := newShop(t, 10, sandbox.Options{Seed: 5})
	kill := s.process()
	kill() // a stopped one can be copied as well

	for said, to := range map[string]string{
		"is not empty":             s.path("segments"),
		"inside " + s.path("data"): s.path("data", "temporal", "copy"),
		"not a directory":          s.path("key.txt"),
		"does not exist:":          s.path("elsewhere", "copy"),
	} {
		_, _, err := s.backUp(s.path("data"), to)
		require.ErrorContains(t, err, said)
	}
	_, _, err := s.backUp(s.path("segments"), s.path("copy"))
	require.ErrorContains(t, err, "is not a data directory of standalone")
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorContains(t, program.Backup(ended, s.path("data"), s.path("copy")), "it was interrupted")
	require.NoError(t, os.Rename(s.path("data", "keyring.json"), s.path("keyring.json")))
	_, _, err = s.backUp(s.path("data"), s.path("copy"))
	require.ErrorContains(t, err, "keyring.json")
	require.NoError(t, os.Rename(s.path("keyring.json"), s.path("data", "keyring.json")))
	require.NoDirExists(t, s.path("copy"))
	require.NoDirExists(t, s.path("copy.partial"))
	_, _, err = s.backUp(s.path("data"), s.path("copy"))
	require.NoError(t, err)
}

// A backup is killed when it has a part: what it left is no data directory to
// anybody, and the next one removes it, once the first has ended.
func TestBackupThatIsKilled(t *testing.T) {
	t.Parallel()
	s := newShop(t, 10, sandbox.Options{Seed: 5})
	kill := s.process()
	kill()
	// An exclusive lock on the store makes the copy wait.
	db, err := sql.Open("sqlite", "file:"+s.path("data", "store.db")+"?_pragma=locking_mode(EXCLUSIVE)")
	require.NoError(t, err)
	db.SetMaxOpenConns(1)
	_, err = db.Exec(`BEGIN EXCLUSIVE`)
	require.NoError(t, err)
	self, err := os.Executable()
	require.NoError(t, err)
	c := exec.CommandContext(t.Context(), self, "backup", "--data-dir", s.path("data"), s.path("copy"))
	c.Env = append(os.Environ(), asStandalone+"=1")
	require.NoError(t, c.Start())
	s.eventually("it has copied Temporal's file", func() bool {
		_, err := os.Stat(s.path("copy.partial", "store.db"))
		return err == nil
	})
	_, _, err = s.backUp(s.path("data"), s.path("copy"))
	require.ErrorContains(t, err, "another backup is writing to")
	require.NoError(t, c.Process.Kill())
	require.Error(t, c.Wait())
	require.NoError(t, db.Close())

	require.FileExists(t, s.path("copy.partial", "temporal", "temporal.db"))
	_, _, err = s.program("--data-dir", s.path("copy.partial"))
	require.ErrorContains(t, err, "copy.partial is a backup that was not finished")
	require.NoFileExists(t, s.path("copy.partial", "keyring.json"), "nothing was started with it")
	_, _, err = s.backUp(s.path("copy.partial"), s.path("other"))
	require.ErrorContains(t, err, "was not finished")

	_, _, err = s.backUp(s.path("data"), s.path("copy"))
	require.NoError(t, err)
	require.NoDirExists(t, s.path("copy.partial"))
	require.FileExists(t, s.path("copy", "keyring.json"))
	require.NoFileExists(t, s.path("copy", localfile.Unfinished))
}

// Temporal's files are lost, the store is kept: a run that was open is ended,
// and the next one continues from the ledger.
func TestTemporalLostGoesOnFromTheLedger(t *testing.T) {
	t.Parallel()
	s := newShop(t, 600, sandbox.Options{Seed: 5})
	kill := s.process()
	defer func() { kill() }()
	s.define("--calls-per-minute", "0")
	s.run("--yes")
	calls := s.sandbox.Stats(omnisendtest.Brand).Batches
	// A run is left open: it hangs at its first request.
	reached := s.moment(1, false, func(*http.Request) bool { return true })
	s.must("run", "spring", "--detach")
	select {
	case <-reached:
	case <-t.Context().Done():
		require.FailNow(t, "never reached: the first request")
	}
	left := s.show().RunID
	kill()
	s.hook.Store(nil)
	require.NoError(t, os.RemoveAll(s.path("data", "temporal")))

	kill = s.process()
	s.eventually("the open run is ended", func() bool { return s.show().Status == run.Failed })
	ended := s.show()
	require.Equal(t, left, ended.RunID)
	require.NoError(t, ended.Check())
	require.Contains(t, ended.Reason, "Temporal")
	_, r := s.run()
	require.Equal(t, []int{s.expected.Contacts, 0, 0}, []int{r.Unchanged, r.New, r.Calls})
	require.Equal(t, calls, s.sandbox.Stats(omnisendtest.Brand).Batches)
}

// The store is lost, Temporal is kept: the worker says so, an open run fails
// with the reason, and nothing is sent until the export is defined again and approved.
func TestStoreLostSaysSoAndSendsNothing(t *testing.T) {
	t.Parallel()
	s := newShop(t, 600, sandbox.Options{Seed: 5})
	kill := s.process()
	stopped := false
	defer func() {
		if !stopped {
			kill()
		}
	}()
	s.define("--calls-per-minute", "0")
	s.run("--yes")
	reached := s.moment(1, false, func(*http.Request) bool { return true })
	s.must("run", "spring", "--detach")
	select {
	case <-reached:
	case <-t.Context().Done():
		require.FailNow(t, "never reached: the first request")
	}
	kill()
	stopped = true
	s.hook.Store(nil)
	calls := s.sandbox.Stats(omnisendtest.Brand).Batches
	files, err := filepath.Glob(s.path("data", "store.db*"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		require.NoError(t, os.Remove(file))
	}

	s.serve()
	var said bytes.Buffer
	w, err := service.Open(t.Context(), s.client, service.Options{DataDir: s.path("data"), FilesRoot: s.dir,
		OmnisendURL: s.omnisend, Log: slog.New(slog.NewTextHandler(&said, &slog.HandlerOptions{Level: slog.LevelWarn}))})
	require.NoError(t, err)
	require.Contains(t, said.String(), "If the store was lost, stop and restore it from a backup")
	require.NoError(t, w.Start(t.Context()))
	t.Cleanup(func() { require.NoError(t, w.Stop()) })
	err = s.client.GetWorkflow(t.Context(), protocol.WorkflowID("spring", false), "").Get(t.Context(), nil)
	require.ErrorContains(t, err, "the store was lost or replaced")
	code, _, errs := s.starter("run", "spring", "--yes")
	require.NotZero(t, code)
	require.Contains(t, strings.ToLower(errs), `there is no export "spring"`)

	// Defined again, its first run asks as every first run does.
	s.define("--calls-per-minute", "0")
	code, out, errs := s.starter("run", "spring", "--output", "json")
	require.NotZero(t, code, "%s%s", out, errs)
	require.Equal(t, run.Parked, s.show().Status)
	require.Equal(t, calls, s.sandbox.Stats(omnisendtest.Brand).Batches, "nothing was sent unasked")
}
