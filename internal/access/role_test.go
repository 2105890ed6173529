package access_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/segment-export/segment-export/internal/access"
)

var roles = []access.Role{access.Nobody, access.Viewer, access.Contributor, access.Admin}

// least is written out here again, on purpose: a role is not changed in passing.
var least = map[access.Role][]string{
	access.Nobody: {"hello"},
	access.Viewer: {
		"whoami", "status", "export list", "export show", "runs list", "runs show",
	},
	access.Contributor: {
		"source list", "source show", "connection list", "connection show",
		"plan", "samples", "run", "runs pause", "runs resume", "runs approve", "runs cancel", "runs abandon", "runs rejects",
		"export add", "export edit", "export duplicate", "export attach", "export detach", "export remove",
	},
	access.Admin: {
		"access list", "access revoke", "access restore", "audit",
		"source add", "source edit", "source remove", "connection add", "connection edit", "connection test",
		"connection stop", "connection resume", "connection rotate-key", "connection share", "connection remove",
	},
}

func TestEveryCommandAgainstEveryRole(t *testing.T) {
	for needs, commands := range least {
		for _, command := range commands {
			got, ok := access.Required(command)
			require.True(t, ok, command)
			require.Equal(t, needs, got, command)
			for _, role := range roles {
				err := access.Check(access.Principal{Name: "anna", Role: role}, command)
				if role >= needs {
					require.NoError(t, err, "%s: %s", role, command)
					continue
				}
				var refused *access.NotAllowedError
				require.ErrorAs(t, err, &refused, "%s: %s", role, command)
				require.Equal(t, needs, refused.Needs)
				require.ErrorContains(t, err, "ask a")
				require.ErrorContains(t, err, strconv.Quote(command))
			}
		}
	}
}

func TestUnknownCommand(t *testing.T) {
	for _, command := range []string{"", "connection", "connection  add", "Run", "run ", "connection list\x00", "runs"} {
		_, ok := access.Required(command)
		require.False(t, ok, command)
		require.ErrorIs(t, access.Check(access.Principal{Name: "root", Role: access.Admin}, command), access.ErrUnknownCommand)
	}
}

func TestRefusalSaysWhoCanHelp(t *testing.T) {
	cases := []struct {
		role    access.Role
		command string
		says    string
	}{
		{access.Viewer, "run", `you are a viewer, and "run" needs a contributor: ask a contributor or an admin`},
		{access.Contributor, "connection add", `you are a contributor, and "connection add" needs an admin: ask an admin`},
		{access.Nobody, "whoami", `nobody has proven to ask for this command, and "whoami" needs a viewer: ask a viewer or an admin`},
	}
	for _, c := range cases {
		require.EqualError(t, access.Check(access.Principal{Name: "anna", Role: c.role}, c.command), c.says)
	}
	require.Equal(t, "role(9)", access.Role(9).String())
}

// TestEveryCommandHasARole reads the names from the source, so that a command
// that is added without a role is noticed here and not by its first user.
func TestEveryCommandHasARole(t *testing.T) {
	sources, err := filepath.Glob("../protocol/*.go")
	require.NoError(t, err)
	found := 0
	for _, source := range sources {
		for _, name := range commandNames(t, source) {
			_, known := access.Required(name)
			require.True(t, known, "%q has no role", name)
			found++
		}
	}
	require.Greater(t, found, 20)
}

// commandNames returns the strings of a file's blocks of names of commands.
func commandNames(t *testing.T, source string) []string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), source, nil, parser.ParseComments)
	require.NoError(t, err)
	var names []string
	for _, decl := range file.Decls {
		gen, ok := decl.(*ast.GenDecl)
		if !ok || gen.Tok != token.CONST || !strings.HasPrefix(gen.Doc.Text(), "The names of the commands") {
			continue
		}
		for _, spec := range gen.Specs {
			for _, value := range spec.(*ast.ValueSpec).Values {
				name, err := strconv.Unquote(value.(*ast.BasicLit).Value)
				require.NoError(t, err)
				names = append(names, name)
			}
		}
	}
	return names
}
