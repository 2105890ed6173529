package files

import (
	"fmt"
	"strings"
)

// nameList lists columns that were asked for.
func nameList(names []string) string {
	quoted := make([]string, 0, len(names))
	for _, name := range names[:min(len(names), 20)] {
		quoted = append(quoted, fmt.Sprintf("%.60q", name))
	}
	return strings.Join(quoted, ", ")
}
