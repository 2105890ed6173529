package cli_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/segment-export/segment-export/internal/catalogue"
	"github.com/segment-export/segment-export/internal/protocol"
)

// alert edit sends all that the alert reports: what was given, and the rest as
// it was, with the version that it was made from.
func TestAlertEdit(t *testing.T) {
	there := catalogue.Alert{Meta: catalogue.Meta{Name: "ops", Version: 4}, Exports: []string{"spring"},
		On: []catalogue.Condition{catalogue.ConditionFailed, catalogue.ConditionLate}, Rejects: 0.05, Late: 26 * time.Hour}
	for line, want := range map[string]protocol.AlertAddArgs{
		"--rejects|2%":          {Name: "ops", Exports: there.Exports, On: there.On, Rejects: 0.02, Late: there.Late},
		"--export|a|--export|b": {Name: "ops", Exports: []string{"a", "b"}, On: there.On, Rejects: 0.05, Late: there.Late},
		"--export|":             {Name: "ops", Exports: []string{}, On: there.On, Rejects: 0.05, Late: there.Late},
		"--on|late|--late|30h":  {Name: "ops", Exports: there.Exports, On: []catalogue.Condition{catalogue.ConditionLate}, Rejects: 0.05, Late: 30 * time.Hour},
	} {
		b := newBench(t)
		b.answers(there, there)
		require.Equal(t, 0, b.run(append([]string{"alert", "edit", "ops"}, strings.Split(line, "|")...)...), b.err.String())
		require.Equal(t, []string{"alert show", "alert edit"}, b.names())
		edit := args[protocol.AlertEditArgs](b, 1)
		require.Equal(t, int64(4), edit.Version)
		require.ElementsMatch(t, want.Exports, edit.Exports, line)
		edit.Exports, want.Exports = nil, nil
		require.Equal(t, want, edit.AlertAddArgs, line)
	}
	b := newBench(t)
	b.answers(there)
	require.Equal(t, 2, b.run("alert", "edit", "ops", "--on", "fell"))
	require.Contains(t, b.err.String(), "not a condition")
	require.Equal(t, []string{"alert show"}, b.names(), "nothing is changed")
}
