package reason

import (
	"encoding/json"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

func TestText(t *testing.T) {
	long := strings.Repeat("ł", MaxBytes)
	tests := map[string]struct{ in, want string }{
		"stays as it is":         {"line 7: the row is too long; split the file", "line 7: the row is too long; split the file"},
		"one line":               {"first\r\n\tsecond\u2028third", "first second third"},
		"no escape sequences":    {"red \x1b[31m\u009b and \u202eturned", "red [31m and turned"},
		"valid UTF-8":            {"caf\xe9", "caf\ufffd"},
		"bounded":                {long, strings.Repeat("ł", (MaxBytes-len(ellipsis))/2) + ellipsis},
		"bounded whatever it is": {strings.Repeat("\xff", 1<<20), strings.Repeat("\ufffd", 1)},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := Clean(test.in)
			require.Equal(t, test.want, string(got))
			require.LessOrEqual(t, len(got), MaxBytes)
			require.True(t, utf8.ValidString(string(got)))
			require.Equal(t, got, Clean(string(got)), "cleaning a clean text changes nothing")
		})
	}
}

// However a text came to be, what leaves is clean.
func TestTextIsEncodedClean(t *testing.T) {
	encoded, err := json.Marshal(struct{ Reason Text }{Text(strings.Repeat("a\n", MaxBytes))})
	require.NoError(t, err)
	var back struct{ Reason Text }
	require.NoError(t, json.Unmarshal(encoded, &back))
	require.Len(t, string(back.Reason), MaxBytes)
	require.NotContains(t, string(back.Reason), "\n")
}

func TestNames(t *testing.T) {
	require.Equal(t, `"Email"`, Names("Email"))
	require.Equal(t, `"Email", "a\u202eb"`, Names("Email", "a\u202eb"))
	require.Empty(t, Names())
	require.Equal(t, strconv.Quote(strings.Repeat("ł", maxName)+ellipsis), Names(strings.Repeat("ł", 100_000)))
	many := make([]string, 100_000)
	for i := range many {
		many[i] = strings.Repeat("c", 90)
	}
	list := Names(many...)
	require.Equal(t, maxNames, strings.Count(list, `"ccc`))
	require.Contains(t, list, " and 99980 more")
	require.Less(t, len(list), MaxBytes)
}
