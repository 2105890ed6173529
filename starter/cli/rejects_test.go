package cli

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestNoFormulaInCSV(t *testing.T) {
	for value, want := range map[string]string{
		"": "", "ann": "ann", "a=1": "a=1", "＠": "'＠", "=1": "'=1", "+1": "'+1", "-1": "'-1", "@x": "'@x",
		"＝1": "'＝1", "＋1": "'＋1", "－1": "'－1", "\tx": "'\tx", "é=": "é=",
	} {
		require.Equal(t, want, inert(value), value)
	}
}
