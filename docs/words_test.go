package docs_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// root is the repository, as seen from here.
const root = ".."

// unwanted are words and phrasings that read as if translated, or that the
// glossary has another word for.
var unwanted = []struct{ pattern, instead string }{
	{`anew`, "again, or a verb with re-"},
	{`whoever|whomever|somebody|whosoever`, "anyone who, a person, another user"},
	{`(is|are|was|were|be|been|being) told`, "the message says, the worker reports"},
	{`(go|goes|going|went|gone) on`, "continue, run, happen"},
	{`by (itself|themselves)`, "automatically"},
	{`what (becomes|became) of`, "what happens to"},
	{`as (it|they) stands?|how (it|they|everything) stands?`, "the current state"},
	{`begun`, "started"},
	{`none of (its|their) own`, "no"},
	{`has it that`, "says that"},
	{`is nothing that`, "does not"},
	{`(is|are) to be`, "must be"},
	{`this very`, "this"},
	{`tak(e|es|en) \w+ for`, "mistake for, identify as"},
	{`shuts? out|let \w+ in again`, "revoke access, restore access"},
	{`br(eak|eaks|oken|oke|eaking) off`, "interrupt, stop"},
	{`mend(s|ed|ing)?`, "fix, repair"},
	{`out of the way`, "aside"},
	{`(at|in) (its|their|his) hands?|was at hand|were at hand`, "in flight, available"},
	{`let go of`, "release"},
	{`does nothing any more`, "has stopped"},
	{`is no (time|number|kind|name|place|date|file|folder|JSON|URL)`, "is not a"},
	{`lest|whence|thereof|whereof|hitherto|ere|nought`, "a modern word"},
	{`waits for (you|somebody)`, "needs your attention"},
	{`ends well|runs well again`, "succeeds"},
}

// allowed are places where an unwanted phrasing is right, each as it is
// written, with the reason.
var allowed = map[string]string{
	"goes on sale": "an ordinary verb with a preposition",
	"there is no":  "says what does not exist",
	"There is no":  "the same",
	`json:"begun`:  "a name in recorded histories",
}

var patterns = func() (all []*regexp.Regexp) {
	for _, u := range unwanted {
		all = append(all, regexp.MustCompile(`(?i)\b(?:`+u.pattern+`)\b`))
	}
	return all
}()

// finding is an unwanted phrasing in a text.
type finding struct {
	line          int // of the text, from 1
	text, instead string
}

// look returns the unwanted phrasings of a text.
func look(text string) (found []finding) {
	for a := range allowed {
		text = strings.ReplaceAll(text, a, strings.Repeat("_", len(a)))
	}
	flat := strings.ReplaceAll(text, "\n", " ")
	for i, p := range patterns {
		for _, at := range p.FindAllStringIndex(flat, -1) {
			found = append(found, finding{1 + strings.Count(text[:at[0]], "\n"), flat[at[0]:at[1]], unwanted[i].instead})
		}
	}
	return found
}

// pages are the texts for people outside of Go files.
func pages(t *testing.T) []string {
	t.Helper()
	all, err := filepath.Glob("*.md")
	require.NoError(t, err)
	for i, p := range all {
		all[i] = filepath.Join("docs", p)
	}
	return append(all, "README.md", "SECURITY.md", "CONTRIBUTING.md")
}

// settings are files of other kinds whose comments people read.
var settings = []string{
	"Makefile", "compose.yaml", "deployments/docker/Dockerfile", "deployments/helm/segment-export/values.yaml",
	"deployments/helm/segment-export/templates/deployment.yaml", "deployments/helm/segment-export/templates/NOTES.txt",
	"deployments/prometheus/alerts.yml", "deployments/prometheus/prometheus.yml",
	"deployments/systemd/segment-export-standalone.service", "deployments/systemd/segment-export-worker.service",
}

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, name))
	require.NoError(t, err)
	return string(text)
}

var (
	fence = regexp.MustCompile("(?ms)^[ \t]*```.*?^[ \t]*```[ \t]*$")
	span  = regexp.MustCompile("`[^`\n]*`")
)

// prose blanks out code: what programs print is checked where it is written.
func prose(markdown string) string {
	blank := func(code string) string {
		return strings.Map(func(r rune) rune {
			if r == '\n' {
				return r
			}
			return '.'
		}, code)
	}
	return span.ReplaceAllStringFunc(fence.ReplaceAllStringFunc(markdown, blank), blank)
}

func TestPagesAreInPlainEnglish(t *testing.T) {
	for _, page := range pages(t) {
		for _, f := range look(prose(read(t, page))) {
			t.Errorf("%s:%d: %q; write: %s", page, f.line, f.text, f.instead)
		}
	}
	for _, file := range settings {
		for _, f := range look(read(t, file)) {
			t.Errorf("%s:%d: %q; write: %s", file, f.line, f.text, f.instead)
		}
	}
}

func TestGoFilesAreInPlainEnglish(t *testing.T) {
	require.NoError(t, filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (strings.HasPrefix(d.Name(), ".") && path != root || d.Name() == "bin" || d.Name() == "node_modules") {
			return filepath.SkipDir
		}
		if d.IsDir() || filepath.Ext(path) != ".go" || d.Name() == "words_test.go" { // which has them all
			return nil
		}
		name, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		found, err := inGo(path, name)
		for _, f := range found {
			t.Error(f)
		}
		return err
	}))
}

// inGo returns the unwanted phrasings in a file's strings and comments.
func inGo(path, name string) (found []string, err error) {
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, path, nil, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	note := func(at token.Pos, text string) {
		for _, f := range look(text) {
			found = append(found, fmt.Sprintf("%s:%d: %q; write: %s", name, files.Position(at).Line+f.line-1, f.text, f.instead))
		}
	}
	for _, group := range file.Comments {
		note(group.Pos(), strings.TrimSuffix(group.Text(), "\n"))
	}
	ast.Inspect(file, func(n ast.Node) bool {
		if s, ok := n.(*ast.BasicLit); ok && s.Kind == token.STRING {
			if text, err := strconv.Unquote(s.Value); err == nil {
				note(s.Pos(), text)
			}
		}
		return true
	})
	return found, nil
}

func TestLook(t *testing.T) {
	for text, want := range map[string]string{
		"The run goes\non.":                  "goes on",
		"Whoever has it":                     "Whoever",
		"a begun run":                        "begun",
		"It was told so.":                    "was told",
		"a renewal, something, the begonias": "",
	} {
		var got string
		for _, f := range look(text) {
			got += f.text
		}
		require.Equal(t, want, got, text)
	}
	require.Equal(t, 2, look("one\ntwo anew")[0].line)
	require.Equal(t, "a ......... b\n...\n...\n...\nc", prose("a `is told` b\n```\nxyz\n```\nc"))
}
