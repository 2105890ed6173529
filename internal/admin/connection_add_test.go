package admin

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/segment-export/segment-export/internal/catalogue"
	"github.com/segment-export/segment-export/internal/omnisend/omnisendtest"
	"github.com/segment-export/segment-export/internal/omnisend/sandbox"
)

// One passing fault of Omnisend does not fail the check of a new key.
func TestABrandIsAskedForAgain(t *testing.T) {
	for _, fault := range []sandbox.Fault{sandbox.ServerError, sandbox.BadGateway, sandbox.BreakBefore} {
		s := newSteps(t, sandbox.Options{})
		require.NoError(t, s.Target.Sandbox.Inject(sandbox.Trigger{Fault: fault, Route: "GET /brands/current"}))
		conn := catalogue.Connection{Meta: catalogue.Meta{Name: "new"}, Endpoint: s.Target.URL}
		require.NoError(t, s.bindBrand(t.Context(), &conn, omnisendtest.Key, ""), fault)
		require.Equal(t, omnisendtest.Brand, conn.BrandID)
	}
}
