package cli_test

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/segment-export/segment-export/internal/build"
	"github.com/segment-export/segment-export/internal/catalogue"
	"github.com/segment-export/segment-export/internal/protocol"
	"github.com/segment-export/segment-export/internal/segment"
	"github.com/segment-export/segment-export/starter/cli"
)

// healthy are the answers of an installation without problems.
func healthy(b *bench) []any {
	return []any{
		protocol.WhoAmIAnswer{Name: "ann", Role: "admin"},
		protocol.StatusAnswer{At: b.clock.Now(), Version: build.Version(), Workers: []protocol.WorkerStatus{{Identity: "7@one", Build: "v2"}},
			Disk: &protocol.DiskStatus{Free: 60 << 30, Size: 100 << 30}},
		[]any{catalogue.Connection{Meta: catalogue.Meta{Name: "shop"}}},
		protocol.ConnectionTested{Name: "shop", BrandID: "b1", BrandName: "Spring"},
		[]any{catalogue.Source{Meta: catalogue.Meta{Name: "crm"}}},
		protocol.SourceTested{Name: "crm", OK: true, Checks: []segment.Check{{Name: "folder", OK: true}, {Name: "first page", OK: true}}},
	}
}

func TestDoctor(t *testing.T) {
	b := newBench(t)
	b.answers(healthy(b)...)
	require.Zero(t, b.run("doctor"), b.err.String())
	require.Equal(t, `ok       settings: they can be read
ok       server: Temporal answers at temporal:7233, namespace default
ok       identity: the worker knows you as ann, admin
ok       clock: it agrees with the store's
ok       worker: 1 worker is running, no task is waiting
ok       build: `+build.Version()+`
ok       store: it answers; 0 exports
ok       disk: 60 GiB of 100 GiB are free in the worker's data directory
ok       key of shop: Omnisend accepts it for brand Spring
ok       source crm: 2 checks passed

No problems found
`, b.out.String())
	require.Equal(t, []string{"whoami", "status", "connection list", "connection test", "source list", "source test"}, b.names())
}

// Each problem is named with what to do, and the exit code is 1.
func TestDoctorFindsProblems(t *testing.T) {
	for _, c := range []struct {
		name    string
		prepare func(b *bench, all []any)
		code    int
		want    []string
	}{
		{"no server", func(b *bench, _ []any) {
			b.options.Connect = func(context.Context, bool) (cli.Server, error) {
				return nil, cli.Fail("no server", "no Temporal server answers at there")
			}
		}, 1, []string{"ok       settings", "problem  server: no Temporal server answers at there", "-> start the server"}},
		{"unreadable settings", func(b *bench, _ []any) {
			b.options.Connect = func(context.Context, bool) (cli.Server, error) {
				return nil, cli.Fail(protocol.ErrUsage, "temporal.toml: line 3")
			}
		}, 1, []string{"problem  settings: temporal.toml: line 3"}},
		{"no identity", func(b *bench, _ []any) {
			require.NoError(b.t, os.Remove(filepath.Join(b.options.Env.(env)["SEGMENT_EXPORT_DATA_DIR"], "identity.json")))
		}, 1, []string{"problem  identity: there is no identity", "-> set SEGMENT_EXPORT_DATA_DIR"}},
		{"no worker", func(_ *bench, all []any) { all[0] = cli.Fail("no worker", "no worker answers") }, 1,
			[]string{"problem  worker: no worker answers", "-> start a worker"}},
		{"not known", func(_ *bench, all []any) { all[0] = cli.Fail(protocol.ErrNotAllowed, "the proof is wrong") }, 1,
			[]string{"problem  identity: the proof is wrong", "-> compare the clocks"}},
		{"the store", func(_ *bench, all []any) { all[1] = cli.Fail(protocol.ErrFailed, "no connection") }, 1,
			[]string{"problem  store: no connection"}},
		{"the clock", func(b *bench, all []any) {
			status := all[1].(protocol.StatusAnswer)
			status.At = b.clock.Now().Add(-45 * time.Second)
			all[1] = status
		}, 1, []string{"problem  clock: this machine and the store differ by 45 s", "NTP"}},
		{"the disk", func(_ *bench, all []any) {
			all[1].(protocol.StatusAnswer).Disk.Free = 1 << 30
		}, 1, []string{"problem  disk: 1.0 GiB of 100 GiB", "-> free some space"}},
		{"another build", func(_ *bench, all []any) {
			status := all[1].(protocol.StatusAnswer)
			status.Version = "v0.1"
			all[1] = status
		}, 0, []string{"warning  build: the worker is v0.1", "0 problems, 1 warning"}},
		{"the key", func(_ *bench, all []any) { all[3] = cli.Fail(protocol.ErrFailed, "Omnisend answers 401") }, 1,
			[]string{"problem  key of shop: Omnisend answers 401", `-> replace the key: starter connection rotate-key "shop"`, "ok       source crm"}},
		{"a lower role", func(_ *bench, all []any) { all[3] = cli.Fail(protocol.ErrNotAllowed, "it needs the role admin") }, 0,
			[]string{"skipped  key of shop: it needs the role admin", "No problems found"}},
		{"the source", func(_ *bench, all []any) {
			all[5] = protocol.SourceTested{Checks: []segment.Check{{Name: "login", Detail: "expired", Action: "renew the secret"}}}
		}, 1, []string{"problem  source crm: login: expired", "-> renew the secret", "1 problem, 0 warnings"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(t)
			all := healthy(b)
			c.prepare(b, all)
			b.answers(all...)
			require.Equal(t, c.code, b.run("doctor"), b.err.String())
			for _, part := range c.want {
				require.Contains(t, b.out.String(), part)
			}
		})
	}
}

func TestDoctorForScripts(t *testing.T) {
	b := newBench(t)
	all := healthy(b)
	b.answers(append(all[:2], []any{}, []any{})...)
	require.Zero(t, b.run("doctor", "-o", "json"), b.err.String())
	var got struct {
		OK     bool
		Checks []struct{ Check, Result, Detail, Action string }
	}
	require.NoError(t, json.Unmarshal(b.out.Bytes(), &got))
	require.True(t, got.OK, "an empty installation has no problem")
	last := got.Checks[len(got.Checks)-1]
	require.Equal(t, "warning", last.Result)
	require.True(t, strings.HasPrefix(last.Action, "add one: starter source add"))
}
