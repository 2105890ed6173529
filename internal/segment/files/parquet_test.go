package files

import (
	"bytes"
	"encoding/binary"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress"
	"github.com/parquet-go/parquet-go/deprecated"
	"github.com/parquet-go/parquet-go/format"
	"github.com/stretchr/testify/require"

	"github.com/segment-export/segment-export/internal/segment"
	"github.com/segment-export/segment-export/internal/segment/segmenttest"
)

// parquetRow makes a file of one row.
func parquetRow(t *testing.T, columns map[string]parquet.Node, values map[string]parquet.Value) []byte {
	t.Helper()
	schema := parquet.NewSchema("types", parquet.Group(columns))
	var b bytes.Buffer
	w := parquet.NewWriter(&b, schema)
	var row parquet.Row
	for i, path := range schema.Columns() {
		leaf, _ := schema.Lookup(path...)
		value, ok := values[strings.Join(path, ".")]
		switch {
		case !ok:
			row = append(row, parquet.NullValue().Level(0, 0, i))
		default:
			row = append(row, value.Level(0, leaf.MaxDefinitionLevel, i))
		}
	}
	_, err := w.WriteRows([]parquet.Row{row})
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return b.Bytes()
}

func TestParquetAsText(t *testing.T) {
	at := time.Date(2026, 11, 25, 6, 15, 30, 120_000_000, time.UTC)
	midnight := time.Date(1969, 12, 31, 0, 0, 0, 0, time.UTC)
	id := uuid.MustParse("6ba7b810-9dad-11d1-80b4-00c04fd430c8")
	negative := make([]byte, 8) // -12345 in two's complement
	new(big.Int).Add(new(big.Int).Lsh(big.NewInt(1), 64), big.NewInt(-12345)).FillBytes(negative)
	nanos := uint64(at.Sub(at.Truncate(24 * time.Hour)))
	int96 := deprecated.Int96{uint32(nanos), uint32(nanos >> 32), uint32(at.Unix()/86400 + 2440588)}
	for name, test := range map[string]struct {
		node  parquet.Node
		value parquet.Value
		want  string
	}{
		"text":              {parquet.String(), parquet.ByteArrayValue([]byte("Zoë, \"東京\"\n")), "Zoë, \"東京\"\n"},
		"bytes":             {parquet.Leaf(parquet.ByteArrayType), parquet.ByteArrayValue([]byte("as Hive has it")), "as Hive has it"},
		"enum":              {parquet.Enum(), parquet.ByteArrayValue([]byte("gold")), "gold"},
		"json":              {parquet.JSON(), parquet.ByteArrayValue([]byte(`{"a":1}`)), `{"a":1}`},
		"true":              {parquet.Leaf(parquet.BooleanType), parquet.BooleanValue(true), "true"},
		"false":             {parquet.Leaf(parquet.BooleanType), parquet.BooleanValue(false), "false"},
		"int32":             {parquet.Leaf(parquet.Int32Type), parquet.Int32Value(-7), "-7"},
		"int64":             {parquet.Int(64), parquet.Int64Value(-9007199254740993), "-9007199254740993"},
		"uint32":            {parquet.Uint(32), parquet.Int32Value(-1), "4294967295"},
		"uint64":            {parquet.Uint(64), parquet.Int64Value(-1), "18446744073709551615"},
		"float":             {parquet.Leaf(parquet.FloatType), parquet.FloatValue(0.1), "0.1"},
		"double":            {parquet.Leaf(parquet.DoubleType), parquet.DoubleValue(1234567.25), "1234567.25"},
		"a large double":    {parquet.Leaf(parquet.DoubleType), parquet.DoubleValue(1e300), "1e+300"},
		"a whole double":    {parquet.Leaf(parquet.DoubleType), parquet.DoubleValue(1e15), "1000000000000000"},
		"zero":              {parquet.Leaf(parquet.DoubleType), parquet.DoubleValue(0), "0"},
		"decimal of int32":  {parquet.Decimal(2, 9, parquet.Int32Type), parquet.Int32Value(-5), "-0.05"},
		"decimal of int64":  {parquet.Decimal(3, 18, parquet.Int64Type), parquet.Int64Value(12345678), "12345.678"},
		"decimal of bytes":  {parquet.Decimal(4, 18, parquet.FixedLenByteArrayType(8)), parquet.FixedLenByteArrayValue(negative), "-1.2345"},
		"decimal, no scale": {parquet.Decimal(0, 9, parquet.Int32Type), parquet.Int32Value(120), "120"},
		"date":              {parquet.Date(), parquet.Int32Value(int32(at.Unix() / 86400)), "2026-11-25"},
		"an early date":     {parquet.Date(), parquet.Int32Value(-1), "1969-12-31"},
		"time":              {parquet.Time(parquet.Millisecond), parquet.Int32Value(int32(22530120)), "06:15:30.12"},
		"time, micro":       {parquet.Time(parquet.Microsecond), parquet.Int64Value(22530000000), "06:15:30"},
		"timestamp":         {parquet.Timestamp(parquet.Millisecond), parquet.Int64Value(at.UnixMilli()), "2026-11-25T06:15:30.12Z"},
		"timestamp, micro":  {parquet.Timestamp(parquet.Microsecond), parquet.Int64Value(at.UnixMicro()), "2026-11-25T06:15:30.12Z"},
		"timestamp, nano":   {parquet.Timestamp(parquet.Nanosecond), parquet.Int64Value(at.UnixNano() + 1), "2026-11-25T06:15:30.120000001Z"},
		"timestamp, early":  {parquet.Timestamp(parquet.Millisecond), parquet.Int64Value(midnight.UnixMilli() - 1), "1969-12-30T23:59:59.999Z"},
		"timestamp, local":  {parquet.TimestampAdjusted(parquet.Millisecond, false), parquet.Int64Value(at.UnixMilli()), "2026-11-25T06:15:30.12"},
		"timestamp, int96":  {parquet.Leaf(parquet.Int96Type), parquet.Int96Value(int96), "2026-11-25T06:15:30.12Z"},
		"uuid":              {parquet.UUID(), parquet.FixedLenByteArrayValue(id[:]), id.String()},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFolder(t)
			f.put(t, "s.parquet", parquetRow(t, map[string]parquet.Node{"v": test.node, "null": parquet.Optional(test.node)},
				map[string]parquet.Value{"v": test.value}))
			require.Equal(t, []segmenttest.Row{{Number: 1, Values: []string{test.want, ""}}},
				segmenttest.ReadAll(t, f.source, "s", []string{"v", "null"}, nil))
		})
	}
}

func TestParquetColumnsThatAreNoText(t *testing.T) {
	f := newFolder(t)
	f.put(t, "s.parquet", parquetRow(t, map[string]parquet.Node{
		"id": parquet.String(), "list": parquet.Repeated(parquet.String()), "inner": parquet.Group{"x": parquet.String()},
		"raw": parquet.Leaf(parquet.FixedLenByteArrayType(3)), "bytes": parquet.Leaf(parquet.ByteArrayType),
	}, map[string]parquet.Value{
		"id": parquet.ByteArrayValue([]byte("1")), "inner.x": parquet.ByteArrayValue([]byte("x")),
		"raw": parquet.FixedLenByteArrayValue([]byte("abc")), "bytes": parquet.ByteArrayValue([]byte("\xff")),
	}))
	info, err := f.source.Describe(t.Context(), "s")
	require.NoError(t, err)
	require.Equal(t, []string{"bytes", "id"}, info.Fields)
	_, err = f.source.Open(t.Context(), "s", []string{"id", "list"}, nil)
	var missing *segment.MissingFieldsError
	require.ErrorAs(t, err, &missing)
	require.Equal(t, []string{"list"}, missing.Missing)
	require.Equal(t, []segmenttest.Row{{Number: 1, Problem: segment.ProblemEncoding}}, segmenttest.ReadAll(t, f.source, "s", []string{"id", "bytes"}, nil))
	require.Equal(t, []segmenttest.Row{{Number: 1, Values: []string{"1"}}}, segmenttest.ReadAll(t, f.source, "s", []string{"id"}, nil))
}

func TestParquetThatCannotBeRead(t *testing.T) {
	table := segmenttest.Table{Fields: []string{"a", "b"}}
	for range 20_000 {
		table.Rows = append(table.Rows, []string{uuid.NewString(), uuid.NewString()})
	}
	whole := parquetOf(t, table, 7_000)
	damaged := bytes.Clone(whole)
	copy(damaged[len(damaged)/2:], strings.Repeat("\xff", 64<<10))
	for name, test := range map[string]struct {
		content []byte
		is      error
		text    string
	}{
		"empty":           {nil, segment.ErrEmpty, "segments/s.parquet is empty"},
		"text":            {[]byte("a,b\n1,2\n"), segment.ErrMalformed, "segments/s.parquet: the file is not valid Parquet"},
		"cut off":         {whole[:len(whole)-100], segment.ErrMalformed, "the file is not valid Parquet"},
		"only its end":    {whole[len(whole)-200:], segment.ErrMalformed, "the file is not valid Parquet"},
		"damaged within":  {damaged, segment.ErrMalformed, "the file is not valid Parquet"},
		"a wrong length":  {append(bytes.Clone(whole[:len(whole)-8]), "\xff\xff\xff\x7fPAR1"...), segment.ErrMalformed, "the file is not valid Parquet"},
		"only the frames": {[]byte("PAR1PAR1"), segment.ErrMalformed, "the file is not valid Parquet"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFolder(t)
			f.put(t, "s.parquet", test.content)
			r, err := f.source.Open(t.Context(), "s", []string{"a", "b"}, nil)
			if err == nil {
				_, err = segmenttest.Drain(r)
				require.NoError(t, r.Close())
			}
			require.ErrorIs(t, err, test.is)
			require.ErrorContains(t, err, test.text)
		})
	}
}

// A file that claims more than it has takes no more memory for it, and neither
// do damaged data: the library alone would make room for every claim, and for
// ever more of damaged LZ4.
func TestParquetThatClaimsTooMuch(t *testing.T) {
	type row struct {
		ID string `parquet:"id"`
	}
	var b bytes.Buffer
	w := parquet.NewGenericWriter[row](&b, parquet.Compression(&parquet.Lz4Raw))
	_, err := w.Write([]row{{strings.Repeat("1", 1000)}, {strings.Repeat("2", 1000)}})
	require.NoError(t, err)
	require.NoError(t, w.Close())
	damaged := withoutChecksums(t, b.Bytes())
	file, err := parquet.OpenFile(bytes.NewReader(damaged), int64(len(damaged)))
	require.NoError(t, err)
	chunk := file.Metadata().RowGroups[0].Columns[0].MetaData
	copy(damaged[chunk.DataPageOffset+chunk.TotalCompressedSize-10:], "\xff\xff\xff\xff\xff\xff")
	// A list of two thousand million row groups.
	claims := append([]byte("PAR1"), 0x49, 0xfc)
	claims = binary.AppendUvarint(claims, 1<<31)
	claims = append(claims, 0, 0)
	claims = append(binary.LittleEndian.AppendUint32(claims, uint32(len(claims)-4)), "PAR1"...)
	for name, test := range map[string]struct {
		content []byte
		text    string
	}{
		"damaged lz4":  {damaged, "segments/s.parquet: the file is not valid Parquet: the packed data of a page are damaged"},
		"a giant list": {claims, "segments/s.parquet: the file is not valid Parquet: its description is damaged"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFolder(t)
			f.put(t, "s.parquet", test.content)
			before := allocated()
			r, err := f.source.Open(t.Context(), "s", []string{"id"}, nil)
			if err == nil {
				_, err = segmenttest.Drain(r)
				require.NoError(t, r.Close())
			}
			require.ErrorIs(t, err, segment.ErrMalformed)
			require.EqualError(t, err, test.text)
			require.Less(t, allocated()-before, uint64(64<<20))
		})
	}
}

// What a page unpacks to is looked at no further than what it says.
func TestPagesThatUnpackToMore(t *testing.T) {
	const most = 1000
	large := make([]byte, 20<<20)
	for codec, packs := range map[format.CompressionCodec]compress.Codec{
		format.Gzip: &parquet.Gzip, format.Zstd: &parquet.Zstd, format.Brotli: &parquet.Brotli, format.Lz4Raw: &parquet.Lz4Raw, format.Snappy: &parquet.Snappy,
	} {
		packed, err := packs.Encode(nil, large)
		require.NoError(t, err)
		p := &pages{codec: codec, most: maxPages}
		before := allocated()
		n, err := p.unpacked(packed, most)
		require.True(t, err != nil || n > most, codec)
		require.Less(t, allocated()-before, uint64(16<<20), codec)
		short, err := packs.Encode(nil, large[:most])
		require.NoError(t, err)
		n, err = p.unpacked(short, most)
		require.NoError(t, err, codec)
		require.Equal(t, most, n, codec)
	}
}

// Structures that the standard does not allow are errors, and cause no panic.
func TestParquetWithStrangeColumns(t *testing.T) {
	f := newFolder(t)
	f.put(t, "s.parquet", parquetRow(t, map[string]parquet.Node{"id": parquet.String(), "much": parquet.Decimal(2_000_000_000, 2_000_000_000, parquet.ByteArrayType)},
		map[string]parquet.Value{"id": parquet.ByteArrayValue([]byte("1")), "much": parquet.ByteArrayValue([]byte("1"))}))
	info, err := f.source.Describe(t.Context(), "s")
	require.NoError(t, err)
	require.Equal(t, []string{"id"}, info.Fields)
}
