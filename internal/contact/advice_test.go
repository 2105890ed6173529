package contact

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Each reason that any package has for not sending a row comes with advice.
func TestEachReasonHasAdvice(t *testing.T) {
	found := map[Reason]bool{}
	files := token.NewFileSet()
	require.NoError(t, filepath.WalkDir("..", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		parsed, err := parser.ParseFile(files, path, nil, 0)
		if err != nil {
			return err
		}
		ast.Inspect(parsed, func(n ast.Node) bool {
			spec, ok := n.(*ast.ValueSpec)
			if !ok || len(spec.Values) == 0 || !isReason(spec.Type, parsed.Name.Name) {
				return true
			}
			if literal, ok := spec.Values[0].(*ast.BasicLit); ok {
				text, err := strconv.Unquote(literal.Value)
				require.NoError(t, err)
				found[Reason(text)] = true
			}
			return true
		})
		return nil
	}))
	require.Greater(t, len(found), 15)
	for r := range found {
		require.NotEmpty(t, r.Advice(), "%s", r)
	}
	for r := range advice {
		require.True(t, found[r], "%s is no reason", r)
	}
	for _, r := range []Reason{"400 identifiers[0].id invalid_format", "422", "no_code", "no_verdict_after_5_tries"} {
		require.NotEmpty(t, r.Advice(), "%s", r)
	}
	for _, r := range []Reason{"", "4000", "other"} {
		require.Empty(t, r.Advice(), "%s", r)
	}
}

// isReason says that a type is that of reasons or of the problems of sources.
func isReason(of ast.Expr, in string) bool {
	name := ""
	switch e := of.(type) {
	case *ast.Ident:
		name = in + "." + e.Name
	case *ast.SelectorExpr:
		if x, ok := e.X.(*ast.Ident); ok {
			name = x.Name + "." + e.Sel.Name
		}
	}
	return name == "contact.Reason" || name == "segment.Problem"
}
