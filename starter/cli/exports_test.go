package cli_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/segment-export/segment-export/internal/catalogue"
	"github.com/segment-export/segment-export/internal/contact"
	"github.com/segment-export/segment-export/internal/protocol"
	"github.com/segment-export/segment-export/internal/run"
)

func export(name string) protocol.ExportAnswer {
	at := time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC)
	return protocol.ExportAnswer{Permissions: protocol.MayEdit, Export: catalogue.Export{
		Meta:  catalogue.Meta{Name: name, Version: 7, CreatedBy: "ann", CreatedAt: at, UpdatedBy: "ben", UpdatedAt: at},
		Brand: "b1",
		ExportSpec: catalogue.ExportSpec{Connection: "shop", Source: "crm", ID: "Id", Leavers: catalogue.LeaversUnmark,
			Segments: []catalogue.ExportedSegment{{Segment: "buyers", Marker: "segment_buyers"}, {Segment: "old", Marker: "segment_old"}},
			Mapping:  contact.Mapping{contact.Email: "E", contact.City: "C"}, Guards: map[catalogue.Guard]catalogue.Threshold{"shrunk": 0.5}},
	}}
}

// What is not mentioned stays as it was read, and the version goes with it.
func TestExportEditChangesWhatIsSaid(t *testing.T) {
	b := newBench(t)
	b.answers(export("spring"), export("spring"))
	require.Equal(t, 0, b.run("export", "edit", "spring", "--map", "city=Town", "--map", "property:points:number=P", "--unmap", "email", "--map", "email=Mail",
		"--remove-segment", "old", "--segment", "new", "--marker", "new=m_new", "--guard", "leavers=0.1", "--leavers", "keep", "--full-every", "30"), b.err.String())
	require.Equal(t, []string{protocol.ExportShow, protocol.ExportEdit}, b.names())
	require.JSONEq(t, `{"name":"spring","version":7,"connection":"shop","source":"crm","id":"Id","leavers":"keep","full_every":30,
		"segments":[{"segment":"buyers","marker":"segment_buyers"},{"segment":"new","marker":"m_new"}],
		"mapping":{"email":"Mail","city":"Town","property:points:number":"P"},"guards":{"shrunk":0.5,"leavers":0.1}}`, string(b.server.requests[1].Args))

	b.answers(export("spring"), export("spring"))
	require.Equal(t, 0, b.run("export", "edit", "spring", "--id", "Key", "--version", "6"))
	require.Equal(t, int64(6), args[protocol.ExportEditArgs](b, 3).Version, "a script says what it has read")

	for _, c := range []struct{ option, value, want string }{
		{"--unmap", "state", "is not mapped"}, {"--remove-segment", "gone", "does not have the segment"}, {"--marker", "gone=m", "does not have"},
	} {
		b.answers(export("spring"))
		require.Equal(t, 2, b.run("export", "edit", "spring", c.option, c.value))
		require.Contains(t, b.err.String(), c.want)
	}
}

func TestExportSaveAndRun(t *testing.T) {
	b := newBench(t)
	b.answers(export("spring"), started, finished(run.Completed))
	require.Equal(t, 0, b.run("export", "add", "spring", "--connection", "shop", "--source", "crm", "--segment", "buyers", "--map", "email=E",
		"--run", "--create-segment"), b.err.String())
	require.Equal(t, []string{protocol.ExportAdd, protocol.Run, protocol.RunsShow}, b.names())
	require.True(t, args[protocol.ExportAddArgs](b, 0).CreateSegment)
	require.Contains(t, b.err.String(), "Added spring, version 7")
	require.Contains(t, b.out.String(), "Run of spring: completed")

	b.answers(export("spring"))
	require.Equal(t, 0, b.run("export", "add", "spring", "--connection", "shop", "--source", "crm", "--segment", "buyers", "--map", "email=E"))
	require.Len(t, b.names(), 4, "saving does not run")
}

func TestExportList(t *testing.T) {
	b := newBench(t)
	early, late, never := export("a"), export("b"), export("c")
	ended := finished(run.Completed)
	early.LastRun = &ended
	running := finished(run.Running)
	running.StartedAt = running.StartedAt.Add(time.Hour)
	late.LastRun, late.Connection, late.Permissions = &running, "", protocol.MayView
	early.Schedule, late.Schedule = "System refresh", "day at 06:00 Europe/Warsaw (off)"
	for sort, want := range map[string][]string{
		"": {"a", "b", "c"}, "-name": {"c", "b", "a"}, "last-run": {"c", "a", "b"}, "-last-run": {"b", "a", "c"}, "connection": {"b", "a", "c"},
	} {
		b.answers([]any{late, never, early})
		words := []string{"export", "list", "-o", "json"}
		if sort != "" {
			words = append(words, "--sort="+sort)
		}
		require.Equal(t, 0, b.run(words...), b.err.String())
		var got []protocol.ExportAnswer
		require.NoError(t, json.Unmarshal(b.out.Bytes(), &got))
		var names []string
		for _, a := range got {
			names = append(names, a.Name)
		}
		require.Equal(t, want, names, sort)
	}
	b.answers([]any{late, early})
	require.Equal(t, 0, b.run("export", "list"))
	require.Equal(t, `NAME  CONNECTION     SOURCE  SEGMENTS     SCHEDULE                          LAST RUN                      YOU MAY
a     shop           crm     buyers, old  System refresh                    completed, 2026-11-24 09:01Z  edit and run
b     No connection  crm     buyers, old  day at 06:00 Europe/Warsaw (off)  running, 2026-11-24 10:00Z    view
`, b.out.String())
}

// What show gives in YAML has what people decide about, and nothing else.
func TestShowAsADocument(t *testing.T) {
	b := newBench(t)
	b.answers(export("spring"))
	require.Equal(t, 0, b.run("export", "show", "spring", "-o", "yaml"))
	require.Equal(t, `kind: export
name: spring
spec:
  connection: shop
  source: crm
  segments:
    - segment: buyers
      marker: segment_buyers
    - segment: old
      marker: segment_old
  id: Id
  mapping:
    city: C
    email: E
  leavers: unmark
  guards:
    shrunk: 0.5
`, b.out.String())
}

func TestConnectionQuestions(t *testing.T) {
	b := newBench(t)
	shop := protocol.ConnectionAnswer{Connection: catalogue.Connection{Meta: catalogue.Meta{Name: "shop"}, Type: "omnisend", BrandID: "b1"},
		Exports: []string{"spring", "summer"}, Running: []string{"run-1"}}
	b.terminal("no\n")
	b.answers(shop)
	require.Equal(t, 2, b.run("connection", "remove", "shop", "--remove-exports"))
	require.Contains(t, b.err.String(), "2 exports (spring, summer) will be removed, with what is remembered about their contacts")
	require.Equal(t, []string{protocol.ConnectionShow}, b.names())

	for said, want := range map[string]string{"y\ny\n": protocol.RunningCancel, "y\nn\n": protocol.RunningFinish} {
		b := newBench(t)
		b.terminal(said)
		b.answers(shop, shop)
		require.Equal(t, 0, b.run("connection", "edit", "shop", "--withdraw-consent"))
		require.Contains(t, b.err.String(), "1 run is open")
		require.Equal(t, want, args[protocol.ConnectionEditArgs](b, 1).Running)
	}

	// What stops exports is asked about on a terminal, unless --yes is given.
	for _, line := range [][]string{{"connection", "stop", "shop"}, {"connection", "edit", "shop", "--withdraw-consent", "--running", "finish"}} {
		b := newBench(t)
		b.terminal("\n")
		require.Equal(t, 2, b.run(line...))
		require.Regexp(t, `(Stop the connection shop\?|Withdraw the agreement).* \[y/N\] starter: the (connection|agreement) was not`, b.err.String())
		require.Empty(t, b.names())
		b.terminal("y\n")
		b.answers(shop)
		require.Equal(t, 0, b.run(line...))
		b.terminal("")
		b.answers(shop)
		require.Equal(t, 0, b.run(append(line, "--yes")...))
	}
}
