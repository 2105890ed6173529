package omnisendtest_test

import (
	"testing"

	"github.com/segment-export/segment-export/internal/omnisend/omnisendtest"
	"github.com/segment-export/segment-export/internal/omnisend/sandbox"
)

func TestClient(t *testing.T) {
	for name, asDocumented := range map[string]bool{"as live": false, "as documented": true} {
		t.Run(name, func(t *testing.T) {
			omnisendtest.Suite(t, func(t *testing.T, o sandbox.Options) *omnisendtest.Target {
				o.AsDocumented = asDocumented
				return omnisendtest.Start(t, o)
			})
		})
	}
}
