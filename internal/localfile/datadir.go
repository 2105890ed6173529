// Package localfile says where a machine keeps this program's data, and reads and
// writes files there that only their owner may read.
package localfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Variable is the environment variable that names another data directory.
const Variable = "SEGMENT_EXPORT_DATA_DIR"

// name is the directory's own name, below the user's directory for data.
const name = "segment-export"

// Default returns the data directory of a user who names none:
// $XDG_DATA_HOME/segment-export, or ~/.local/share/segment-export. It need not
// exist.
func Default() (string, error) { return of(os.LookupEnv, os.UserHomeDir) }

// of follows the XDG rules: a relative path in the variable is ignored.
func of(lookup func(string) (string, bool), home func() (string, error)) (string, error) {
	if dir, ok := lookup("XDG_DATA_HOME"); ok && filepath.IsAbs(dir) {
		return filepath.Join(dir, name), nil
	}
	dir, err := home()
	if err != nil {
		return "", fmt.Errorf("the default data directory: %w; name one with %s", err, Variable)
	}
	return filepath.Join(dir, ".local", "share", name), nil
}

// Unfinished is the file that marks a directory as the beginning of a backup:
// it is there until everything else is.
const Unfinished = "unfinished-backup"

// CheckWhole returns an error for a directory that a backup began and did not
// finish. Nothing may work on one: what it has of the runs does not fit
// together, and what it lacks would be created empty.
func CheckWhole(dir string) error {
	_, err := os.Lstat(filepath.Join(dir, Unfinished))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return fmt.Errorf("%s is a backup that was not finished: use another one, or repeat: standalone backup", dir)
}
