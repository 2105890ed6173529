package cli_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/segment-export/segment-export/internal/catalogue"
	"github.com/segment-export/segment-export/internal/protocol"
	"github.com/segment-export/segment-export/internal/schedule"
	"github.com/segment-export/segment-export/starter/cli"
)

const applied = `
kind: export
name: spring
spec:
  connection: shop
  source: crm
  id: Key
  segments:
    - {segment: buyers, marker: segment_buyers}
    - {segment: old}
  mapping: {email: E, city: C}
  guards: {shrunk: 0.5}
---
kind: export
name: summer
spec:
  connection: shop
  source: crm
  segments: [{segment: buyers, marker: summer}]
  mapping: {email: E}
---
kind: connection
name: shop
spec:
  share: 0.5
`

// manifestFile writes a file with documents.
func manifestFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "exports.yaml")
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

// passed is the answer to an export that the worker has checked.
var passed = struct{}{}

// standing are the answers about what is there: one source, one connection, the
// export spring; and that the two exports of the file pass their checks.
func standing(share float64) []any { return append(stored(share), passed, passed) }

func stored(share float64) []any {
	return []any{
		[]any{catalogue.Source{Meta: catalogue.Meta{Name: "crm", Version: 1}, Type: "files"}},
		[]any{catalogue.Connection{Meta: catalogue.Meta{Name: "shop", Version: 4}, Type: "omnisend", BrandID: "b1", Share: share, CallsPerMinute: 400}},
		[]any{export("spring")},
	}
}

func TestApply(t *testing.T) {
	b := newBench(t)
	file := manifestFile(t, applied)
	b.answers(standing(0.75)...)
	require.Equal(t, 0, b.run("apply", "-f", file, "--dry-run"), b.err.String())
	require.Equal(t, `~ connection "shop"
    ~ share: 0.75 -> 0.5
~ export "spring"
    ~ id: "Id" -> "Key"
+ export "summer"
    + connection: "shop"
    + leavers: "unmark"
    + mapping.email: "E"
    + segments[0].marker: "summer"
    + segments[0].segment: "buyers"
    + source: "crm"
3 objects are not as the file says; nothing was changed
`, b.out.String())
	require.Equal(t, []string{"source list", "connection list", "export list", "export check", "export check"}, b.names())
	check := args[protocol.ExportCheckArgs](b, 3)
	require.Equal(t, "spring", check.Name)
	require.Equal(t, "Key", check.ID)

	b.answers(standing(0.75)...)
	require.Equal(t, 0, b.run("diff", "-f", file))
	b.answers(standing(0.75)...)
	require.Equal(t, 1, b.run("diff", "-f", file, "--exit-code"))
	b.answers(standing(0.75)...)
	require.Equal(t, 2, b.run("apply", "-f", file))
	require.Contains(t, b.err.String(), "give --yes")

	before := len(b.server.requests)
	b.answers(append(standing(0.75), protocol.ConnectionAnswer{}, export("spring"), export("summer"))...)
	require.Equal(t, 0, b.run("apply", "-f", file, "--yes", "-o", "json"), b.err.String())
	require.Equal(t, []string{"connection edit", "export edit", "export add"}, b.names()[before+5:], "what is named by others comes first")
	require.JSONEq(t, `{"name":"shop","version":4,"share":0.5}`, string(b.server.requests[before+5].Args))
	edit := args[protocol.ExportEditArgs](b, before+6)
	require.Equal(t, int64(7), edit.Version)
	require.Equal(t, "Key", edit.ID)
	require.Equal(t, "segment_old", edit.Segments[1].Marker, "as it would be made of the name")
	var plan struct {
		Changes int
		Applied bool
	}
	require.NoError(t, json.Unmarshal(b.out.Bytes(), &plan))
	require.Equal(t, 3, plan.Changes)
	require.True(t, plan.Applied)
	for _, r := range b.server.requests {
		d := json.NewDecoder(strings.NewReader(string(r.Args)))
		d.DisallowUnknownFields()
		switch r.Name {
		case protocol.ConnectionEdit:
			require.NoError(t, d.Decode(&protocol.ConnectionEditArgs{}))
		case protocol.ExportEdit:
			require.NoError(t, d.Decode(&protocol.ExportEditArgs{}))
		case protocol.ExportAdd:
			require.NoError(t, d.Decode(&protocol.ExportAddArgs{}))
		}
	}
}

func TestApplyAgainChangesNothing(t *testing.T) {
	b := newBench(t)
	docs := "kind: connection\nname: shop\nspec: {share: 0.75}\n---\n"
	b.answers(export("spring"))
	require.Equal(t, 0, b.run("export", "show", "spring", "-o", "yaml"))
	b.server.requests = nil
	file := manifestFile(t, docs+b.out.String())
	b.answers(stored(0.75)...)
	require.Equal(t, 0, b.run("apply", "-f", file), b.err.String())
	require.Equal(t, "= connection \"shop\"\n= export \"spring\"\nEverything is as the file says\n", b.out.String())
	require.Len(t, b.names(), 3)
}

func TestApplyAsks(t *testing.T) {
	b := newBench(t)
	b.terminal("n\n")
	b.answers(standing(0.75)...)
	require.Equal(t, 2, b.run("apply", "-f", manifestFile(t, applied)))
	require.Contains(t, b.err.String(), "~ share: 0.75 -> 0.5")
	require.Contains(t, b.err.String(), "nothing was changed")
	require.Len(t, b.names(), 5)
}

func TestApplyStopsAtAFailure(t *testing.T) {
	b := newBench(t)
	b.answers(append(standing(0.75), protocol.ConnectionAnswer{}, cli.Fail(protocol.ErrConflict, "changed by ben"))...)
	require.Equal(t, 1, b.run("apply", "-f", manifestFile(t, applied), "--yes"))
	require.Contains(t, b.err.String(), `export "spring": changed by ben (1 of 3 changes were made before; applied again, the rest is made)`)
}

// A dry run finds what the worker would refuse, and apply finds it before it
// changes anything.
func TestApplyChecksLikeTheRealThing(t *testing.T) {
	for _, command := range [][]string{{"apply", "--dry-run"}, {"apply", "--yes"}, {"diff"}} {
		b := newBench(t)
		b.answers(append(stored(0.75), cli.Fail(protocol.ErrUsage, "the segment buyers has no field E"), cli.Fail(protocol.ErrExists, "the marker summer is taken"))...)
		require.Equal(t, 2, b.run(append(command, "-f", manifestFile(t, applied))...))
		require.Contains(t, b.err.String(), `export "spring", line 2: the segment buyers has no field E`)
		require.Contains(t, b.err.String(), `export "summer", line 14: the marker summer is taken`)
		require.Equal(t, "export check", b.names()[len(b.names())-1], "nothing was changed")
	}
	b := newBench(t)
	b.answers(append(stored(0.75), cli.Fail("no worker", "no worker answers"))...)
	require.Equal(t, 7, b.run("diff", "-f", manifestFile(t, applied)), "that is no fault of the file")
}

func TestApplyRefusesWhatCannotBe(t *testing.T) {
	for file, want := range map[string]string{
		"kind: export\nname: x\nspec: {sorce: a}\n":                               `exports.yaml:3:8: a spec of kind export has no "sorce"`,
		"kind: connection\nname: new\nspec: {share: 1}\n":                         `line 1: it is new, and its API key is in no file: make it with starter connection add "new"`,
		"kind: connection\nname: shop\nspec: {brand_id: b2}\n":                    `it is bound to brand "b1"`,
		"kind: source\nname: crm\nspec: {kind: postgres}\n":                       `it is of the kind "files"`,
		"kind: export\nname: x\nspec: {source: gone, segments: [{segment: a}]}\n": `there is no source "gone", here or in the file`,
		"# nothing\n": "holds no documents",
	} {
		b := newBench(t)
		b.answers(stored(0.75)...)
		require.Equal(t, 2, b.run("apply", "-f", manifestFile(t, file), "--yes"))
		require.Contains(t, b.err.String(), want)
		require.LessOrEqual(t, len(b.names()), 3)
	}
	b := newBench(t)
	require.Equal(t, 2, b.run("apply"))
	require.Contains(t, b.err.String(), "--file is missing")
	require.Equal(t, 2, b.run("diff", "-f", "/nowhere"))
}

// A schedule is a document of its own, with the name of its export.
func TestApplySchedules(t *testing.T) {
	b := newBench(t)
	file := manifestFile(t, `
kind: schedule
name: spring
spec: {every: "mon,thu", at: ["06:00"], zone: Europe/Warsaw, off: true}
`)
	there := protocol.ScheduleAnswer{Export: "spring", Mode: protocol.ModeSchedule,
		Calendar: &schedule.Calendar{Every: "day", At: []string{"06:00"}, Zone: "Europe/Warsaw"}}
	b.answers(append(stored(0.75), []any{there}, there, there)...)
	require.Equal(t, 0, b.run("apply", "-f", file, "--yes"), b.err.String())
	require.Equal(t, `~ schedule "spring"
    ~ every: "day" -> "mon,thu"
    + off: true
Applied: 1 change
`, b.out.String())
	require.Equal(t, []string{"source list", "connection list", "export list", "schedule show", "schedule set", "schedule off"}, b.names())

	there.Mode, there.Calendar.Every = protocol.ModeOff, "mon,thu"
	b.answers(append(stored(0.75), []any{there})...)
	require.Equal(t, 0, b.run("apply", "-f", file, "--yes"), b.err.String())
	require.Contains(t, b.out.String(), "Everything is as the file says")

	b.answers([]any{there})
	require.Equal(t, 0, b.run("schedule", "show", "spring", "-o", "yaml"), b.err.String())
	again := manifestFile(t, b.out.String())
	b.answers(append(stored(0.75), []any{there})...)
	require.Equal(t, 0, b.run("diff", "-f", again, "--exit-code"), b.out.String())

	none := manifestFile(t, "kind: schedule\nname: winter\nspec: {every: day, at: [\"06:00\"], zone: Europe/Warsaw}\n")
	b.answers(append(stored(0.75), []any{})...)
	require.Equal(t, 2, b.run("apply", "-f", none, "--yes"))
	require.Contains(t, b.err.String(), `there is no export "winter"`)
}

// The system refresh and alerts are documents too.
func TestApplyRefreshAndAlerts(t *testing.T) {
	b := newBench(t)
	password := filepath.Join(t.TempDir(), "password")
	require.NoError(t, os.WriteFile(password, []byte("secret\n"), 0o600))
	file := manifestFile(t, `
kind: alert
name: ops
spec:
  on: [failed, late]
  late: 26h
  exports: [spring]
  mail: {server: "mail:587", from: a@shop.example, to: [b@shop.example], password_file: "`+password+`"}
---
kind: refresh
name: system
spec: {every: day, at: ["06:00"], zone: UTC, off: true}
`)
	b.answers(append(stored(0.75), protocol.RefreshAnswer{}, []any{}, protocol.RefreshAnswer{}, protocol.RefreshAnswer{}, catalogue.Alert{})...)
	require.Equal(t, 0, b.run("apply", "-f", file, "--yes"), b.err.String())
	require.Equal(t, []string{"refresh show", "alert list", "refresh set", "refresh off", "alert add"}, b.names()[3:])
	add := args[protocol.AlertAddArgs](b, 7)
	require.Equal(t, 26*time.Hour, add.Late)
	require.InDelta(t, 0.05, add.Rejects, 0)
	require.NotContains(t, string(b.server.requests[7].Args), "secret")
	require.NotContains(t, string(b.server.requests[7].Args), "shop.example", "addresses travel sealed")

	// Applied again it changes nothing; a change of what it tells of is one command.
	refresh := protocol.RefreshAnswer{Calendar: &schedule.Calendar{Every: "day", At: []string{"06:00"}, Zone: "UTC"}}
	ops := catalogue.Alert{Meta: catalogue.Meta{Name: "ops", Version: 3}, Channel: catalogue.ChannelMail, Target: "1 address through mail:587",
		Exports: []string{"spring"}, On: []catalogue.Condition{"failed", "late"}, Rejects: 0.05, Late: 26 * time.Hour}
	b.answers(append(stored(0.75), refresh, []any{ops})...)
	require.Equal(t, 0, b.run("diff", "-f", file, "--exit-code"), b.out.String()+b.err.String())
	ops.Late = 2 * time.Hour
	before := len(b.names())
	b.answers(append(stored(0.75), refresh, []any{ops}, ops)...)
	require.Equal(t, 0, b.run("apply", "-f", file, "--yes"), b.err.String())
	require.Contains(t, b.out.String(), `~ late: "2h" -> "26h"`)
	require.Equal(t, protocol.AlertEdit, b.names()[before+5])
	require.Equal(t, int64(3), args[protocol.AlertEditArgs](b, before+5).Version)

	for spec, want := range map[string]string{
		"kind: alert\nname: new\nspec: {on: [failed]}\n":                            "give its destination",
		"kind: alert\nname: ops\nspec: {mail: {server: other, from: a, to: [b]}}\n": "its destination is another one",
		"kind: alert\nname: ops\nspec: {on: [late]}\n":                              "needs a limit",
		"kind: alert\nname: ops\nspec: {late: soon}\n":                              "is not a time span",
		"kind: alert\nname: ops\nspec: {exports: [gone]}\n":                         `there is no export "gone"`,
		"kind: alert\nname: ops\nspec: {rejects: 2}\n":                              "is not from 0 to below 1",
	} {
		b.answers(append(stored(0.75), []any{ops})...)
		require.Equal(t, 2, b.run("apply", "-f", manifestFile(t, spec), "--yes"), spec)
		require.Contains(t, b.err.String(), want)
	}
	b.answers(append(stored(0.75), refresh)...)
	require.Equal(t, 2, b.run("apply", "-f", manifestFile(t, "kind: refresh\nname: other\nspec: {follow: crm}\n"), "--yes"))
	require.Contains(t, b.err.String(), `name it "system"`)
}

// The printed configuration is what is stored: applied it changes nothing.
func TestConfigIsWhatIsStored(t *testing.T) {
	everything := func() []any {
		all := stored(0.75)
		all[0] = []any{catalogue.Source{Meta: catalogue.Meta{Name: "crm", Version: 1}, Type: "files", Files: &catalogue.FilesSettings{Path: "."}}}
		return append(all,
			[]any{protocol.ScheduleAnswer{Export: "spring", Mode: protocol.ModeOff, Calendar: &schedule.Calendar{Cron: "30 6 * * 1", Zone: "UTC"}}},
			protocol.RefreshAnswer{On: true, Follow: "crm"},
			[]any{catalogue.Alert{Meta: catalogue.Meta{Name: "ops"}, Channel: catalogue.ChannelWebhook, Target: "chat.example, as text",
				On: []catalogue.Condition{"failed"}, Rejects: 0.1, Late: 90 * time.Minute}})
	}
	b := newBench(t)
	b.answers(everything()...)
	require.Zero(t, b.run("config"), b.err.String())
	written := b.out.String()
	for _, part := range []string{"kind: source", "kind: connection", "kind: export", "kind: schedule", "kind: refresh", "kind: alert", "late: 1h30m", "follow: crm"} {
		require.Contains(t, written, part)
	}
	require.NotContains(t, written, "chat.example")
	b.answers(everything()...)
	require.Zero(t, b.run("diff", "-f", manifestFile(t, written), "--exit-code"), b.out.String()+b.err.String())
	b.answers(everything()...)
	require.Zero(t, b.run("apply", "-f", manifestFile(t, written), "--yes"), b.err.String())
	require.Contains(t, b.out.String(), "Everything is as the file says")
}
