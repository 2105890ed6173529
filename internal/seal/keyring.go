package seal

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"sync/atomic"

	"github.com/google/uuid"
	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/insecurecleartextkeyset"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/tink"

	"github.com/segment-export/segment-export/internal/localfile"
)

// keyringVersion is the format of the keyring's file. Raise it when an older
// program would misread a newer file, and read the old formats on.
const keyringVersion = 1

var (
	// ErrWrongKeyring is the error of a store that belongs to another keyring, or
	// was sealed again with a key that this one does not have yet.
	ErrWrongKeyring = errors.New("this keyring does not open the store: it is another one, or lacks the key that was added last; give the worker the keyring of this store, or restore it from a backup")
	// ErrDamaged is the error of a file that is not a keyring or not whole. What
	// exactly is wrong is not told, as it might quote a key.
	ErrDamaged = errors.New("not a keyring, or damaged: restore it from a backup")
)

// Keyring holds a worker's keys: those for data at rest, and the pair that
// envelopes are sealed to. It lives in a file that only its owner may read.
// Without the file everything sealed with it is lost; every worker of a store
// needs the same one. A Keyring may be used by several goroutines.
type Keyring struct {
	path string
	id   string

	mu   sync.Mutex // held while keys are exchanged
	keys atomic.Pointer[keys]
}

// keys is one state of a keyring; it does not change.
type keys struct {
	dataSet  *keyset.Handle
	data     tink.AEAD
	envelope pair
	info     fs.FileInfo // of the file it was read from
}

// keyringFile is the format of the file. The keysets are Tink's own JSON.
type keyringFile struct {
	Version  int             `json:"version"`
	ID       string          `json:"id"`
	Data     json.RawMessage `json:"data"`
	Envelope json.RawMessage `json:"envelope"`
}

// CreateKeyring makes a keyring with new keys and its file. The error is
// fs.ErrExist when there is a file already: keys are never overwritten.
func CreateKeyring(path string) (*Keyring, error) {
	data, err := keyset.NewHandle(aead.AES256GCMKeyTemplate())
	if err != nil {
		return nil, fmt.Errorf("new keyring: %w", err)
	}
	envelope, err := newPair()
	if err != nil {
		return nil, fmt.Errorf("new keyring: %w", err)
	}
	file, err := encodeKeyring(uuid.NewString(), data, envelope.private)
	if err != nil {
		return nil, fmt.Errorf("new keyring: %w", err)
	}
	if err := localfile.Create(path, file); err != nil {
		return nil, fmt.Errorf("new keyring: %w", err)
	}
	// Read back, so that a keyring is used only once it is known to be on disk.
	return LoadKeyring(path)
}

// LoadKeyring reads a keyring. It refuses a file that other users may read,
// that was written by a newer program, or that is damaged.
func LoadKeyring(path string) (*Keyring, error) {
	id, state, err := readKeyring(path)
	if err != nil {
		return nil, fmt.Errorf("keyring: %w", err)
	}
	k := &Keyring{path: path, id: id}
	k.keys.Store(state)
	return k, nil
}

// LoadOrCreateKeyring reads the keyring, or makes one when there is no file, and
// returns which. A store that already has sealed data must then be asked with
// OpenCheck: a new keyring does not open it.
func LoadOrCreateKeyring(path string) (k *Keyring, created bool, err error) {
	k, err = LoadKeyring(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return k, false, err
	}
	k, err = CreateKeyring(path)
	if errors.Is(err, fs.ErrExist) { // another process was quicker
		k, err = LoadKeyring(path)
		return k, false, err
	}
	return k, err == nil, err
}

// ID identifies the keyring; it is not secret and stays when keys are rotated.
func (k *Keyring) ID() string { return k.id }

// Rotate adds a new key, which seals from now on; the old ones are kept and
// still open what they sealed. Workers that share the file read the new key when
// they first need it; one with a copy of the file needs a new
// copy. The pair for envelopes stays, since its fingerprint may be pinned.
func (k *Keyring) Rotate() error {
	if err := k.rotate(); err != nil {
		return fmt.Errorf("rotate keyring: %w", err)
	}
	return nil
}

func (k *Keyring) rotate() error {
	k.mu.Lock()
	defer k.mu.Unlock()

	// Two rotations at once would each drop the other's key, and with it what
	// that key has sealed by then.
	lock := k.path + ".lock"
	if err := localfile.Create(lock, nil); errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("another rotation is under way; if none is, remove %s", lock)
	} else if err != nil {
		return err
	}
	defer os.Remove(lock)

	if err := k.reload(); err != nil { // another process may have rotated before
		return err
	}
	old := k.keys.Load()
	m := keyset.NewManagerFromHandle(old.dataSet)
	added, err := m.Add(aead.AES256GCMKeyTemplate())
	if err != nil {
		return err
	}
	if err := m.SetPrimary(added); err != nil {
		return err
	}
	data, err := m.Handle()
	if err != nil {
		return err
	}
	file, err := encodeKeyring(k.id, data, old.envelope.private)
	if err != nil {
		return err
	}
	// Written before it is used: nothing is ever sealed with a key that is not
	// on disk.
	if err := localfile.Replace(k.path, file); err != nil {
		return err
	}
	return k.reload()
}

// refresh takes up what another process did to the file and tells whether there
// was anything.
func (k *Keyring) refresh() bool {
	before := k.keys.Load()
	now, err := os.Stat(k.path)
	if err != nil || (os.SameFile(before.info, now) && before.info.ModTime().Equal(now.ModTime())) {
		return false
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.keys.Load() != before {
		return true // by another goroutine in the meantime
	}
	return k.reload() == nil
}

// reload reads the file again; the caller holds mu.
func (k *Keyring) reload() error {
	id, state, err := readKeyring(k.path)
	if err != nil {
		return err
	}
	if id != k.id {
		return fmt.Errorf("%s now holds another keyring (id %s, was %s)", k.path, id, k.id)
	}
	k.keys.Store(state)
	return nil
}

func readKeyring(path string) (string, *keys, error) {
	raw, info, err := localfile.Read(path)
	if err != nil {
		return "", nil, err
	}
	var file keyringFile
	if err := json.Unmarshal(raw, &file); err != nil {
		return "", nil, fmt.Errorf("%s: %w", path, ErrDamaged)
	}
	if file.Version > keyringVersion {
		return "", nil, fmt.Errorf("%s has format %d, and this program knows formats up to %d: use a newer one", path, file.Version, keyringVersion)
	}
	state, err := file.keys()
	if err != nil || file.Version < 1 || uuid.Validate(file.ID) != nil {
		return "", nil, fmt.Errorf("%s: %w", path, ErrDamaged)
	}
	state.info = info
	return file.ID, state, nil
}

func (f *keyringFile) keys() (*keys, error) {
	dataSet, err := insecurecleartextkeyset.Read(keyset.NewJSONReader(bytes.NewReader(f.Data)))
	if err != nil {
		return nil, err
	}
	data, err := aead.New(dataSet)
	if err != nil {
		return nil, err
	}
	private, err := insecurecleartextkeyset.Read(keyset.NewJSONReader(bytes.NewReader(f.Envelope)))
	if err != nil {
		return nil, err
	}
	envelope, err := pairOf(private)
	if err != nil {
		return nil, err
	}
	return &keys{dataSet: dataSet, data: data, envelope: envelope}, nil
}

// encodeKeyring writes the keysets in clear: the file's mode protects them, as
// there is nothing on the machine that a key for them could be kept in.
func encodeKeyring(id string, data, envelope *keyset.Handle) ([]byte, error) {
	var d, e bytes.Buffer
	if err := insecurecleartextkeyset.Write(data, keyset.NewJSONWriter(&d)); err != nil {
		return nil, err
	}
	if err := insecurecleartextkeyset.Write(envelope, keyset.NewJSONWriter(&e)); err != nil {
		return nil, err
	}
	out, err := json.MarshalIndent(keyringFile{Version: keyringVersion, ID: id, Data: d.Bytes(), Envelope: e.Bytes()}, "", "  ")
	return append(out, '\n'), err
}
