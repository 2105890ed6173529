package localfile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
)

// maxSize bounds what Read takes into memory: these files hold keys, and a path
// that was mistyped may lead to anything.
const maxSize = 1 << 20

// ErrExposed is the error of a file that other users may read.
var ErrExposed = errors.New("other users can read it")

// Create writes a new file. The error is fs.ErrExist when there is one already,
// which is then left alone; of several processes at once exactly one succeeds.
func Create(path string, data []byte) error {
	return write(path, data, func(temp string) error {
		// A link, unlike a rename, never takes the place of a file that is there.
		if err := os.Link(temp, path); err != nil {
			return err
		}
		return os.Remove(temp)
	})
}

// Replace puts new content in the place of a file: readers see the old or the
// new, never a mixture. A symbolic link stays one.
func Replace(path string, data []byte) error {
	path, err := filepath.EvalSymlinks(path)
	if err != nil {
		return err
	}
	return write(path, data, func(temp string) error { return os.Rename(temp, path) })
}

// Read returns a file's content and what the file system says about it. It
// refuses a file that other users may read with ErrExposed, since what it holds
// must be taken as known to them.
func Read(path string) ([]byte, fs.FileInfo, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	// The open file is asked, not the path: it cannot be exchanged in between.
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, nil, err
	case !info.Mode().IsRegular():
		return nil, nil, fmt.Errorf("%s is not a file", path)
	case info.Size() > maxSize:
		return nil, nil, fmt.Errorf("%s is too large (%d bytes) to be what it should be", path, info.Size())
	}
	// Windows keeps its permissions elsewhere and always reports 0666.
	if exposed := info.Mode().Perm() & 0o077; exposed != 0 && runtime.GOOS != "windows" {
		return nil, nil, fmt.Errorf("%s has mode %04o and %w: run chmod 600 %[1]s, and consider whether anybody else has read it",
			path, info.Mode().Perm(), ErrExposed)
	}
	data, err := io.ReadAll(io.LimitReader(f, maxSize))
	if err != nil {
		return nil, nil, err
	}
	return data, info, nil
}

// write makes a temporary file beside path, brings it to the disk and hands it
// to place, which gives it its name.
func write(path string, data []byte, place func(temp string) error) (err error) {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, "."+filepath.Base(path)+".*.tmp") // made with 0600
	if err != nil {
		return err
	}
	temp := f.Name()
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(temp)
		}
	}()
	if _, err := f.Write(data); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	if err := place(temp); err != nil {
		return err
	}
	return syncDir(dir)
}

// syncDir brings a new name to the disk: without it a power cut may take away
// a key that data was already sealed with.
func syncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil // directories cannot be synced there
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
