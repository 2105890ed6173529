package cli_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

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

// standing are the answers about what is there: one source, one connection, the
// export spring.
func standing(share float64) []any {
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
	require.Equal(t, []string{"source list", "connection list", "export list"}, b.names())

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
	require.Equal(t, []string{"connection edit", "export edit", "export add"}, b.names()[before+3:], "what is named by others comes first")
	require.JSONEq(t, `{"name":"shop","version":4,"share":0.5}`, string(b.server.requests[before+3].Args))
	edit := args[protocol.ExportEditArgs](b, before+4)
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
	b.answers(standing(0.75)...)
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
	require.Len(t, b.names(), 3)
}

func TestApplyStopsAtAFailure(t *testing.T) {
	b := newBench(t)
	b.answers(append(standing(0.75), protocol.ConnectionAnswer{}, cli.Fail(protocol.ErrConflict, "changed by ben"))...)
	require.Equal(t, 1, b.run("apply", "-f", manifestFile(t, applied), "--yes"))
	require.Contains(t, b.err.String(), `export "spring": changed by ben (1 of 3 changes were made before; applied again, the rest is made)`)
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
		b.answers(standing(0.75)...)
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
	b.answers(append(standing(0.75), []any{there}, there, there)...)
	require.Equal(t, 0, b.run("apply", "-f", file, "--yes"), b.err.String())
	require.Equal(t, `~ schedule "spring"
    ~ every: "day" -> "mon,thu"
    + off: true
Applied: 1 change
`, b.out.String())
	require.Equal(t, []string{"source list", "connection list", "export list", "schedule show", "schedule set", "schedule off"}, b.names())

	there.Mode, there.Calendar.Every = protocol.ModeOff, "mon,thu"
	b.answers(append(standing(0.75), []any{there})...)
	require.Equal(t, 0, b.run("apply", "-f", file, "--yes"), b.err.String())
	require.Contains(t, b.out.String(), "Everything is as the file says")

	b.answers([]any{there})
	require.Equal(t, 0, b.run("schedule", "show", "spring", "-o", "yaml"), b.err.String())
	again := manifestFile(t, b.out.String())
	b.answers(append(standing(0.75), []any{there})...)
	require.Equal(t, 0, b.run("diff", "-f", again, "--exit-code"), b.out.String())

	none := manifestFile(t, "kind: schedule\nname: winter\nspec: {every: day, at: [\"06:00\"], zone: Europe/Warsaw}\n")
	b.answers(append(standing(0.75), []any{})...)
	require.Equal(t, 2, b.run("apply", "-f", none, "--yes"))
	require.Contains(t, b.err.String(), `there is no export "winter"`)
}
