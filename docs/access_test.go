package docs_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/segment-export/segment-export/internal/access"
)

var update = flag.Bool("update", false, "rewrite the table of commands in docs/access.md")

// commandTable lists all commands with the least role for each.
func commandTable() string {
	var b strings.Builder
	b.WriteString("| role | commands |\n|---|---|\n")
	for role := access.Nobody; role <= access.Admin; role++ {
		var names []string
		for _, c := range access.Commands {
			if c.Role != role {
				continue
			}
			name := c.Name
			if c.Audited() {
				name += "\u00a0*"
			}
			names = append(names, name)
		}
		fmt.Fprintf(&b, "| %s | %s |\n", role, strings.Join(names, ", "))
	}
	return b.String()
}

// The page about access lists the commands as they are specified. To rewrite
// it: go test ./docs -run Access -update.
func TestThePageAboutAccessListsTheCommands(t *testing.T) {
	const page = "docs/access.md"
	table := regexp.MustCompile(`(?m)^\| role \| commands \|\n(\|.*\n)+`)
	text := read(t, page)
	require.Regexp(t, table, text)
	if *update {
		text = table.ReplaceAllLiteralString(text, commandTable())
		require.NoError(t, os.WriteFile(filepath.Join(root, page), []byte(text), 0o600))
	}
	require.Equal(t, commandTable(), table.FindString(text))
}
