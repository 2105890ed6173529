package activities

import (
	"context"
	"reflect"
	"strconv"
	"testing"

	"github.com/stretchr/testify/mock"
	"github.com/stretchr/testify/require"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/mocks"
)

// Every activity that takes an input works on a run, which its input names, or
// is in the list of those that check on their own whether they may.
func TestEveryActivityIsAdmittedByItsRun(t *testing.T) {
	all := reflect.TypeFor[*Activities]()
	ctx, of := reflect.TypeFor[context.Context](), reflect.TypeFor[ofRun]()
	found := map[string]bool{}
	for m := range all.Methods() {
		if m.Type.NumIn() < 2 || m.Type.In(1) != ctx {
			continue // Temporal does not treat it as an activity
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

// A worker that has carried out many commands remembers no more of them than it
// needs.
func TestAdmissionForgetsWorkflowsOfLongAgo(t *testing.T) {
	temporal := &mocks.Client{}
	temporal.On("DescribeWorkflowExecution", mock.Anything, "command", mock.Anything).Return(
		&workflowservice.DescribeWorkflowExecutionResponse{WorkflowExecutionInfo: &workflowpb.WorkflowExecutionInfo{FirstRunId: "first"}}, nil)
	g, ok := Admission(New(Dependencies{Temporal: temporal})).(*admission)
	require.True(t, ok)
	for i := range 2 * mostFirsts {
		first, err := g.first(t.Context(), "command", strconv.Itoa(i))
		require.NoError(t, err)
		require.Equal(t, "first", first)
	}
	require.Equal(t, mostFirsts, g.firsts.Len())
	temporal.AssertNumberOfCalls(t, "DescribeWorkflowExecution", 2*mostFirsts)
}
