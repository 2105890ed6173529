package activities

import (
	"context"
	"reflect"
	"testing"

	"github.com/stretchr/testify/require"
)

// Every activity that takes an input works on a run, which its input names, or
// is in the list of those that find out by themselves whether they may.
func TestEveryActivityIsAdmittedByItsRun(t *testing.T) {
	all := reflect.TypeFor[*Activities]()
	ctx, of := reflect.TypeFor[context.Context](), reflect.TypeFor[ofRun]()
	found := map[string]bool{}
	for m := range all.Methods() {
		if m.Type.NumIn() < 2 || m.Type.In(1) != ctx {
			continue // Temporal does not take it for an activity
		}
		found[m.Name] = true
		if _, ok := ungated[m.Name]; ok || m.Type.NumIn() == 2 {
			continue // without an input nothing is carried out
		}
		require.True(t, m.Type.In(2).Implements(of), "%s: its input names no run; give it the method run, or enter the activity in ungated with what it checks", m.Name)
	}
	for name := range ungated {
		require.True(t, found[name], "there is no activity %q", name)
	}
	require.Greater(t, len(found), 10)
}
