package seal

import (
	"errors"
	"fmt"
	"runtime"
	"sync"

	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
)

// MaxBlob is the most that a blob holds before compression, in bytes. It bounds
// what opening one may take of memory.
const MaxBlob = 512 << 20

// The first byte of what is sealed says how it is compressed. S2 takes a third
// of the time of zstd's fastest level, for a sixth more bytes.
const (
	formS2 = 0x02
	// formZstd begins each frame of zstd, which blobs were compressed with before.
	formZstd = 0x28
)

// former opens blobs of zstd; it may be used by any number of goroutines.
var former = sync.OnceValues(func() (*zstd.Decoder, error) {
	return zstd.NewReader(nil, zstd.WithDecoderConcurrency(runtime.GOMAXPROCS(0)), zstd.WithDecoderMaxMemory(MaxBlob))
})

// scratch holds buffers for what is compressed and not yet sealed.
var scratch = sync.Pool{New: func() any { return new([]byte) }}

// maxScratch is the largest buffer that is kept for reuse, in bytes.
const maxScratch = 16 << 20

// SealBlob compresses and encrypts bulk data for one context.
func (k *Keyring) SealBlob(plaintext []byte, context string) ([]byte, error) {
	// Refused here, so that nothing is written that cannot be read.
	if len(plaintext) > MaxBlob {
		return nil, fmt.Errorf("a blob of %d bytes is over the limit of %d", len(plaintext), MaxBlob)
	}
	buf := scratch.Get().(*[]byte)
	defer func() {
		if cap(*buf) <= maxScratch {
			scratch.Put(buf)
		}
	}()
	if needed := 1 + s2.MaxEncodedLen(len(plaintext)); cap(*buf) < needed {
		*buf = make([]byte, needed)
	}
	whole := (*buf)[:cap(*buf)]
	whole[0] = formS2
	compressed := s2.Encode(whole[1:], plaintext)
	return k.seal(whole[:1+len(compressed)], kindBlob, context)
}

// OpenBlob decrypts and decompresses what SealBlob made.
func (k *Keyring) OpenBlob(sealed []byte, context string) ([]byte, error) {
	compressed, err := k.open(sealed, kindBlob, context)
	if err != nil {
		return nil, err
	}
	plaintext, err := decompress(compressed)
	if err != nil {
		return nil, ErrCannotOpen
	}
	return plaintext, nil
}

var errForm = errors.New("compressed in no known form")

func decompress(data []byte) ([]byte, error) {
	if len(data) == 0 {
		return nil, errForm
	}
	switch data[0] {
	case formS2:
		data = data[1:]
		size, err := s2.DecodedLen(data)
		switch {
		case err != nil:
			return nil, err
		case size > MaxBlob:
			return nil, errForm
		}
		return s2.Decode(nil, data)
	case formZstd:
		dec, err := former()
		if err != nil {
			return nil, err
		}
		return dec.DecodeAll(data, nil)
	}
	return nil, errForm
}
