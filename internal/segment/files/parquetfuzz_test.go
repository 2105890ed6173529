package files

import (
	"bytes"
	"encoding/binary"
	"io"
	"runtime/metrics"
	"testing"

	"github.com/parquet-go/parquet-go"
	"github.com/stretchr/testify/require"

	"github.com/segment-export/segment-export/internal/segment"
	"github.com/segment-export/segment-export/internal/segment/segmenttest"
)

// fuzzedParquet are small files of every codec and encoding, to be damaged.
func fuzzedParquet(f *testing.F) {
	type row struct {
		ID    string   `parquet:"id"`
		Name  *string  `parquet:"name,optional,dict"`
		Score float64  `parquet:"score"`
		Count int32    `parquet:"count,delta"`
		Since int64    `parquet:"since,timestamp(microsecond)"`
		Spent int64    `parquet:"spent,decimal(2:18)"`
		Flag  bool     `parquet:"flag"`
		Tags  []string `parquet:"tags"`
	}
	name := "Zoë"
	rows := []row{{ID: "1", Name: &name, Score: 0.5, Count: 7, Since: 1_764_051_330_000_000, Spent: -5, Flag: true, Tags: []string{"a", "b"}}, {ID: "2"}, {ID: "3", Name: &name}}
	for _, codec := range []parquet.WriterOption{
		parquet.Compression(&parquet.Uncompressed), parquet.Compression(&parquet.Snappy), parquet.Compression(&parquet.Gzip), parquet.Compression(&parquet.Zstd),
		parquet.Compression(&parquet.Brotli), parquet.Compression(&parquet.Lz4Raw),
	} {
		for _, version := range []int{1, 2} {
			var b bytes.Buffer
			w := parquet.NewGenericWriter[row](&b, codec, parquet.DataPageVersion(version), parquet.PageBufferSize(64))
			_, err := w.Write(rows)
			require.NoError(f, err)
			require.NoError(f, w.Flush())
			_, err = w.Write(rows)
			require.NoError(f, err)
			require.NoError(f, w.Close())
			f.Add(b.Bytes())
			f.Add(withoutChecksums(f, b.Bytes()))
		}
	}
	f.Add([]byte("PAR1PAR1"))
}

// withoutChecksums is a file whose pages have no checksums, as many programs
// write them: else no damage gets past these.
func withoutChecksums(t testing.TB, data []byte) []byte {
	t.Helper()
	data = bytes.Clone(data)
	file, err := parquet.OpenFile(bytes.NewReader(data), int64(len(data)))
	require.NoError(t, err)
	for group := range file.RowGroups() {
		for column := range file.Metadata().RowGroups[group].Columns {
			for p := newPages(bytes.NewReader(data), file.Metadata(), group, column, maxPages); p.next < p.end; {
				header, length, err := p.header()
				require.NoError(t, err)
				at := p.next
				_ = p.load() // a list has more values than rows, and is not read anyway
				sum := binary.AppendVarint(nil, int64(header.CRC))
				found := bytes.Index(data[at:at+int64(length)], sum)
				require.Positive(t, found)
				for i := range sum { // a zero that is as long
					data[at+int64(found+i)] = 0x80
				}
				data[at+int64(found+len(sum)-1)] = 0
			}
		}
	}
	return data
}

// FuzzParquet reads any bytes as a Parquet file: the same rows each time, and
// the same rest from each place; what cannot be read is reported as malformed, and
// takes no more memory than a file may.
func FuzzParquet(f *testing.F) {
	fuzzedParquet(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		of := set{form: form{kind: kindParquet}}
		before := allocated()
		read := func(from *position) (rows []segmenttest.Row, at []position, err error) {
			r := &parquetRows{place: "file", source: &noted{Content: bytesContent(data)}}
			columns, err := r.open(int64(len(data)))
			if err != nil {
				return nil, nil, err
			}
			r, err = of.parquetRows(bytesContent(data), int64(len(data)), "file", columns.names, from)
			if err != nil {
				return nil, nil, err
			}
			defer r.close()
			at = append(at, r.position())
			for len(rows) < 2000 {
				row, err := r.next()
				if err != nil {
					return rows, at, err
				}
				rows = append(rows, segmenttest.Row{Number: row.Number, Values: append([]string(nil), row.Values...), Problem: row.Problem})
				at = append(at, r.position())
			}
			return rows, at, io.EOF
		}
		rows, at, failed := read(nil)
		require.Less(t, allocated()-before, uint64(maxAllocated))
		if failed != io.EOF { //nolint:errorlint // nothing wraps it
			require.True(t, len(data) == 0 || failed != nil)
			if len(data) > 0 {
				require.ErrorIs(t, failed, segment.ErrMalformed)
			}
			return
		}
		for i := 0; i < len(at); i += 1 + len(at)/5 {
			rest, _, err := read(&at[i])
			require.ErrorIs(t, err, io.EOF)
			require.Equal(t, append([]segmenttest.Row(nil), rows[i:]...), rest[:len(rows)-i])
		}
	})
}

// maxAllocated is what a small file may make us allocate.
const maxAllocated = 256 << 20

func allocated() uint64 {
	sample := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}
