package manifest

import (
	"bytes"
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/segment-export/segment-export/internal/catalogue"
	"github.com/segment-export/segment-export/internal/contact"
)

const good = `---
kind: connection
name: Spring shop
spec:
  shared: admins-and-contributors
  share: 0.5
  calls_per_minute: 400
---
# a comment
kind: export
name: 2027
spec:
  connection: Spring shop
  source: crm
  segments: [{segment: buyers}, {segment: old, marker: m_old}]
  mapping: &fields
    email: Email
    property:points:number: Points
  guards: {shrunk: 0.5}
`

func TestRead(t *testing.T) {
	docs, err := Read([]byte(good))
	require.NoError(t, err)
	require.Len(t, docs, 2)
	require.Equal(t, Document{Kind: "connection", Name: "Spring shop", Line: 2,
		Spec: json.RawMessage(`{"calls_per_minute":400,"share":0.5,"shared":"admins-and-contributors"}`)}, docs[0])
	require.Equal(t, "2027", docs[1].Name, "a name is a text however it looks")
	var e catalogue.ExportSpec
	require.NoError(t, json.Unmarshal(docs[1].Spec, &e))
	require.Equal(t, []catalogue.ExportedSegment{{Segment: "buyers"}, {Segment: "old", Marker: "m_old"}}, e.Segments)
	require.Equal(t, "Points", e.Mapping["property:points:number"])
	require.Equal(t, map[catalogue.Guard]catalogue.Threshold{"shrunk": 0.5}, e.Guards)

	docs, err = Read([]byte(`{"kind":"connection","name":"x","spec":{"share":1}}`))
	require.NoError(t, err, "JSON is YAML")
	require.Len(t, docs, 1)
	docs, err = Read(nil)
	require.NoError(t, err)
	require.Empty(t, docs)
}

// mistakes are files with one mistake each, and what Read says of it.
var mistakes = map[string]struct{ file, want string }{
	"unknown key":       {"kind: export\nname: x\nspec:\n  source: s\n  segmets: []\n", `5:3: a spec of kind export has no "segmets" (did you mean "segments"?)`},
	"unknown key below": {"kind: export\nname: x\nspec:\n  segments:\n    - {segment: a, markr: b}\n", `5:20: segments has no "markr" (did you mean "marker"?)`},
	"kept by worker":    {"kind: connection\nname: x\nspec: {consent: {}}\n", `3:8: a spec of kind connection has no "consent"`},
	"no secret":         {"kind: connection\nname: x\nspec: {key: k}\n", `3:8: a spec of kind connection has no "key"`},
	"metadata":          {"kind: export\nname: x\nspec: {version: 3}\n", `3:8: a spec of kind export has no "version"`},
	"twice":             {"kind: export\nname: x\nspec:\n  id: a\n  id: b\n", `5:3: "id" is given twice`},
	"kind":              {"kind: exprot\nname: x\nspec: {}\n", `1:7: there is no kind "exprot" (did you mean "export"?)`},
	"no name":           {"kind: export\nspec: {}\n", "1:1: a document needs kind, name and spec"},
	"no spec":           {"kind: export\nname: x\n", "has no spec"},
	"bad name":          {"kind: export\nname: a/b\nspec: {}\n", "2:7: the name is not valid: "},
	"no document":       {"- kind: export\n", "1:1: the document must have names with values"},
	"number":            {"kind: connection\nname: x\nspec: {share: much}\n", "3:15: share must be a number"},
	"not a number":      {"kind: connection\nname: x\nspec: {share: .nan}\n", "3:15: share must be a number"},
	"whole number":      {"kind: connection\nname: x\nspec: {max_contacts: 1.5}\n", "3:22: max_contacts must be a whole number"},
	"list":              {"kind: export\nname: x\nspec: {segments: a}\n", "3:18: segments must be a list"},
	"text":              {"kind: export\nname: x\nspec: {id: [a]}\n", "3:12: id must be a text"},
	"one of":            {"kind: export\nname: x\nspec: {leavers: unmak}\n", `3:17: leavers is "unmak" (did you mean "unmark"?)`},
	"same object twice": {"kind: export\nname: x\nspec: {}\n---\nkind: export\nname: x\nspec: {}\n", `5:1: export "x" is in line 1 already`},
	"broken":            {"kind: export\nname: [x\n", "1:1: "},
	"loop":              {"kind: export\nname: x\nspec: &a\n  mapping: *a\n", "stands"},
}

// Each mistake has its line and column, and all are reported at once.
func TestMistakesHaveTheirPlaces(t *testing.T) {
	for name, c := range mistakes {
		t.Run(name, func(t *testing.T) {
			_, err := Read([]byte(c.file))
			if name == "loop" { // refused by the library or here, but it ends
				require.Error(t, err)
				return
			}
			if name == "broken" {
				require.Regexp(t, `^\d+:\d+: `, err.Error())
				return
			}
			require.ErrorContains(t, err, c.want)
		})
	}
	_, err := Read([]byte("kind: export\nname: x\nspec: {a: 1, b: 2}\n---\nkind: y\nname: z\nspec: {}\n"))
	require.Len(t, strings.Split(err.Error(), "\n"), 3)
}

// What show gives is what apply takes, and nothing but what people decide.
func TestOfAndBack(t *testing.T) {
	raw, err := json.Marshal(catalogue.Export{Meta: catalogue.Meta{Name: "x", Version: 3, CreatedBy: "ann"}, Brand: "b",
		ExportSpec: catalogue.ExportSpec{Source: "crm", Segments: []catalogue.ExportedSegment{{Segment: "s", Marker: "m"}},
			Mapping: contact.Mapping{"email": "E"}, Leavers: "keep"}})
	require.NoError(t, err)
	d, err := Of(catalogue.KindExport, raw)
	require.NoError(t, err)
	require.Equal(t, `{"source":"crm","segments":[{"segment":"s","marker":"m"}],"mapping":{"email":"E"},"leavers":"keep"}`, string(d.Spec))
	docs, err := Read(d.JSON())
	require.NoError(t, err)
	require.JSONEq(t, string(d.Spec), string(docs[0].Spec))
}

func TestDifferences(t *testing.T) {
	for _, c := range []struct {
		before, after string
		want          []string
	}{
		{`{}`, `{"a":[],"b":"","c":{}}`, nil},
		{`{"a":1}`, `{"a":1}`, nil},
		{`{"a":1,"m":{"x":"1","y":"2"}}`, `{"a":2,"m":{"y":"2","z":"3"}}`, []string{"~ a: 1 -> 2", `- m.x: "1"`, `+ m.z: "3"`}},
		{`{"l":[{"s":"a"},{"s":"b"}]}`, `{"l":[{"s":"a","m":"c"}]}`, []string{`+ l[0].m: "c"`, `- l[1].s: "b"`}},
		{``, `{"l":["x"]}`, []string{`+ l[0]: "x"`}},
	} {
		all, err := Differences(json.RawMessage(c.before), json.RawMessage(c.after))
		require.NoError(t, err)
		var got []string
		for _, d := range all {
			got = append(got, d.String())
		}
		require.Equal(t, c.want, got, "%s %s", c.before, c.after)
	}
}

// The schema for editors takes what Read takes, and refuses what Read refuses
// but for what a schema cannot say.
func TestSchemaAgreesWithRead(t *testing.T) {
	raw, err := Schema()
	require.NoError(t, err)
	definition, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
	require.NoError(t, err)
	c := jsonschema.NewCompiler()
	require.NoError(t, c.AddResource("schema.json", definition))
	schema, err := c.Compile("schema.json")
	require.NoError(t, err)

	for document := range strings.SplitSeq(good, "---\n") {
		if document != "" {
			require.NoError(t, schema.Validate(decoded(t, document)), document)
		}
	}
	beyond := []string{"twice", "bad name", "same object twice", "not a number", "broken", "loop"}
	for name, m := range mistakes {
		if !slices.Contains(beyond, name) {
			require.Error(t, schema.Validate(decoded(t, m.file)), name)
		}
	}
}

// decoded is a YAML document as a JSON Schema sees it.
func decoded(t *testing.T, document string) any {
	t.Helper()
	var v any
	require.NoError(t, yaml.Unmarshal([]byte(document), &v))
	raw, err := json.Marshal(v)
	require.NoError(t, err)
	v, err = jsonschema.UnmarshalJSON(bytes.NewReader(raw))
	require.NoError(t, err)
	return v
}

const schemaFile = "../../docs/configuration.schema.json"

// The schema for editors is made of the types: write it again with
// UPDATE_SCHEMA=1 go test ./internal/manifest.
func TestSchemaIsThatOfTheTypes(t *testing.T) {
	schema, err := Schema()
	require.NoError(t, err)
	if os.Getenv("UPDATE_SCHEMA") != "" {
		require.NoError(t, os.WriteFile(schemaFile, schema, 0o600))
	}
	held, err := os.ReadFile(schemaFile)
	require.NoError(t, err)
	require.Equal(t, string(held), string(schema))
}

// Every field that a description is of is there.
func TestDescriptionsAreOfFields(t *testing.T) {
	for path := range descriptions {
		kind, name, _ := strings.Cut(path, "/")
		found := false
		for _, f := range specFields(catalogue.Kind(kind)) {
			found = found || f.name == name
		}
		require.True(t, found, path)
	}
}

func FuzzRead(f *testing.F) {
	f.Add(good)
	f.Add("a: &a [*a]")
	f.Add("kind: export\nname: x\nspec: {mapping: {<<: {email: E}}}")
	f.Fuzz(func(t *testing.T, file string) {
		docs, err := Read([]byte(file))
		if err != nil {
			require.NotEmpty(t, err.Error())
			return
		}
		for _, d := range docs {
			require.True(t, json.Valid(d.Spec))
		}
	})
}
