package files

import (
	"encoding/binary"
	"errors"
)

// errThrift says that bytes are not what they should be, or end too early.
var errThrift = damage("its description is damaged")

// thriftDepth is how deep structures may be in one another.
const thriftDepth = 32

// Types of Thrift's compact protocol.
const (
	thriftTrue, thriftFalse, thriftByte = 1, 2, 3
	thriftI16, thriftI32, thriftI64     = 4, 5, 6
	thriftDouble, thriftBinary          = 7, 8
	thriftList, thriftSet, thriftMap    = 9, 10, 11
	thriftStruct                        = 12
)

// thriftLength returns how long the structure is that begins at the start of
// the bytes. The library makes room for as many values as a list claims to have;
// here every list and text has been seen to be within the bytes.
func thriftLength(b []byte) (int, error) {
	w := thriftWalk{rest: b}
	err := w.structure(0)
	return len(b) - len(w.rest), err
}

type thriftWalk struct{ rest []byte }

func (w *thriftWalk) skip(n uint64) error {
	if n > uint64(len(w.rest)) {
		return errThrift
	}
	w.rest = w.rest[n:]
	return nil
}

func (w *thriftWalk) next() (byte, error) {
	if len(w.rest) == 0 {
		return 0, errThrift
	}
	b := w.rest[0]
	w.rest = w.rest[1:]
	return b, nil
}

func (w *thriftWalk) number() (uint64, error) {
	n, size := binary.Uvarint(w.rest)
	if size <= 0 {
		return 0, errThrift
	}
	w.rest = w.rest[size:]
	return n, nil
}

func (w *thriftWalk) structure(depth int) error {
	if depth == thriftDepth {
		return errThrift
	}
	for {
		field, err := w.next()
		if err != nil || field == 0 {
			return err
		}
		if field>>4 == 0 { // the field's number is not the last one's and a little more
			if _, err := w.number(); err != nil {
				return err
			}
		}
		if kind := field & 15; kind != thriftTrue && kind != thriftFalse { // these are their own value
			if err := w.value(kind, depth); err != nil {
				return err
			}
		}
	}
}

func (w *thriftWalk) value(kind byte, depth int) error {
	switch kind {
	case thriftTrue, thriftFalse, thriftByte:
		return w.skip(1)
	case thriftI16, thriftI32, thriftI64:
		_, err := w.number()
		return err
	case thriftDouble:
		return w.skip(8)
	case thriftBinary:
		n, err := w.number()
		return errors.Join(err, w.skip(n))
	case thriftList, thriftSet:
		return w.list(depth)
	case thriftMap:
		return w.entries(depth)
	case thriftStruct:
		return w.structure(depth + 1)
	}
	return errThrift
}

func (w *thriftWalk) list(depth int) error {
	head, err := w.next()
	if err != nil {
		return err
	}
	n := uint64(head >> 4)
	if n == 15 {
		if n, err = w.number(); err != nil {
			return err
		}
	}
	return w.values(n, depth, head&15)
}

func (w *thriftWalk) entries(depth int) error {
	n, err := w.number()
	if err != nil || n == 0 {
		return err
	}
	kinds, err := w.next()
	if err != nil {
		return err
	}
	return w.values(n, depth, kinds>>4, kinds&15)
}

// values walks over n times these kinds of values, each of which has a byte at
// least.
func (w *thriftWalk) values(n uint64, depth int, kinds ...byte) error {
	if depth == thriftDepth || n > uint64(len(w.rest)) {
		return errThrift
	}
	for range n {
		for _, kind := range kinds {
			if err := w.value(kind, depth+1); err != nil {
				return err
			}
		}
	}
	return nil
}
