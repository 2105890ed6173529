package access

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"

	"github.com/segment-export/segment-export/internal/localfile"
	"github.com/segment-export/segment-export/internal/seal"
)

// IdentityFile is the name of the identity's file in a data directory.
const IdentityFile = "identity.json"

// identityVersion is the format of the file. Raise it when an older program
// would misread a newer file, and read the old formats on.
const identityVersion = 1

var (
	// ErrIdentityDamaged is the error of a file that is not an identity or not
	// whole. What exactly is wrong is not told, as it might quote the secret.
	ErrIdentityDamaged = errors.New("not an identity, or damaged: remove it and start the worker again, which makes a new one")
	// ErrOtherWorker is the error of an identity that was made for a worker with
	// another keyring.
	ErrOtherWorker = errors.New("the identity belongs to a worker with another keyring: " +
		"if the keyring was replaced on purpose, remove it and start the worker again, which makes a new one")
)

// Identity is what a worker and a starter on the same machine share: a file in
// the data directory that only its owner may read. Anyone who can read it is admin.
type Identity struct {
	Name      string         // whom the audit names
	Secret    Secret         `json:"-"`
	PublicKey seal.PublicKey // the worker's, to seal what only it may read
}

// identityFile is the format of the file.
type identityFile struct {
	Version     int            `json:"version"`
	Name        string         `json:"name"`
	Secret      []byte         `json:"secret"`
	PublicKey   seal.PublicKey `json:"public_key"`
	Fingerprint string         `json:"fingerprint"` // for people who look for what to pin
}

// Principal returns whom the identity's holder acts as.
func (i *Identity) Principal() Principal { return Principal{Name: i.Name, Role: Admin} }

// CreateIdentity makes an identity with a new secret and its file, for the
// worker with this public key. The error is fs.ErrExist when there is a file.
func CreateIdentity(path string, worker seal.PublicKey) (*Identity, error) {
	if worker.String() == "" {
		return nil, fmt.Errorf("new identity: %w", seal.ErrPublicKey)
	}
	secret := make([]byte, SecretSize)
	_, _ = rand.Read(secret) // never fails: the program ends instead
	raw, err := json.MarshalIndent(identityFile{
		Version: identityVersion, Name: userName(), Secret: secret,
		PublicKey: worker, Fingerprint: worker.Fingerprint(),
	}, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("new identity: %w", err)
	}
	if err := localfile.Create(path, append(raw, '\n')); err != nil {
		return nil, fmt.Errorf("new identity: %w", err)
	}
	return LoadIdentity(path)
}

// LoadIdentity reads an identity. It refuses a file that other users may read,
// that was written by a newer program, or that is damaged.
func LoadIdentity(path string) (*Identity, error) {
	raw, _, err := localfile.Read(path)
	if err != nil {
		return nil, fmt.Errorf("identity: %w", err)
	}
	var f identityFile
	err = json.Unmarshal(raw, &f)
	if f.Version > identityVersion {
		return nil, fmt.Errorf("identity: %s has format %d, and this program knows formats up to %d: use a newer one", path, f.Version, identityVersion)
	}
	if err != nil || f.Version < 1 || f.Name == "" || len(f.Secret) != SecretSize || f.PublicKey.Fingerprint() != f.Fingerprint {
		return nil, fmt.Errorf("identity: %s: %w", path, ErrIdentityDamaged)
	}
	return &Identity{Name: f.Name, Secret: f.Secret, PublicKey: f.PublicKey}, nil
}

// LoadOrCreateIdentity reads the identity of the worker with this public key,
// or makes one when there is no file, and returns which. One that was made for
// another worker gives ErrOtherWorker: starters that use it would seal what
// this worker cannot open.
func LoadOrCreateIdentity(path string, worker seal.PublicKey) (id *Identity, created bool, err error) {
	id, err = LoadIdentity(path)
	if errors.Is(err, fs.ErrNotExist) {
		id, err = CreateIdentity(path, worker)
		created = err == nil
		if errors.Is(err, fs.ErrExist) { // another process was quicker
			id, err = LoadIdentity(path)
		}
	}
	if err != nil {
		return nil, false, err
	}
	if id.PublicKey.String() != worker.String() {
		return nil, false, fmt.Errorf("%s: %w", path, ErrOtherWorker)
	}
	return id, created, nil
}

// userName is the name of the user who runs the program, as the system knows it.
func userName() string {
	if u, err := user.Current(); err == nil && u.Username != "" {
		return u.Username
	}
	if name := os.Getenv("USER"); name != "" {
		return name
	}
	return "admin" // a container may have a user without a name
}
