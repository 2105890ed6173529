package service

import (
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/segment-export/segment-export/internal/catalogue"
	"github.com/segment-export/segment-export/internal/segment/dataverse"
	"github.com/segment-export/segment-export/internal/segment/files"
	"github.com/segment-export/segment-export/internal/segment/postgres"
)

// The catalogue's settings of a kind and the configuration of the package that
// reads it have the same fields, so that nothing that is stored is lost.
func TestSettingsAreWhatTheSourcesRead(t *testing.T) {
	for _, pair := range [][2]any{
		{catalogue.FilesSettings{}, files.Config{}},
		{catalogue.DataverseSettings{}, dataverse.Config{}},
		{catalogue.PostgresSettings{}, postgres.Config{}},
		{catalogue.PostgresQuery{}, postgres.Query{}},
	} {
		require.Equal(t, jsonFields(pair[1]), jsonFields(pair[0]), "%T", pair[1])
	}
}

func jsonFields(v any) map[string]reflect.Kind {
	all := map[string]reflect.Kind{}
	for f := range reflect.TypeOf(v).Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		all[name] = f.Type.Kind()
	}
	return all
}
