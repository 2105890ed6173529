package embedded

import (
	"context"
	"os"
	"path/filepath"

	"github.com/segment-export/segment-export/internal/sqlitecopy"
)

// Backup copies what a server, running or not, keeps in a Dir to a new one. The record of the schema is in the file
// itself.
func Backup(ctx context.Context, from, to string) error {
	if err := os.Mkdir(to, 0o700); err != nil {
		return err
	}
	if err := sqlitecopy.Copy(ctx, filepath.Join(from, databaseFile), filepath.Join(to, databaseFile)); err != nil {
		return err
	}
	return sqlitecopy.Sync(to)
}
