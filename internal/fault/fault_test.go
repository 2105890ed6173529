package fault_test

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/segment-export/segment-export/internal/fault"
)

func TestPanicsBecomeErrorsThatSayNothingPersonal(t *testing.T) {
	three := []int{1, 2, 3}
	for name, c := range map[string]struct {
		do   func()
		says string
	}{
		"of the runtime": {func() { _ = three[len(three)] }, "a fault of this program (runtime error: index out of range [3] with length 3)"},
		"of ours":        {func() { panic("ann@example.com is not JSON") }, "a fault of this program (a panic with a string)"},
		"of a library":   {func() { panic(errors.New("ann@example.com")) }, "a fault of this program (a panic with a *errors.errorString)"},
	} {
		t.Run(name, func(t *testing.T) {
			err := fault.Guard(func() error { c.do(); return nil })
			f, ok := errors.AsType[*fault.Error](err)
			require.True(t, ok)
			require.Equal(t, c.says, f.Error())
			require.Contains(t, f.Stack, "TestPanicsBecomeErrorsThatSayNothingPersonal")
			require.NotContains(t, f.Stack, "ann@example.com")
		})
	}
}

func TestErrorsAreLeftAsTheyAre(t *testing.T) {
	require.NoError(t, fault.Guard(func() error { return nil }))
	err := errors.New("away")
	require.Equal(t, err, fault.Guard(func() error { return err }))
}
