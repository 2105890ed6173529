package e2e

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/unicode"

	"github.com/segment-export/segment-export/activities"
	"github.com/segment-export/segment-export/internal/omnisend/omnisendtest"
	"github.com/segment-export/segment-export/internal/omnisend/sandbox"
	"github.com/segment-export/segment-export/internal/run"
)

// Files as spreadsheets and warehouses write them, each carried through a whole
// run: the same two people arrive, or the run says what is wrong and nothing of
// a row.
func TestFilesAsTheyArrive(t *testing.T) {
	t.Parallel()
	s := newShop(t, 10, sandbox.Options{Seed: 5})
	s.open(activities.Tuning{})
	s.must("connection", "add", "Spring shop", "--api-key-file", s.path("key.txt"), "--agree", "--calls-per-minute", "0")
	const head, anna, bob = "Id,Email,City\n", "1,anna@example.com,Oslo\n", "2,bob@example.com,Kraków\n"
	const plain = head + anna + bob
	written := func(e encoding.Encoding, text string) string {
		raw, err := e.NewEncoder().String(text)
		require.NoError(t, err)
		return raw
	}
	be, le := unicode.UTF16(unicode.BigEndian, unicode.UseBOM), unicode.UTF16(unicode.LittleEndian, unicode.UseBOM)
	for name, test := range map[string]struct {
		files   map[string]string
		flags   []string
		reason  string // of a run that fails
		rejects map[string]int
		notes   string
	}{
		"headerless":         {files: map[string]string{"people.csv": anna + bob}, reason: "the first line has none of the mapped columns"},
		"headerless-named":   {files: map[string]string{"people.csv": anna + bob}, flags: []string{"--columns", "Id,Email,City"}},
		"utf16be":            {files: map[string]string{"people.csv": written(be, plain)}},
		"utf16-told":         {files: map[string]string{"people.csv": written(be, plain)}, flags: []string{"--encoding", "utf-16"}},
		"utf16le-tabs":       {files: map[string]string{"people.csv": written(le, strings.ReplaceAll(plain, ",", "\t"))}},
		"sep":                {files: map[string]string{"people.csv": "sep=;\r\n" + strings.ReplaceAll(plain, ",", ";")}},
		"semicolons":         {files: map[string]string{"people.csv": "Id;Name, full;Email;City\n1;A, B;anna@example.com;Oslo\n2;;bob@example.com;Kraków\n"}},
		"delimiter":          {files: map[string]string{"people.csv": strings.ReplaceAll(plain, ",", "~")}, flags: []string{"--delimiter", "~"}},
		"columns":            {files: map[string]string{"people.csv": "\ufeff\ufeffId,,Email,Notes,City,Notes,,\n1,,anna@example.com,a,Oslo,b,,\n2,,bob@example.com,a,Kraków,b,,\n"}},
		"ragged":             {files: map[string]string{"people.csv": "Id,Email,City,More\n1,anna@example.com,Oslo,,,\n2,bob@example.com,Kraków\n3,c@example.com,Rome,,x\n"}, rejects: map[string]int{"wrong_column_count": 1}},
		"blank-rows":         {files: map[string]string{"people.csv": ",,\n\n,,\n" + plain + ",,\n"}, notes: "blank rows skipped: 3"},
		"quotes":             {files: map[string]string{"people.csv": plain + "3,c@example.com,\"5\\\" pipe\"\n4,,\n"}, rejects: map[string]int{"misplaced_quote": 1, "email_missing": 1}},
		"quotes-escaped":     {files: map[string]string{"people.csv": head + anna + "2,bob@example.com,\"Kraków \\\"x\\\"\"\n"}, flags: []string{"--quote-escape", "backslash"}},
		"cp1250":             {files: map[string]string{"people.csv": head + anna + strings.Repeat(written(charmap.Windows1250, "2,b@example.com,Łódź\n"), 6)}, reason: "name its encoding: starter source edit NAME --encoding windows-1250"},
		"cp1250-told":        {files: map[string]string{"people.csv": written(charmap.Windows1250, plain)}, flags: []string{"--encoding", "windows-1250"}},
		"utf16-unmarked":     {files: map[string]string{"people.csv": written(unicode.UTF16(unicode.LittleEndian, unicode.IgnoreBOM), plain)}},
		"cr-line-ends":       {files: map[string]string{"people.csv": strings.ReplaceAll(plain, "\n", "\r")}},
		"spaced-quotes":      {files: map[string]string{"people.csv": "\"Id\", \"Email\", \"City\"\n\"1\", \"anna@example.com\", \"Oslo\"\n\"2\", \"bob@example.com\", \"Kraków\"\n"}},
		"a-row-too-long":     {files: map[string]string{"people.csv": head + anna + "3,c@example.com," + strings.Repeat("x", 2<<20) + "\n" + bob}, rejects: map[string]int{"row_too_long": 1}},
		"web-page":           {files: map[string]string{"people.csv": "<!DOCTYPE html><p>anna@example.com</p>"}, reason: "the file is a web page or XML"},
		"only-changes":       {files: map[string]string{"2026-11-25T06.15.00Z/people/2026.csv": link("1", "10", "anna@example.com", "False")}, reason: "holds folders with changes"},
		"numbered-parts":     {files: map[string]string{"people-000000000000.csv": head + anna, "people-000000000001.csv": head + bob}},
		"folder-of-parts":    {files: map[string]string{"people/part-00000.csv": head + anna, "people/part-00001.csv": bob, "people/_SUCCESS": ""}},
		"big-letters":        {files: map[string]string{"people.CSV": plain}},
		"synapse-link":       {files: map[string]string{"model.json": linkedModel, "people/2025.csv": link("1", "10", "anna@example.com", "False") + link("3", "10", "c@example.com", "False"), "people/2026.csv": link("2", "10", "old@example.com", "False") + link("2", "11", "bob@example.com", "False") + link("3", "11", "", "True")}, notes: "older versions of rows skipped: 2, deleted rows skipped: 1"},
		"delta":              {files: map[string]string{"people/part-00000.parquet": "", "people/_delta_log/00000000000000000000.json": "{}"}, reason: "is a Delta table"},
		"rejects-fed-back":   {files: map[string]string{"people.csv": "Id,Email,City\n'-1,'anna@example.com,Oslo\n'=2,bob@example.com,Kraków\n"}},
		"workbook":           {files: map[string]string{"people.xlsx": workbook(t)}, flags: []string{"--sheet", "People"}},
		"lines":              {files: map[string]string{"people.ndjson": `{"Id":1,"Email":"anna@example.com","City":"Oslo"}` + "\n" + `{"Id":2,"Email":"bob@example.com"}` + "\n"}},
		"a-row-not-utf8-few": {files: map[string]string{"people.csv": plain + "3,c@example.com,\xf3\n"}, rejects: map[string]int{"invalid_utf8": 1}},
	} {
		t.Run(name, func(t *testing.T) {
			put := func(files map[string]string) {
				require.NoError(t, os.RemoveAll(s.path("cases", name)))
				for file, content := range files {
					path := s.path("cases", name, filepath.FromSlash(file))
					require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
					require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
				}
			}
			if put(test.files); test.reason != "" {
				put(map[string]string{"people.csv": plain}) // what is wrong comes later
			}
			// By its absolute path, which is as good below the files root.
			s.must(append([]string{"source", "add", name, "--kind", "files", "--path", s.path("cases", name)}, test.flags...)...)
			s.must("export", "add", name, "--connection", "Spring shop", "--source", name, "--segment", "people", "--id", "Id", "--map", "email=Email", "--map", "city=City",
				"--marker", "people=in_"+strings.ReplaceAll(name, "-", "_"))
			put(test.files)
			code, out, errs := s.starter("run", name, "--yes", "--output", "json")
			var r run.Report
			require.NoError(t, json.Unmarshal([]byte(s.must("runs", "show", name, "--output", "json")), &r))
			require.NoError(t, r.Check())
			if test.reason != "" {
				require.Equal(t, 1, code, "%s%s", out, errs)
				require.Equal(t, run.Failed, r.Status)
				require.Contains(t, r.Reason, test.reason)
				require.NotContains(t, out+errs, "example.com")
				return
			}
			require.Contains(t, []int{0, 3}, code, "%s%s", out, errs)
			require.Equal(t, 2, r.Contacts, "%s%s", out, errs)
			if test.rejects == nil {
				test.rejects = map[string]int{}
			}
			require.Equal(t, test.rejects, r.Reasons)
			require.Contains(t, strings.Join(r.Notes, "\n"), test.notes)
			require.Subset(t, keys(s.sandbox.Contacts(omnisendtest.Brand)), []string{"anna@example.com", "bob@example.com"})
		})
	}
}

const linkedModel = `{"name": "cdm", "entities": [{"name": "people", "attributes": [{"name": "Id"}, {"name": "SinkCreatedOn"}, {"name": "SinkModifiedOn"}, {"name": "Email"}, {"name": "City"}, {"name": "IsDelete"}],
	"partitions": [{"location": "https://a.dfs.core.windows.net/c/people/2025.csv"}, {"location": "https://a.dfs.core.windows.net/c/people/2026.csv"}]}]}`

func link(id, hour, email, deleted string) string {
	return `"` + strings.Join([]string{id, "1/1/2025 1:00:00 AM", "1/15/2026 " + hour + ":00:00 AM", email, "Oslo", deleted}, `","`) + "\"\n"
}

// workbook is one with two sheets, of which the second has the people.
func workbook(t *testing.T) string {
	t.Helper()
	const main, office = `xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"`, "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
	var rows strings.Builder
	for _, row := range [][]string{{"Id", "Email", "City"}, {"1", "anna@example.com", "Oslo"}, {"2", "bob@example.com", "Kraków"}} {
		rows.WriteString("<row>")
		for _, value := range row {
			rows.WriteString(`<c t="inlineStr"><is><t>` + value + "</t></is></c>")
		}
		rows.WriteString("</row>")
	}
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, f := range [][2]string{
		{"xl/workbook.xml", "<workbook " + main + ` xmlns:r="` + office + `"><sheets><sheet name="Read me" r:id="a"/><sheet name="People" r:id="b"/></sheets></workbook>`},
		{"xl/_rels/workbook.xml.rels", `<Relationships><Relationship Id="a" Type="` + office + `/worksheet" Target="worksheets/1.xml"/><Relationship Id="b" Type="` + office + `/worksheet" Target="worksheets/2.xml"/></Relationships>`},
		{"xl/worksheets/1.xml", "<worksheet " + main + "><sheetData/></worksheet>"},
		{"xl/worksheets/2.xml", "<worksheet " + main + "><sheetData>" + rows.String() + "</sheetData></worksheet>"},
	} {
		w, err := z.Create(f[0])
		require.NoError(t, err)
		_, err = io.WriteString(w, f[1])
		require.NoError(t, err)
	}
	require.NoError(t, z.Close())
	return b.String()
}
