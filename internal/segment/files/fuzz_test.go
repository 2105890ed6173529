package files

import (
	"io"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/segment-export/segment-export/internal/segment"
	"github.com/segment-export/segment-export/internal/segment/segmenttest"
)

func FuzzModel(f *testing.F) {
	for _, seed := range []string{
		`{"entities": [{"name": "Gold", "attributes": [{"name": "id"}], "partitions": [{"location": "https://x/Gold/2026/11/25/0615/Gold_1.csv", "fileFormatSettings": {"delimiter": ";"}}]}]}`,
		"\ufeff{}", `{"entities": null}`, `{"entities": [{"name": "a", "partitions": [{"location": "%"}]}]}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := parseModel(data, "model.json")
		if err != nil {
			require.ErrorIs(t, err, segment.ErrMalformed)
			return
		}
		for _, e := range m.Entities {
			d, err := e.dialect(Config{}, "model.json")
			if err != nil {
				require.ErrorIs(t, err, segment.ErrMalformed)
			} else {
				require.NotZero(t, d.comma)
			}
			for run, files := range e.named() {
				require.Regexp(t, `^\d{4}/\d{2}/\d{2}/\d{4}$`, run)
				require.NotEmpty(t, files)
			}
		}
	})
}

// FuzzExport reads any bytes as the file of an export, plain or compressed,
// without a header: the same rows each time, and the same rest from each place.
func FuzzExport(f *testing.F) {
	for _, seed := range []string{"1,2\n3,4\n", "\ufeff1,2", "\"x\r\ny\",\"\"\"\"\n", "1\n\xff,2\n5\" pipe,2\n3,\"4", "\n\n1,2\r\n"} {
		f.Add([]byte(seed), false, false)
		f.Add([]byte(seed), true, true)
		f.Add(packed(f, []byte(seed)), false, true)
		f.Add(packed(f, []byte(seed))[:15], false, true)
	}
	f.Fuzz(func(t *testing.T, data []byte, noQuotes, compressed bool) {
		of := set{csv: dialect{comma: ',', fields: []string{"a", "b"}, noQuotes: noQuotes}}
		if compressed {
			of.form.packed = true
		}
		read := func(from *position) (rows []segmenttest.Row, at []position, err error) {
			r, err := of.csvRows(t.Context(), bytesContent(data), int64(len(data)), "file", of.csv.fields, from)
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
		rows, at, failed := read(nil)
		if failed != io.EOF { //nolint:errorlint // nothing wraps it
			require.ErrorIs(t, failed, segment.ErrMalformed)
		}
		for i := 0; i < len(at); i += 1 + len(at)/20 {
			rest, _, err := read(&at[i])
			require.Equal(t, append([]segmenttest.Row(nil), rows[i:]...), rest)
			require.Equal(t, failed.Error(), err.Error())
		}
	})
}

// bytesContent is content in memory.
type bytesContent []byte

func (b bytesContent) ReadAt(p []byte, off int64) (int, error) {
	if off >= int64(len(b)) {
		return 0, io.EOF
	}
	n := copy(p, b[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (bytesContent) Close() error { return nil }

func (bytesContent) Chunk() int { return 4 << 10 }
