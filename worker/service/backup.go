package service

import (
	"context"
	"errors"
	"os"
	"path/filepath"

	"github.com/segment-export/segment-export/internal/access"
	"github.com/segment-export/segment-export/internal/localfile"
	"github.com/segment-export/segment-export/internal/sqlitecopy"
)

// Backup copies what a worker, running or not, keeps in a data directory: the
// SQLite store, then the keyring, which opens at least all that is in the copy
// of the store, and the identity if there is one.
func Backup(ctx context.Context, from, to string) error {
	if err := sqlitecopy.Copy(ctx, filepath.Join(from, storeFile), filepath.Join(to, storeFile)); err != nil {
		return err
	}
	for _, name := range []string{keyringFile, access.IdentityFile} {
		content, _, err := localfile.Read(filepath.Join(from, name))
		if errors.Is(err, os.ErrNotExist) && name == access.IdentityFile {
			continue // people identify themselves with tokens
		}
		if err != nil {
			return err
		}
		if err := localfile.Create(filepath.Join(to, name), content); err != nil {
			return err
		}
	}
	return sqlitecopy.Sync(to)
}
