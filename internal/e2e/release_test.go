package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/segment-export/segment-export/internal/segment/files/azuritetest"
)

// release is a build of the program worker: of the present source, or of what
// a later one might be. Each is built once for all tests.
type release struct {
	// migration is one more migration of the store, of its number.
	migration func(number int) string
	// file is the source file in which the text becomes replaces the text was.
	file, was, becomes string

	once    sync.Once
	program string
	err     error
}

var (
	present = &release{}
	// compatible continues the present one's runs, and the present one its runs.
	compatible = &release{migration: additive, file: "workflows/deliver.go",
		was: `"upload batch "`, becomes: `"` + laterSummary + `"`}
	// incompatible does something first that is not in the histories of the
	// present one's runs.
	incompatible = &release{migration: additive, file: "workflows/export.go", was: "\te.listen(ctx)\n",
		becomes: "\te.listen(ctx)\n\tif err := workflow.Sleep(ctx, " + strconv.Itoa(int(laterPause)) + "); err != nil {\n\t\treturn nil, err\n\t}\n"}
	// marked does the same, but only in runs that it starts itself: GetVersion
	// tells them from those of builds without the change.
	marked = &release{migration: additive, file: "workflows/export.go", was: "\te.listen(ctx)\n",
		becomes: "\te.listen(ctx)\n\tif workflow.GetVersion(ctx, \"later-pause\", workflow.DefaultVersion, 1) > workflow.DefaultVersion {\n" +
			"\t\tif err := workflow.Sleep(ctx, " + strconv.Itoa(int(laterPause)) + "); err != nil {\n\t\t\treturn nil, err\n\t\t}\n\t}\n"}
	// unbearable has a store that the present one must not use.
	unbearable = &release{migration: func(number int) string { return fmt.Sprintf("UPDATE schema_floor SET version = %d;", number) }}
)

// What tells a later release in a run's history.
const (
	laterSummary = "bring batch "
	laterPause   = 7 * time.Millisecond
)

// additive is a migration that the release before bears: a new table, and
// columns of tables that runs write and read.
func additive(int) string {
	return `CREATE TABLE later (name {{.Text}} NOT NULL PRIMARY KEY);
ALTER TABLE runs ADD COLUMN later {{.Text}} NOT NULL DEFAULT '';
ALTER TABLE calls ADD COLUMN later BIGINT NOT NULL DEFAULT 7;`
}

// root is the module's, from this package.
const root = "../.."

const migrations = "internal/store/sqlstore/migrations"

// newest is the number of the present source's last migration.
func newest() (int, error) {
	files, err := os.ReadDir(filepath.Join(root, migrations))
	if err != nil {
		return 0, err
	}
	number, _, _ := strings.Cut(files[len(files)-1].Name(), "_")
	return strconv.Atoi(number)
}

// built returns the release's program.
func (s *shop) built(r *release) string {
	s.t.Helper()
	r.once.Do(func() { r.program, r.err = r.build(context.WithoutCancel(s.t.Context())) })
	require.NoError(s.t, r.err)
	return r.program
}

func (r *release) build(ctx context.Context) (string, error) {
	dir, err := builds.dir()
	if err != nil {
		return "", err
	}
	if dir, err = os.MkdirTemp(dir, ""); err != nil {
		return "", err
	}
	overlay, err := r.overlay(dir)
	if err != nil {
		return "", err
	}
	program := filepath.Join(dir, "worker")
	// As the Dockerfile builds it, and sooner linked.
	output, err := exec.CommandContext(ctx, "go", "build", "-ldflags=-s -w", "-overlay", overlay, "-o", program, root+"/worker").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("building the worker: %w: %s", err, output)
	}
	return program, nil
}

// overlay writes what differs from the present source, and returns the file
// that tells go build of it.
func (r *release) overlay(dir string) (string, error) {
	replace := map[string]string{}
	put := func(path, text string) error {
		there, err := filepath.Abs(filepath.Join(root, path))
		if err != nil {
			return err
		}
		replace[there] = filepath.Join(dir, filepath.Base(path))
		return os.WriteFile(replace[there], []byte(text), 0o600)
	}
	if r.migration != nil {
		number, err := newest()
		if err != nil {
			return "", err
		}
		number++
		if err := put(fmt.Sprintf("%s/%04d_later.sql", migrations, number), r.migration(number)); err != nil {
			return "", err
		}
	}
	if r.file != "" {
		source, err := os.ReadFile(filepath.Join(root, r.file))
		if err != nil {
			return "", err
		}
		if n := strings.Count(string(source), r.was); n != 1 {
			return "", fmt.Errorf("%s has %q %d times and not once: say again how a later release differs", r.file, r.was, n)
		}
		if err := put(r.file, strings.Replace(string(source), r.was, r.becomes, 1)); err != nil {
			return "", err
		}
	}
	text, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	overlay := filepath.Join(dir, "overlay.json")
	return overlay, os.WriteFile(overlay, text, 0o600)
}

// builds is the folder of the programs that tests build.
var builds folder

type folder struct {
	once sync.Once
	path string
	err  error
}

func (f *folder) dir() (string, error) {
	f.once.Do(func() { f.path, f.err = os.MkdirTemp("", "releases-") })
	return f.path, f.err
}

// around runs tests and removes the folder after them.
func (f *folder) around(m azuritetest.Runner) azuritetest.Runner { return emptied{m, f} }

type emptied struct {
	azuritetest.Runner
	folder *folder
}

// Run runs the tests and returns their exit code.
func (e emptied) Run() int {
	code := e.Runner.Run()
	if err := os.RemoveAll(e.folder.path); err != nil { // without a path there is nothing to remove
		fmt.Fprintln(os.Stderr, "removing the built programs:", err)
		code = max(code, 1)
	}
	return code
}

// migrate runs worker migrate of a release.
func (s *shop) migrate(r *release, store string) (output string, err error) {
	s.t.Helper()
	all, err := exec.CommandContext(s.t.Context(), s.built(r), "migrate", "--store-url", store).CombinedOutput()
	return string(all), err
}

// begin starts worker run of a release.
func (s *shop) begin(name string, r *release, store string, args ...string) *worker {
	s.t.Helper()
	cmd := exec.Command(s.built(r), append([]string{"run", "--store-url", store, "--data-dir", s.path("data"), "--files-root", s.dir,
		"--omnisend-url", s.omnisend}, args...)...)
	cmd.Env = append(os.Environ(), "TEMPORAL_ADDRESS="+s.temporal)
	return s.start(name, cmd)
}

// beside is begin for a worker that serves its probes, and waits until it is
// ready.
func (s *shop) beside(name string, r *release, store string, args ...string) *worker {
	s.t.Helper()
	address := "127.0.0.1:" + freePorts(s.t, 1)[0]
	w := s.begin(name, r, store, append(args, "--metrics-address", address)...)
	w.address = address
	s.eventually("a worker is ready", func() bool { return w.gone() || w.probe("readyz") == 200 })
	require.False(s.t, w.gone(), "it ended: %s", w.said())
	return w
}
