package seal

import (
	"fmt"
	"runtime"
	"sync"

	"github.com/klauspost/compress/zstd"
)

// MaxBlob is the most that a blob holds before compression, in bytes. It bounds
// what opening one may take of memory.
const MaxBlob = 512 << 20

// codec compresses and decompresses whole blobs; both halves may be used by any
// number of goroutines, of which as many work at a time as there are CPUs.
type codec struct {
	enc *zstd.Encoder
	dec *zstd.Decoder
}

// window is how far back the compressor looks. Rows of a blob resemble each
// other closely, so a longer one costs memory and gains nearly nothing.
const window = 1 << 20

var blobCodec = sync.OnceValues(func() (codec, error) {
	n := runtime.GOMAXPROCS(0)
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(n),
		zstd.WithWindowSize(window),
		zstd.WithEncoderCRC(false)) // the seal authenticates every bit
	if err != nil {
		return codec{}, err
	}
	dec, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(n), zstd.WithDecoderMaxMemory(MaxBlob))
	return codec{enc, dec}, err
})

// scratch holds buffers for what is compressed and not yet sealed.
var scratch = sync.Pool{New: func() any { return new([]byte) }}

// SealBlob compresses and encrypts bulk data for one context.
func (k *Keyring) SealBlob(plaintext []byte, context string) ([]byte, error) {
	// Refused here, so that nothing is written that cannot be read.
	if len(plaintext) > MaxBlob {
		return nil, fmt.Errorf("a blob of %d bytes is over the limit of %d", len(plaintext), MaxBlob)
	}
	c, err := blobCodec()
	if err != nil {
		return nil, err
	}
	buf := scratch.Get().(*[]byte)
	defer scratch.Put(buf)
	*buf = c.enc.EncodeAll(plaintext, (*buf)[:0])
	return k.seal(*buf, kindBlob, context)
}

// OpenBlob decrypts and decompresses what SealBlob made.
func (k *Keyring) OpenBlob(sealed []byte, context string) ([]byte, error) {
	c, err := blobCodec()
	if err != nil {
		return nil, err
	}
	compressed, err := k.open(sealed, kindBlob, context)
	if err != nil {
		return nil, err
	}
	plaintext, err := c.dec.DecodeAll(compressed, nil)
	if err != nil {
		return nil, ErrCannotOpen
	}
	return plaintext, nil
}
