package preview_test

import (
	"context"
	"fmt"
	"io"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/segment-export/segment-export/internal/catalogue"
	"github.com/segment-export/segment-export/internal/contact"
	"github.com/segment-export/segment-export/internal/preview"
	"github.com/segment-export/segment-export/internal/protocol"
	"github.com/segment-export/segment-export/internal/segment"
)

var now = time.Date(2026, 11, 28, 9, 0, 0, 0, time.UTC)

// table is a source with one segment in memory.
type table struct {
	fields []string
	rows   [][]string
	stop   context.CancelFunc // called after the rows, as time runs out
}

func (s table) Segments(context.Context) ([]segment.Info, error) {
	return []segment.Info{{Name: "buyers"}}, nil
}

func (s table) Describe(context.Context, string) (segment.Info, error) {
	return segment.Info{Name: "buyers", Fields: s.fields}, nil
}

func (s table) Open(ctx context.Context, name string, fields []string, _ segment.Cursor) (segment.Reader, error) {
	r := &rows{table: s, ctx: ctx}
	for _, f := range fields {
		i := slices.Index(s.fields, f)
		if i < 0 {
			return nil, &segment.MissingFieldsError{Place: name, Missing: []string{f}}
		}
		r.places = append(r.places, i)
	}
	return r, nil
}

type rows struct {
	table
	ctx    context.Context
	places []int
	next   int
}

func (r *rows) Next() (segment.Row, error) {
	if r.next >= len(r.rows) {
		if r.stop != nil {
			r.stop()
			return segment.Row{}, r.ctx.Err()
		}
		return segment.Row{}, io.EOF
	}
	row := segment.Row{Number: int64(r.next + 2)}
	for _, i := range r.places {
		row.Values = append(row.Values, r.rows[r.next][i])
	}
	r.next++
	return row, nil
}

func (r *rows) Cursor() segment.Cursor { return nil }
func (r *rows) Close() error           { return nil }

var buyers = table{fields: []string{"Mail", "News", "Since", "City"}, rows: [][]string{
	{"ada@example.com", "yes", "2026-01-02", "London"},
	{"ada@example.com", "yes", "2026-01-02", "London"},
	{"grace@example.com", "no", "2026-03-04", "Łódź"},
	{"", "yes", "2026-03-04", "Paris"},
	{"alan@example.com", "maybe", "03/04/2026", ""},
	{"edsger@example.com", "yes", "03/04/2026", "Rotterdam"},
}}

func spec() catalogue.ExportSpec {
	return catalogue.ExportSpec{Source: "crm", Segments: []catalogue.ExportedSegment{{Segment: "buyers"}},
		Mapping: contact.Mapping{contact.Email: "Mail", contact.ConsentFlag: "News", contact.ConsentDate: "Since", contact.City: "City"}}
}

func TestLookShowsWhatRowsBecome(t *testing.T) {
	got, err := preview.Look(t.Context(), buyers, catalogue.Source{}, spec(), now)
	require.NoError(t, err)
	assert.Equal(t, 6, got.Rows)
	assert.False(t, got.More)
	assert.Equal(t, protocol.PreviewField{Name: "City", Filled: 5, Samples: []string{"London", "Łódź", "Paris"}}, got.Fields[3])
	assert.Equal(t, []protocol.PreviewValue{{Value: "yes", Count: 4}, {Value: "maybe", Count: 1},
		{Value: "no", Count: 1}}, got.Fields[1].Values)
	assert.Equal(t, 4, got.Result.Contacts)
	assert.Equal(t, 1, got.Result.Duplicate)
	assert.Equal(t, map[string]int{"email_missing": 1}, got.Result.Invalid)
	assert.Equal(t, []int{1, 2, 1}, []int{got.Result.Subscribed, got.Result.NonSubscribed, got.Result.Unsubscribed})
	assert.Equal(t, map[string]int{"consent_value_not_declared": 1, "consent_date_unreadable_day_or_month_first": 1}, got.Result.Notes)
	require.NotEmpty(t, got.Result.Dates)
	assert.Equal(t, "2026-01-02", got.Result.Dates[0].Text)
}

func TestLookWithoutAMappingShowsTheFields(t *testing.T) {
	got, err := preview.Look(t.Context(), buyers, catalogue.Source{}, catalogue.ExportSpec{Source: "crm"}, now)
	require.NoError(t, err)
	assert.Nil(t, got.Result)
	require.Len(t, got.Fields, 4)
	assert.Equal(t, []protocol.PreviewValue{{Value: "yes", Count: 4}, {Value: "maybe", Count: 1}, {Value: "no", Count: 1}}, got.Fields[1].Values)
	assert.Empty(t, got.Fields[0].Values, "addresses are no codes")
}

func TestLookReadsNoMoreThanItNeeds(t *testing.T) {
	many := table{fields: []string{"Mail"}}
	for i := range 6000 {
		many.rows = append(many.rows, []string{fmt.Sprintf("c%d@example.com", i)})
	}
	got, err := preview.Look(t.Context(), many, catalogue.Source{}, catalogue.ExportSpec{}, now)
	require.NoError(t, err)
	assert.Equal(t, 5000, got.Rows)
	assert.True(t, got.More)
}

func TestLookShowsWhatItReadWhenTimeIsOver(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	slow := buyers
	slow.stop = stop
	got, err := preview.Look(ctx, slow, catalogue.Source{}, spec(), now)
	require.NoError(t, err)
	assert.Equal(t, 6, got.Rows)
	assert.True(t, got.More)
}

func TestLookSaysWhatCannotBe(t *testing.T) {
	bad := spec()
	bad.Mapping[contact.City] = "Town"
	_, err := preview.Look(t.Context(), buyers, catalogue.Source{}, bad, now)
	assert.ErrorContains(t, err, "no column \"Town\"")
	bad = spec()
	bad.Consent.Consent, bad.Consent.OptOut = []string{"yes"}, []string{"yes"}
	_, err = preview.Look(t.Context(), buyers, catalogue.Source{}, bad, now)
	assert.ErrorContains(t, err, "both consent and opt-out")
}
