package files

import (
	"encoding/binary"
	"hash/crc32"
	"io/fs"

	"github.com/segment-export/segment-export/internal/segment"
)

// view is what tells one state of a file from another. A file replaced by
// another has another inode, where the system has such; one written to has
// another size or time. What escapes notice is a change in place, of the same
// size, within the file system's clock tick after the last one.
type view struct {
	size     int64
	modified int64 // Unix nanoseconds
	inode    uint64
}

func viewOf(info fs.FileInfo) view {
	return view{size: info.Size(), modified: info.ModTime().UnixNano(), inode: inode(info)}
}

// cursorVersion is the first byte of a cursor; another version's cursor makes
// the read begin again.
const cursorVersion = 1

// cursor names the view and the place in it.
func (v view) cursor(name string, at position) segment.Cursor {
	c := binary.AppendVarint([]byte{cursorVersion}, v.size)
	c = binary.AppendVarint(c, v.modified)
	c = binary.AppendUvarint(c, v.inode)
	c = binary.AppendVarint(c, at.offset)
	c = binary.AppendVarint(c, at.line)
	return binary.BigEndian.AppendUint32(c, checksum(c, name))
}

// checksum binds a cursor to its segment.
func checksum(c []byte, name string) uint32 {
	return crc32.Update(crc32.ChecksumIEEE(c), crc32.IEEETable, []byte(name))
}

// parseCursor reads a cursor of the segment; ok is false for anything else.
func parseCursor(c segment.Cursor, name string) (v view, at position, ok bool) {
	end := len(c) - crc32.Size
	if end < 1 || c[0] != cursorVersion || binary.BigEndian.Uint32(c[end:]) != checksum(c[:end], name) {
		return view{}, position{}, false
	}
	rest := c[1:end]
	next := func() int64 {
		n, size := binary.Varint(rest)
		ok = ok && size > 0
		rest = rest[max(size, 0):]
		return n
	}
	ok = true
	v.size, v.modified = next(), next()
	inode, size := binary.Uvarint(rest)
	ok = ok && size > 0
	v.inode, rest = inode, rest[max(size, 0):]
	at.offset, at.line = next(), next()
	return v, at, ok && len(rest) == 0
}
