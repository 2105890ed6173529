package operate

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/segment-export/segment-export/internal/access"
	"github.com/segment-export/segment-export/internal/catalogue"
	"github.com/segment-export/segment-export/internal/command"
	"github.com/segment-export/segment-export/internal/omnisend/sandbox"
	"github.com/segment-export/segment-export/internal/protocol"
	"github.com/segment-export/segment-export/internal/record"
	"github.com/segment-export/segment-export/internal/run"
	"github.com/segment-export/segment-export/internal/schedule"
	"github.com/segment-export/segment-export/internal/store"
)

var viewer = command.Caller{Principal: access.Principal{Name: "vera", Role: access.Viewer}}

// many stores exports with as many runs each.
func (s *steps) many(t testing.TB, exports, runs int) {
	t.Helper()
	for e := range exports {
		name := fmt.Sprintf("export %04d", e)
		spec := s.Export.ExportSpec
		s.Put(catalogue.KindExport, name, catalogue.Export{Meta: catalogue.Meta{Name: name}, ExportSpec: spec}, nil)
		for r := range runs {
			id := fmt.Sprintf("%04d-%04d", e, r) // the order of those that were created in one millisecond
			require.NoError(t, s.Store.CreateRun(t.Context(), store.Run{ID: id, Export: name, Connection: spec.Connection, Brand: "b", Status: string(run.Queued),
				Report: record.Encode(run.Report{}), Request: record.Encode(run.Request{})}))
			report := run.Report{Export: name, RunID: id, Status: run.Completed, Contacts: 5000, Delivered: 100 + r, Unchanged: 4900, Refused: 3, Invalid: 4,
				StartedAt: time.Date(2026, 11, 1, r, 0, 0, 0, time.UTC), Segments: []run.SegmentCount{{Segment: "buyers", Read: 5004, Members: 5000, Invalid: 4}},
				Reasons: map[string]int{"email_invalid": 4, "refused": 3}}
			require.NoError(t, s.Store.SaveRun(t.Context(), id, string(run.Completed), record.Encode(report), true))
		}
	}
}

func (s *steps) look(t testing.TB, args protocol.OverviewArgs) *protocol.OverviewAnswer {
	t.Helper()
	answer, err := s.overview(t.Context(), viewer, args)
	require.NoError(t, err)
	return answer.(*protocol.OverviewAnswer)
}

func TestOverviewShowsAPageOfExports(t *testing.T) {
	s := newSteps(t, sandbox.Options{})
	s.many(t, 5, 4)
	all := s.look(t, protocol.OverviewArgs{Limit: 2, Page: 2, Runs: 3, Find: "EXPORT 0"})
	require.Equal(t, 5, all.Found)
	require.Equal(t, 6, all.All, "with the one of the other tests")
	require.Equal(t, []int{2, 3}, []int{all.Page, all.Pages})
	require.Len(t, all.Cards, 2)
	card := all.Cards[0]
	require.Equal(t, "export 0002", card.Name)
	require.Equal(t, protocol.MayView, card.Permissions)
	require.Len(t, card.Runs, 3)
	require.Equal(t, protocol.RunBrief{RunID: card.Runs[0].RunID, Status: run.Completed, At: time.Date(2026, 11, 1, 3, 0, 0, 0, time.UTC), Delivered: 103, Unchanged: 4900, Rejected: 7}, card.Runs[0], "the newest first")
	require.Zero(t, card.Next)
	require.Len(t, s.look(t, protocol.OverviewArgs{Page: 99, Limit: 4, Find: "export 0"}).Cards, 1, "the last page")
	require.Empty(t, s.look(t, protocol.OverviewArgs{Find: "nothing"}).Cards)

	now, err := s.Store.Now(t.Context())
	require.NoError(t, err)
	daily := schedule.Calendar{Every: "day", At: []string{"06:00"}, Zone: "UTC"}
	s.Put(catalogue.KindSchedule, "export 0000", catalogue.Schedule{Meta: catalogue.Meta{Name: "export 0000"}, Calendar: daily}, nil)
	s.Put(catalogue.KindSchedule, "export 0001", catalogue.Schedule{Meta: catalogue.Meta{Name: "export 0001"}, Calendar: daily, Off: true}, nil)
	hourly := schedule.Calendar{Every: "day", At: []string{"00:00", "12:00"}, Zone: "UTC"}
	s.Put(catalogue.KindRefresh, catalogue.RefreshName, catalogue.Refresh{Meta: catalogue.Meta{Name: catalogue.RefreshName}, On: true, Calendar: &hourly}, nil)
	cards := s.look(t, protocol.OverviewArgs{Find: "export 0"}).Cards
	require.Equal(t, daily.Next(now), cards[0].Next.UTC(), "its own schedule")
	require.Zero(t, cards[1].Next, "off")
	require.Equal(t, hourly.Next(now), cards[2].Next.UTC(), "the system refresh")
}

// The answers of home fit through Temporal with 1,000 exports.
func TestOverviewAndBriefStatusStaySmall(t *testing.T) {
	s := newSteps(t, sandbox.Options{})
	s.many(t, 60, protocol.RunsPerCard)
	raw, err := json.Marshal(s.look(t, protocol.OverviewArgs{Runs: protocol.RunsPerCard}))
	require.NoError(t, err)
	require.Less(t, len(raw), 512<<10)
	status := &protocol.StatusAnswer{}
	require.NoError(t, s.storeStatus(t.Context(), viewer, status, newestRuns))
	require.Empty(t, status.Attend)
}

func BenchmarkOverviewOf1000Exports(b *testing.B) {
	s := newSteps(b, sandbox.Options{})
	s.many(b, 1000, 10)
	b.Run("overview", func(b *testing.B) {
		for b.Loop() {
			s.look(b, protocol.OverviewArgs{Limit: 30, Runs: protocol.RunsPerCard})
		}
	})
	b.Run("status", func(b *testing.B) {
		for b.Loop() {
			require.NoError(b, s.storeStatus(b.Context(), viewer, &protocol.StatusAnswer{}, newestRuns))
		}
	})
}
