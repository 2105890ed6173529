package admin

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/segment-export/segment-export/internal/access"
	"github.com/segment-export/segment-export/internal/catalogue"
	"github.com/segment-export/segment-export/internal/command"
	"github.com/segment-export/segment-export/internal/omnisend/sandbox"
	"github.com/segment-export/segment-export/internal/protocol"
	"github.com/segment-export/segment-export/internal/record"
	"github.com/segment-export/segment-export/internal/segment"
	"github.com/segment-export/segment-export/internal/store/postgrestest"
)

// crowded is a source with very many segments of very many fields each.
type crowded struct{ segment.Source }

func (crowded) Segments(context.Context) ([]segment.Info, error) {
	infos := make([]segment.Info, 5_000)
	for i := range infos {
		infos[i] = segment.Info{Name: fmt.Sprintf("segment_%04d", i), Title: strings.Repeat("é", 100)}
	}
	return infos, nil
}

func (crowded) Describe(_ context.Context, name string) (segment.Info, error) {
	info := segment.Info{Name: name}
	for i := range 300 {
		info.Fields = append(info.Fields, fmt.Sprintf("%s_field_%d", name, i))
	}
	return info, nil
}

// What a source shows passes through Temporal, so it has an end, and says that it
// has one.
func TestWhatIsShownHasAnEnd(t *testing.T) {
	s := newSteps(t, sandbox.Options{})
	answer, err := s.describeSource(t.Context(), catalogue.Source{Meta: catalogue.Meta{Name: "crm"}}, crowded{}, "")
	require.NoError(t, err)
	require.Len(t, answer.SegmentList, mostSegments)
	require.Less(t, len(record.Encode(answer)), 1_500_000)
	require.Equal(t, `3000 more segments are left out; see one with: starter source show "crm" --segment NAME`, answer.Notes[0])
	require.Contains(t, answer.Notes[1], "the fields of")
}

// A source that does not answer is said to be one before the command's time is
// over, whatever is asked of it.
func TestASilentSourceIsShownAsOne(t *testing.T) {
	s := newSteps(t, sandbox.Options{})
	relay, _ := s.Relayed()
	relay.Through(0, postgrestest.Silent)
	s.Tuning.SourceShows = 200 * time.Millisecond
	const says = `source "crm": it did not answer within 200ms; see whether it is up`
	_, err := s.sourceShow(t.Context(), command.Caller{}, protocol.SourceShowArgs{Name: "crm"})
	require.ErrorContains(t, err, says)
	_, err = s.sourceShow(t.Context(), command.Caller{}, protocol.SourceShowArgs{Name: "crm", Segment: "buyers"})
	require.ErrorContains(t, err, says)
	_, err = s.sourceTest(t.Context(), command.Caller{}, protocol.Named{Name: "crm"})
	require.ErrorContains(t, err, says)
}

// sampled is a source that says how it reads its one segment.
type sampled struct{ segment.Source }

func (sampled) Segments(context.Context) ([]segment.Info, error) {
	return []segment.Info{{Name: "buyers", Fields: []string{"Email"}}}, nil
}

func (sampled) Sample(context.Context, string) (segment.Sample, error) {
	return segment.Sample{How: []string{"CSV"}, Looked: 2, Problems: map[segment.Problem]int{segment.ProblemColumns: 1},
		Rows: [][]string{{strings.Repeat("é", 100) + "anna"}}}, nil
}

// Rows are shown to those who may export them, sealed, and the audit says so.
func TestRowsOfASourceAreForThoseWhoMayExportThem(t *testing.T) {
	s := newSteps(t, sandbox.Options{})
	s.OpenSource = func(catalogue.Source, []byte) (segment.Source, error) { return sampled{}, nil }
	for name, test := range map[string]struct {
		role  access.Role
		reply string
		rows  bool
		shown bool
	}{
		"an admin":                   {access.Admin, "key", true, true},
		"who did not ask":            {access.Admin, "key", false, false},
		"without a key":              {access.Admin, "", true, false},
		"who may not use the source": {access.Contributor, "key", true, false},
	} {
		t.Run(name, func(t *testing.T) {
			c := command.Caller{Principal: access.Principal{Name: "ann", Role: test.role}, Request: &protocol.Request{ReplyTo: test.reply}, People: new(bool)}
			got, err := s.sourceShow(t.Context(), c, protocol.SourceShowArgs{Name: "crm", Rows: test.rows})
			require.NoError(t, err)
			require.Equal(t, test.shown, *c.People, "then the answer is sealed")
			answer := got.(*protocol.SourceAnswer).SegmentList[0]
			require.Equal(t, []string{"CSV"}, answer.How)
			require.Equal(t, 2, answer.Looked)
			require.Equal(t, 1, answer.Problems[segment.ProblemColumns])
			if test.shown {
				require.Equal(t, [][]string{{strings.Repeat("é", mostCell) + "…"}}, answer.Rows)
			} else {
				require.Empty(t, answer.Rows)
			}
		})
	}
}
