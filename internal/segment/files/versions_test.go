package files

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/segment-export/segment-export/internal/segment"
	"github.com/segment-export/segment-export/internal/segment/segmenttest"
)

// linkedModel is the model.json that Synapse Link writes for the table people.
func linkedModel(t *testing.T, columns []string, locations ...string) []byte {
	t.Helper()
	var attributes, partitions []map[string]any
	for _, c := range columns {
		attributes = append(attributes, map[string]any{"name": c, "dataType": "string"})
	}
	for _, l := range locations {
		partitions = append(partitions, map[string]any{"location": "https://account.dfs.core.windows.net/dataverse-env-org/" + l,
			"fileFormatSettings": map[string]any{"$type": "CsvFormatSettings", "columnHeaders": false, "delimiter": ",", "quoteStyle": "QuoteStyle.Csv", "csvStyle": "CsvStyle.QuoteAlways", "encoding": "UTF-8"}})
	}
	data, err := json.Marshal(map[string]any{"name": "cdm", "version": "1.0", "entities": []any{
		map[string]any{"$type": "LocalEntity", "name": "people", "attributes": attributes, "partitions": partitions}}})
	require.NoError(t, err)
	return data
}

func TestSynapseLink(t *testing.T) {
	columns := []string{linkID, "SinkCreatedOn", linkModified, "Email", "City", linkDeleted}
	row := func(id, modified, email, city, deleted string) string {
		return `"` + strings.Join([]string{id, "1/1/2025 1:00:00 AM", modified, email, city, deleted}, `","`) + "\"\n"
	}
	row5 := func(values ...string) string { return `"` + strings.Join(values, `","`) + "\"\n" }
	note := func(text string) []string {
		return []string{`segment "people": ` + text}
	}
	const ten, eleven, pm = "1/15/2026 10:00:00 AM", "1/15/2026 11:00:00 AM", "1/15/2026 1:00:00 PM"
	anna, bob := person(1, "1", "anna@example.com", "Oslo"), person(2, "2", "bob@example.com", "Rome")
	for name, test := range map[string]struct {
		columns []string
		files   map[string]string
		listed  []string
		want    []segmenttest.Row
		notes   []string
	}{
		"one version each": {columns, map[string]string{"people/2026.csv": row("1", ten, "anna@example.com", "Oslo", "False") + row("2", ten, "bob@example.com", "Rome", "")}, []string{"people/2026.csv"}, []segmenttest.Row{anna, bob}, nil},
		"a newer version": {columns, map[string]string{"people/2026.csv": row("1", ten, "old@example.com", "Oslo", "False") + row("2", ten, "bob@example.com", "Rome", "") + row("1", eleven, "anna@example.com", "Oslo", "False")},
			[]string{"people/2026.csv"}, []segmenttest.Row{bob, person(3, anna.Values...)}, note("older versions of rows skipped: 1, deleted rows skipped: 0")},
		"the newer one first": {columns, map[string]string{"people/2026.csv": row("1", pm, "anna@example.com", "Oslo", "False") + row("1", eleven, "old@example.com", "Oslo", "False") + row("2", ten, "bob@example.com", "Rome", "")},
			[]string{"people/2026.csv"}, []segmenttest.Row{anna, person(3, bob.Values...)}, note("older versions of rows skipped: 1, deleted rows skipped: 0")},
		"at the same time, the later one": {columns, map[string]string{"people/2026.csv": row("1", ten, "old@example.com", "Oslo", "False") + row("1", ten, "anna@example.com", "Oslo", "False")},
			[]string{"people/2026.csv"}, []segmenttest.Row{person(2, anna.Values...)}, note("older versions of rows skipped: 1, deleted rows skipped: 0")},
		"deleted": {columns, map[string]string{"people/2026.csv": row("1", ten, "anna@example.com", "Oslo", "False") + row("3", ten, "c@example.com", "Rome", "False") + row("3", eleven, "", "", "True") + row("4", ten, "", "", "True")},
			[]string{"people/2026.csv"}, []segmenttest.Row{anna}, note("older versions of rows skipped: 1, deleted rows skipped: 2")},
		"deleted, and there again": {columns, map[string]string{"people/2026.csv": row("1", ten, "", "", "True") + row("1", eleven, "anna@example.com", "Oslo", "False")},
			[]string{"people/2026.csv"}, []segmenttest.Row{person(2, anna.Values...)}, note("older versions of rows skipped: 1, deleted rows skipped: 0")},
		"by years, as the model says": {columns, map[string]string{"people/2025.csv": row("1", ten, "anna@example.com", "Oslo", "False"), "people/2026.csv": row("2", ten, "bob@example.com", "Rome", "False"), "people/2024.csv": row("9", ten, "x@example.com", "", "")},
			[]string{"people/2026.csv", "people/2025.csv"}, []segmenttest.Row{anna, bob}, nil},
		"a snapshot": {columns, map[string]string{"people/Snapshot/2026-01_1768471200/2026-01.csv": row("1", ten, "anna@example.com", "Oslo", "False"), "people/2026-01.csv": row("9", ten, "x@example.com", "", "")},
			[]string{"people/Snapshot/2026-01_1768471200/2026-01.csv"}, []segmenttest.Row{anna}, nil},
		"no partitions":      {columns, map[string]string{"people/2025.csv": row("1", ten, "anna@example.com", "Oslo", "False"), "people/2026.csv": row("2", ten, "bob@example.com", "Rome", "False"), "people/2026.csv.txt": "x"}, nil, []segmenttest.Row{anna, bob}, nil},
		"no mark of deleted": {columns[:5], map[string]string{"people/2026.csv": row5("1", ten, "2026-01-15T10:00:00Z", "old@example.com", "Oslo") + row5("1", ten, "2026-01-15T11:00:00Z", "anna@example.com", "Oslo")}, []string{"people/2026.csv"}, []segmenttest.Row{person(2, anna.Values...)}, note("older versions of rows skipped: 1, deleted rows skipped: 0")},
		"a row not UTF-8":    {columns, map[string]string{"people/2026.csv": row("1", ten, "anna@example.com", "Oslo", "False") + row("2", ten, "bob@example.com", "R\xf3me", "")}, []string{"people/2026.csv"}, []segmenttest.Row{anna, badRow(2, segment.ProblemEncoding)}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFolder(t)
			for file, content := range test.files {
				f.write(t, file, content)
			}
			f.put(t, modelName, linkedModel(t, test.columns, test.listed...))
			infos, err := f.source.Segments(t.Context())
			require.NoError(t, err)
			require.Equal(t, []string{"people"}, namesOf(infos))
			info, err := f.source.Describe(t.Context(), "people")
			require.NoError(t, err)
			require.Equal(t, test.columns, info.Fields)
			readsFieldsAs(t, f.source, []string{linkID, "Email", "City"}, test.want, test.notes)
		})
	}
	f := newFolder(t)
	f.put(t, modelName, linkedModel(t, columns, "people/2026.csv"))
	_, err := f.source.Open(t.Context(), "people", nil, nil)
	require.ErrorIs(t, err, segment.ErrMalformed)
	require.ErrorContains(t, err, "segments/model.json names segments/people/2026.csv, which is not there")
}

// Folders with the changes of some minutes are no whole tables: people without
// a change would count as having left.
func TestFoldersWithChangesAreRefused(t *testing.T) {
	const changes = "2026-11-25T06.15.00Z"
	columns := []string{linkID, linkModified, "Email", "City", linkDeleted}
	for name, test := range map[string]struct {
		config Config
		files  map[string][]byte
	}{
		"many":         {Config{}, map[string][]byte{changes + "/people/2026.csv": nil, "2026-11-25T06.30.00Z/people/2026.csv": nil, "Changelog/changelog.info": []byte("x")}},
		"one":          {Config{Path: changes}, map[string][]byte{changes + "/" + modelName: linkedModel(t, columns, "people/2026.csv"), changes + "/people/2026.csv": []byte("1,1/1/2025 1:00:00 AM,a@example.com,Oslo,False\n")}},
		"by the model": {Config{}, map[string][]byte{modelName: linkedModel(t, columns, changes+"/people/2026.csv"), changes + "/people/2026.csv": nil}},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFolder(t)
			for name, content := range test.files {
				f.put(t, name, content)
			}
			_, err := f.read(t, test.config).Open(t.Context(), "people", nil, nil)
			require.ErrorIs(t, err, segment.ErrMalformed)
			require.ErrorContains(t, err, "holds folders with changes")
		})
	}
}
