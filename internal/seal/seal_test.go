package seal_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/segment-export/segment-export/internal/seal"
)

const secret = "jane.doe@example.com"

type (
	sealFunc func([]byte, string) ([]byte, error)
	// place is one of the ways to seal, all of which keep the same promises.
	place struct {
		name       string
		seal, open sealFunc
	}
)

func places(k *seal.Keyring) []place {
	return []place{
		{"value", k.Seal, k.Open},
		{"blob", k.SealBlob, k.OpenBlob},
		{"key", k.WrapKey, k.UnwrapKey},
		{"envelope", k.PublicKey().Seal, k.OpenEnvelope},
	}
}

func newKeyring(t testing.TB) *seal.Keyring {
	t.Helper()
	k, err := seal.CreateKeyring(filepath.Join(t.TempDir(), "keyring.json"))
	require.NoError(t, err)
	return k
}

func TestSealedOpensOnlyInItsPlace(t *testing.T) {
	k, other := newKeyring(t), newKeyring(t)
	plaintext := []byte(strings.Repeat("k", seal.DataKeySize-len(secret)) + secret) // as long as a data key

	for i, p := range places(k) {
		t.Run(p.name, func(t *testing.T) {
			sealed, err := p.seal(plaintext, "here")
			require.NoError(t, err)
			require.NotContains(t, string(sealed), secret)
			opened, err := p.open(sealed, "here")
			require.NoError(t, err)
			require.Equal(t, plaintext, opened)

			again, err := p.seal(plaintext, "here")
			require.NoError(t, err)
			require.NotEqual(t, sealed, again, "equal values must not look equal")

			refused := func(why string, open sealFunc, sealed []byte, context string) {
				t.Helper()
				got, err := open(sealed, context)
				require.Equal(t, seal.ErrCannotOpen, err, why)
				require.Nil(t, got, why)
			}
			refused("another context", p.open, sealed, "there")
			refused("no context", p.open, sealed, "")
			refused("another keyring", places(other)[i].open, sealed, "here")
			refused("cut off", p.open, sealed[:len(sealed)-1], "here")
			refused("nothing", p.open, nil, "here")
			for at := range sealed {
				damaged := bytes.Clone(sealed)
				damaged[at] ^= 1
				refused(fmt.Sprintf("byte %d changed", at), p.open, damaged, "here")
			}
			for j, elsewhere := range places(k) {
				if i != j {
					refused("as "+elsewhere.name, elsewhere.open, sealed, "here")
				}
			}
		})
	}
}

func TestSealEmpty(t *testing.T) {
	k := newKeyring(t)
	for _, p := range places(k) {
		if p.name == "key" {
			continue
		}
		sealed, err := p.seal(nil, "")
		require.NoError(t, err, p.name)
		opened, err := p.open(sealed, "")
		require.NoError(t, err, p.name)
		require.Empty(t, opened, p.name)
	}
}

func TestDataKey(t *testing.T) {
	one, two := seal.NewDataKey(), seal.NewDataKey()
	require.Len(t, one, seal.DataKeySize)
	require.NotEqual(t, one, two)
	_, err := newKeyring(t).WrapKey([]byte("short"), "x")
	require.ErrorContains(t, err, "32 bytes")
}

func TestBlobOfManySizes(t *testing.T) {
	k := newKeyring(t)
	for _, size := range []int{1, 100, 1 << 16, 1<<20 + 1, 5 << 20} {
		plaintext := rows(size)
		sealed, err := k.SealBlob(plaintext, "c")
		require.NoError(t, err)
		opened, err := k.OpenBlob(sealed, "c")
		require.NoError(t, err)
		require.True(t, bytes.Equal(plaintext, opened), size)
		if size > 1<<16 {
			require.Less(t, len(sealed), size/2, "compressed before it is sealed")
		}
	}
}

func TestBlobOverTheLimit(t *testing.T) {
	_, err := newKeyring(t).SealBlob(make([]byte, seal.MaxBlob+1), "c")
	require.ErrorContains(t, err, "over the limit")
}

func TestManyGoroutines(t *testing.T) {
	k := newKeyring(t)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			plaintext := rows(1000 * (i + 1))
			for range 50 {
				sealed, err := k.SealBlob(plaintext, "c")
				if err != nil {
					t.Error(err)
					return
				}
				if opened, err := k.OpenBlob(sealed, "c"); err != nil || !bytes.Equal(plaintext, opened) {
					t.Error("not what was sealed", err)
				}
			}
		})
	}
	require.NoError(t, k.Rotate()) // keys are exchanged under everybody's feet
	wg.Wait()
}

// rows looks like the blobs of a run: contacts as JSON, one a line.
func rows(size int) []byte {
	rnd := rand.New(rand.NewPCG(1, 2))
	cities := []string{"Vilnius", "Gdańsk", "Zürich", "São Paulo", "Leeds", "Springfield"}
	var b bytes.Buffer
	for i := 0; b.Len() < size; i++ {
		fmt.Fprintf(&b, `{"id":"C%08d","email":"user%x@mail%d.example","firstName":"N%x","lastName":"L%x","city":%q,"postalCode":"%05d","status":"subscribed","statusDate":"2024-%02d-%02dT%02d:00:00Z"}`+"\n",
			i, rnd.Uint64(), rnd.IntN(400), rnd.Uint32(), rnd.Uint32(), cities[rnd.IntN(len(cities))], rnd.IntN(100000),
			1+rnd.IntN(12), 1+rnd.IntN(28), rnd.IntN(24))
	}
	return b.Bytes()[:size]
}

func BenchmarkSealBlob(b *testing.B) {
	k, plaintext := newKeyring(b), rows(4<<20)
	var sealed []byte
	b.SetBytes(int64(len(plaintext)))
	b.ReportAllocs()
	for b.Loop() {
		sealed, _ = k.SealBlob(plaintext, "c")
	}
	b.ReportMetric(float64(len(plaintext))/float64(len(sealed)), "ratio")
}

func BenchmarkOpenBlob(b *testing.B) {
	k, plaintext := newKeyring(b), rows(4<<20)
	sealed, err := k.SealBlob(plaintext, "c")
	require.NoError(b, err)
	b.SetBytes(int64(len(plaintext)))
	b.ReportAllocs()
	for b.Loop() {
		_, _ = k.OpenBlob(sealed, "c")
	}
}

func BenchmarkSealBlobParallel(b *testing.B) {
	k, plaintext := newKeyring(b), rows(4<<20)
	b.SetBytes(int64(len(plaintext)))
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			_, _ = k.SealBlob(plaintext, "c")
		}
	})
}

func BenchmarkSeal(b *testing.B) {
	k := newKeyring(b)
	b.ReportAllocs()
	for b.Loop() {
		_, _ = k.Seal([]byte(secret), "export/spring")
	}
}

func TestTicketsAreForOneContext(t *testing.T) {
	k := newKeyring(t)
	ticket, err := k.Ticket("run 1")
	require.NoError(t, err)
	require.NoError(t, k.CheckTicket(ticket, "run 1"))
	require.ErrorIs(t, k.CheckTicket(ticket, "run 2"), seal.ErrCannotOpen)
	require.ErrorIs(t, newKeyring(t).CheckTicket(ticket, "run 1"), seal.ErrCannotOpen)
	require.ErrorIs(t, k.CheckTicket(nil, "run 1"), seal.ErrCannotOpen)
	value, err := k.Seal(nil, "run 1") // another kind
	require.NoError(t, err)
	require.ErrorIs(t, k.CheckTicket(value, "run 1"), seal.ErrCannotOpen)
	require.NoError(t, k.Rotate())
	require.NoError(t, k.CheckTicket(ticket, "run 1"), "a run that started before a rotation continues")
}
