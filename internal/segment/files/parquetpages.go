package files

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"
	"github.com/pierrec/lz4/v4"
)

const (
	// maxPages is how large the pages of all columns that are read may be together,
	// packed or unpacked, since one of each is held. Writers of Parquet make pages
	// of about one megabyte, the most generous of a hundred.
	maxPages = 128 << 20
	// maxPageValues is how many values a page may have.
	maxPageValues = 4 << 20
	// maxPageHeader is how long what a page says of itself may be.
	maxPageHeader = 1 << 20
	// smallPeek is how much of it is looked at first.
	smallPeek = 4 << 10
)

// pages gives the bytes of a column's pages one page at a time, each after it
// was seen to be what it says: the library makes room for whatever size a page
// claims, and some of its codecs ask for ever more on damaged data, until the
// process is killed for it.
type pages struct {
	codec format.CompressionCodec
	most  int   // the largest page that is read
	rows  int64 // in the row group
	data  int64 // where pages with values begin

	source io.ReaderAt
	start  int64 // of the column's pages in the file
	end    int64

	ahead *bufio.Reader // at next
	next  int64         // where the next page begins
	page  []byte        // its header and its body
	at    int64         // where it begins
	room  []byte        // to unpack into
}

// newPages returns the pages of a column in a row group.
func newPages(source io.ReaderAt, file *format.FileMetaData, group, column, most int) *pages {
	m := file.RowGroups[group].Columns[column].MetaData
	p := &pages{source: source, most: most, rows: file.RowGroups[group].NumRows, start: m.DataPageOffset, data: m.DataPageOffset,
		codec: file.RowGroups[0].Columns[column].MetaData.Codec} // the library unpacks all groups alike
	if m.DictionaryPageOffset != 0 {
		p.start = m.DictionaryPageOffset
	}
	p.end = p.start + m.TotalCompressedSize
	p.rewind()
	return p
}

func (p *pages) rewind() {
	section := io.NewSectionReader(p.source, p.start, p.end-p.start)
	if p.ahead == nil {
		p.ahead = bufio.NewReaderSize(section, parquetBuffer)
	} else {
		p.ahead.Reset(section)
	}
	p.next, p.at, p.page = p.start, p.start, p.page[:0]
}

// ReadAt reads from one page at most.
func (p *pages) ReadAt(into []byte, off int64) (int, error) {
	if off < p.at {
		p.rewind()
	}
	for off >= p.at+int64(len(p.page)) {
		if err := p.load(); err != nil {
			return 0, err
		}
	}
	return copy(into, p.page[off-p.at:]), nil
}

// load reads the next page.
func (p *pages) load() error {
	if p.start < 0 || p.end < p.start || p.next >= p.end {
		return io.EOF
	}
	header, length, err := p.header()
	if err != nil {
		return err
	}
	size := int64(length) + int64(header.CompressedPageSize)
	switch {
	case header.CompressedPageSize < 0, header.UncompressedPageSize < 0, size > p.end-p.next, p.next < p.data && p.next+size > p.data:
		return damage("a page does not end where it says")
	case int(header.CompressedPageSize) > p.most, int(header.UncompressedPageSize) > p.most:
		return damage(fmt.Sprintf("a page is larger than %d bytes; have it written with smaller pages", p.most))
	}
	if int64(cap(p.page)) < size {
		p.page = make([]byte, size)
	}
	p.page = p.page[:size]
	if _, err := io.ReadFull(p.ahead, p.page); err != nil {
		return err
	}
	p.at, p.next = p.next, p.next+size
	return p.check(header, p.page[length:])
}

// header reads what the next page says of itself, and how long that is.
func (p *pages) header() (*format.PageHeader, int, error) {
	for _, most := range []int{smallPeek, maxPageHeader} {
		start, err := p.ahead.Peek(most)
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, 0, err
		}
		length, damaged := thriftLength(start)
		if damaged != nil && err == nil && most < maxPageHeader {
			continue
		}
		if damaged != nil {
			return nil, 0, damaged
		}
		header := new(format.PageHeader)
		err = thrift.Unmarshal(&thrift.CompactProtocol{}, start[:length], header)
		return header, length, err
	}
	return nil, 0, errThrift
}

// check sees that a page has what it says.
func (p *pages) check(header *format.PageHeader, body []byte) error {
	var values int32
	size, packed := int(header.UncompressedPageSize), true
	switch {
	case header.Type == format.DictionaryPage && header.DictionaryPageHeader.Valid:
		values = header.DictionaryPageHeader.V.NumValues
	case header.Type == format.DataPage && header.DataPageHeader.Valid:
		values = header.DataPageHeader.V.NumValues
	case header.Type == format.DataPageV2 && header.DataPageHeaderV2.Valid:
		v2 := header.DataPageHeaderV2.V
		levels := int64(v2.RepetitionLevelsByteLength) + int64(v2.DefinitionLevelsByteLength)
		if v2.RepetitionLevelsByteLength < 0 || v2.DefinitionLevelsByteLength < 0 || levels > int64(min(len(body), size)) || v2.NumNulls < 0 || v2.NumNulls > v2.NumValues {
			return errThrift
		}
		values, size, body = v2.NumValues, size-int(levels), body[levels:]
		packed = !v2.IsCompressed.Valid || v2.IsCompressed.V
	default:
		return nil // the library says what it thinks of it
	}
	switch {
	case values < 0 || header.Type != format.DictionaryPage && int64(values) > p.rows:
		return damage("a page has more values than there are rows")
	case values > maxPageValues:
		return damage(fmt.Sprintf("a page has more than %d values; have it written with smaller pages", maxPageValues))
	case !packed:
		return nil
	}
	n, err := p.unpacked(body, size)
	if err != nil || n != size {
		return damage("the packed data of a page are damaged")
	}
	return nil
}

// unpacked returns how long a body is when it is unpacked, or more than most.
func (p *pages) unpacked(body []byte, most int) (int, error) {
	var r io.Reader
	switch p.codec {
	case format.Uncompressed:
		return len(body), nil
	case format.Snappy:
		// It holds its length, and unpacks to 64 bytes for each three at most.
		n, err := snappy.DecodedLen(body)
		if err == nil && n > 32*len(body) {
			err = snappy.ErrCorrupt
		}
		return n, err
	case format.Lz4Raw:
		if cap(p.room) < most {
			p.room = make([]byte, most)
		}
		return lz4.UncompressBlock(body, p.room[:most])
	case format.Gzip:
		z, err := gzip.NewReader(bytes.NewReader(body))
		if err != nil {
			return 0, err
		}
		r = z
	case format.Brotli:
		r = brotli.NewReader(bytes.NewReader(body))
	case format.Zstd:
		z, err := zstd.NewReader(bytes.NewReader(body), zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxMemory(uint64(p.most)))
		if err != nil {
			return 0, err
		}
		defer z.Close()
		r = z
	default:
		return most, nil // the library does not know it either
	}
	n, err := io.Copy(io.Discard, io.LimitReader(r, int64(most)+1))
	return int(n), err
}
