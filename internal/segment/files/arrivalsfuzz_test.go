package files

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/segment-export/segment-export/internal/segment"
	"github.com/segment-export/segment-export/internal/segment/segmenttest"
)

// secretValue stands in rows, where no message may take it from.
const secretValue = "anna.private"

// readBytes reads a file of CSV in memory, from its start or a position.
func readBytes(t *testing.T, d dialect, data []byte, from *position) (rows []segmenttest.Row, at []position, err error) {
	t.Helper()
	of := set{csv: d}
	r, err := of.csvRows(t.Context(), bytesContent(data), int64(len(data)), "file", asked, from)
	if err != nil {
		return nil, nil, err
	}
	at = append(at, r.position())
	for {
		row, err := r.next()
		if err != nil {
			return rows, at, err
		}
		rows = append(rows, segmenttest.Row{Number: row.Number, Values: append([]string(nil), row.Values...), Problem: row.Problem})
		at = append(at, r.position())
	}
}

// checkReading reads it and from each of its rows on: without a panic, the same
// rest each time, and no error that holds a value.
func checkReading(t *testing.T, d dialect, data []byte) {
	t.Helper()
	rows, at, failed := readBytes(t, d, data, nil)
	if failed != io.EOF { //nolint:errorlint // nothing wraps it
		_, missing := errors.AsType[*segment.MissingFieldsError](failed)
		require.True(t, missing || errors.Is(failed, segment.ErrMalformed) || errors.Is(failed, segment.ErrEmpty), "%v", failed)
		require.NotContains(t, failed.Error(), secretValue)
	}
	for i := 0; i < len(at); i += 1 + len(at)/20 {
		rest, _, err := readBytes(t, d, data, &at[i])
		require.Equal(t, append([]segmenttest.Row(nil), rows[i:]...), rest)
		require.Equal(t, failed.Error(), err.Error())
	}
}

const secretRows = "1," + secretValue + "@example.com," + secretValue + "\n2,\"" + secretValue + "\",\"x\ny\"\n"

// FuzzHeader puts anything above rows.
func FuzzHeader(f *testing.F) {
	for _, seed := range []string{"Id,Email,City\n", "\ufeff\ufeff\"Id\",Email, City ,,\n", "sep=;\r\nId;Email;City\n", ",,\n\nId,Email,City,City\n", "\xff\xfeI\x00d\x00", "Id,\"Em", ""} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, head []byte) {
		if bytes.Contains(head, []byte(secretValue)) {
			return
		}
		checkReading(t, dialect{}, append(bytes.Clone(head), secretRows...))
	})
}

// FuzzSeparator separates columns by anything, told or found out.
func FuzzSeparator(f *testing.F) {
	for _, seed := range []string{",", ";", "\t", "|", "~", "é", "\x00"} {
		f.Add(seed, true, "Id,Email,City\n"+secretRows)
		f.Add(seed, false, "Id,a;b,Email,City\n,,;\n"+secretRows)
	}
	f.Fuzz(func(t *testing.T, separator string, told bool, text string) {
		comma, err := commaOf(separator)
		if err != nil || strings.Contains(text[:strings.IndexByte(text+"\n", '\n')], secretValue) {
			return
		}
		d := dialect{}
		if told {
			d.comma = comma
		}
		checkReading(t, d, []byte(strings.ReplaceAll(text, ",", separator)))
	})
}

// FuzzQuotes puts quotes and backslashes anywhere in rows.
func FuzzQuotes(f *testing.F) {
	for _, seed := range []string{"1,\"a\"b\",c\n", "1,\"a\n2,b,c\n", "1,5\" x,\"c\nd\"\n", `1,"a \"b\" \\",c` + "\n", "1,\"\"\"\"\"x,\n\"\n", "\"\\", "a\r\"\r\n"} {
		f.Add([]byte(seed), false)
		f.Add([]byte(seed), true)
	}
	f.Fuzz(func(t *testing.T, rows []byte, escape bool) {
		checkReading(t, dialect{escape: escape}, append([]byte("Id,Email,City\n"+secretRows), append(bytes.Clone(rows), secretRows...)...))
	})
}
