package service

import (
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/segment-export/segment-export/internal/catalogue"
	"github.com/segment-export/segment-export/internal/segment/dataverse"
	"github.com/segment-export/segment-export/internal/segment/files"
)

// The catalogue's settings of a kind and the configuration of the package that
// reads it have the same fields, so that nothing that is stored is lost.
func TestSettingsAreWhatTheSourcesRead(t *testing.T) {
	for settings, config := range map[any]any{
		catalogue.FilesSettings{}:     files.Config{},
		catalogue.DataverseSettings{}: dataverse.Config{},
	} {
		require.Equal(t, jsonFields(config), jsonFields(settings), "%T", config)
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
