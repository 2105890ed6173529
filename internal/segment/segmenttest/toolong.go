package segmenttest

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/segment-export/segment-export/internal/segment"
)

// tooLong has rows that are as long as they may be, and longer. Each of the
// latter is one row's problem, found by the reader or, where it holds one row at
// a time, by who reads.
func tooLong(t *testing.T, p Place, _ Options) {
	field := strings.Repeat("x", segment.MaxField)
	rows := []struct {
		values  []string
		problem segment.Problem
	}{
		{[]string{ID(0), "a", field, field, field, "", ""}, ""},
		{[]string{ID(1), "a", field + "y", "", "", "", ""}, segment.ProblemLongField},
		{[]string{ID(2), "a", "", "", "", "", ""}, ""},
		{[]string{ID(3), strings.Repeat("z", 300_000), "", "", "", "", ""}, segment.ProblemLongField},
		{[]string{ID(4), "a", field, field, field, field, "one more"}, segment.ProblemLongRow},
		{[]string{ID(5), "a", "", "", "", "", strings.Repeat("ł", segment.MaxField/2+1)}, segment.ProblemLongField},
		{[]string{ID(6), "a", "", "", "", "", "the end"}, ""},
	}
	table := Table{Fields: []string{"CustomerId", "A", "B", "C", "D", "E", "F"}}
	for _, row := range rows {
		table.Rows = append(table.Rows, row.values)
	}
	p.Put(t, "s", table)
	read := ReadAll(t, p.Source(), "s", table.Fields, nil)
	require.Len(t, read, len(rows))
	for i, row := range read {
		if row.Problem == "" {
			row.Problem = segment.Long(row.Values)
		}
		require.Equal(t, rows[i].problem, row.Problem, i)
		if row.Problem == "" {
			require.Equal(t, rows[i].values, row.Values, i)
		}
	}
	// A field that is not asked for may be of any length.
	few := ReadAll(t, p.Source(), "s", []string{"CustomerId"}, nil)
	for i, row := range few {
		require.Equal(t, []string{ID(i)}, row.Values)
	}
	require.Len(t, few, len(rows))
}
