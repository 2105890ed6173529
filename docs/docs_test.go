// Package docs_test checks the pages that people read: their words, their
// links, and what they say about commands, options and metrics.
package docs_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var (
	link    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading = regexp.MustCompile(`(?m)^#+ +(.+)$`)
	noMark  = regexp.MustCompile(`[^\p{L}\p{N} _-]`)
)

// anchors returns the anchors of a page's headings, as GitHub makes them.
func anchors(markdown string) map[string]bool {
	all := map[string]bool{}
	for _, h := range heading.FindAllStringSubmatch(fence.ReplaceAllString(markdown, ""), -1) {
		all[strings.ReplaceAll(noMark.ReplaceAllString(strings.ToLower(strings.TrimSpace(h[1])), ""), " ", "-")] = true
	}
	return all
}

func TestLinksLeadSomewhere(t *testing.T) {
	for _, page := range pages(t) {
		for _, m := range link.FindAllStringSubmatch(prose(read(t, page)), -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			target, anchor, _ := strings.Cut(m[1], "#")
			to := page
			if target != "" {
				to = filepath.Join(filepath.Dir(page), target)
			}
			if _, err := os.Stat(filepath.Join(root, to)); err != nil {
				t.Errorf("%s: %s: there is no such file", page, m[1])
				continue
			}
			if anchor != "" && !anchors(read(t, to))[anchor] {
				t.Errorf("%s: %s: there is no such heading", page, m[1])
			}
		}
	}
}

// The map lists each page once, in one of its four parts.
func TestMapListsEachPageOnce(t *testing.T) {
	parts := []string{"Tutorial", "How-to guides", "Reference", "Explanation"}
	page := read(t, "docs/README.md")
	listed := map[string]int{}
	var found []string
	for _, section := range strings.Split(page, "\n## ")[1:] {
		title, body, _ := strings.Cut(section, "\n")
		found = append(found, title)
		for line := range strings.Lines(body) {
			if m := link.FindStringSubmatch(line); m != nil && strings.HasPrefix(line, "- ") {
				listed[m[1]]++
			}
		}
	}
	require.Equal(t, parts, found)
	all, err := filepath.Glob("*.md")
	require.NoError(t, err)
	for _, name := range all {
		if name != "README.md" {
			require.Equal(t, 1, listed[name], "%s in docs/README.md", name)
		}
	}
}

func TestPagesNameEachMetric(t *testing.T) {
	page := read(t, "docs/metrics.md")
	metric := regexp.MustCompile(`(?:counter|desc|Name:)[( ]"([a-z_]+)"`)
	count := 0
	for _, file := range []string{"metrics.go", "state.go"} {
		for _, m := range metric.FindAllStringSubmatch(read(t, "internal/metrics/"+file), -1) {
			count++
			if !strings.Contains(page, "| `segment_export_"+m[1]+"`") && !strings.Contains(page, "| `segment_export_"+m[1]+"{") {
				t.Errorf("docs/metrics.md lacks segment_export_%s", m[1])
			}
		}
	}
	require.Equal(t, count, strings.Count(page, "| `segment_export_"), "docs/metrics.md names a metric twice, or one that does not exist")
}

// Options of worker, standalone and sandbox that pages name exist. Those of the
// starter are checked beside its commands.
func TestPagesNameOptionsThatExist(t *testing.T) {
	programs := regexp.MustCompile(`(?:^|[\s/$])(worker|standalone|sandbox) (?:[a-z]+ )*?(--\S.*)$`)
	options := map[string]bool{"help": true, "version": true}
	for _, dir := range []string{"worker", "worker/service", "deployments/standalone/program", "deployments/sandbox"} {
		for name := range flagNames(t, dir) {
			options[name] = true
		}
	}
	require.Contains(t, options, "data-dir")
	option := regexp.MustCompile(`--([a-z][a-z-]*)`)
	for _, page := range pages(t) {
		for _, code := range codeOf(read(t, page)) {
			m := programs.FindStringSubmatch(code)
			if m == nil || strings.Contains(code, "temporal worker ") { // a command of Temporal's own
				continue
			}
			for _, o := range option.FindAllStringSubmatch(m[2], -1) {
				if !options[o[1]] {
					t.Errorf("%s: %s: %s has no option --%s", page, code, m[1], o[1])
				}
			}
		}
	}
}

// flagNames returns the names of the options that a package defines.
func flagNames(t *testing.T, dir string) map[string]bool {
	t.Helper()
	names := map[string]bool{}
	files, err := filepath.Glob(filepath.Join(root, dir, "*.go"))
	require.NoError(t, err)
	for _, name := range files {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		require.NoError(t, err)
		ast.Inspect(file, func(n ast.Node) bool {
			pair, ok := n.(*ast.KeyValueExpr)
			if !ok {
				return true
			}
			key, isName := pair.Key.(*ast.Ident)
			value, isText := pair.Value.(*ast.BasicLit)
			if isName && key.Name == "Name" && isText {
				if text, err := strconv.Unquote(value.Value); err == nil {
					names[text] = true
				}
			}
			return true
		})
	}
	return names
}

// codeOf returns the lines of a page's code, continued ones joined.
func codeOf(markdown string) (lines []string) {
	markdown = strings.ReplaceAll(markdown, "\\\n", " ")
	for _, block := range fence.FindAllString(markdown, -1) {
		lines = append(lines, strings.Split(block, "\n")...)
	}
	for _, code := range span.FindAllString(fence.ReplaceAllString(markdown, ""), -1) {
		lines = append(lines, strings.Trim(code, "`"))
	}
	return lines
}
