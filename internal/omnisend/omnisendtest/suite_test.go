package omnisendtest_test

import (
	"testing"

	"github.com/segment-export/segment-export/internal/omnisend/omnisendtest"
	"github.com/segment-export/segment-export/internal/omnisend/sandbox"
)

func TestClient(t *testing.T) {
	omnisendtest.Suite(t, func(t *testing.T, o sandbox.Options) *omnisendtest.Target {
		return omnisendtest.Start(t, o)
	})
}
