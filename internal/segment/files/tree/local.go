package tree

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/segment-export/segment-export/internal/segment"
)

// local is a folder of this machine.
type local struct {
	root *os.Root
	dir  string
}

// Local returns the tree of a folder below root. What leads out of root, be it
// by a symbolic link, is refused. The caller closes root, after the last use of
// the tree.
func Local(root *os.Root, folder string) (Tree, error) {
	l := &local{root: root, dir: path.Clean(filepath.ToSlash(folder))}
	info, err := root.Stat(l.dir)
	if err != nil {
		return nil, l.explain(l.dir, err)
	}
	if !info.IsDir() {
		return nil, segment.Malformed("%s is not a folder", l.dir)
	}
	return l, nil
}

func (l *local) Place(name string) string { return path.Join(l.dir, name) }

func (l *local) List(ctx context.Context, folder string) (Listing, error) {
	where := l.Place(folder)
	dir, err := l.root.Open(where)
	if err != nil {
		return Listing{}, l.explain(where, err)
	}
	defer dir.Close()
	entries, err := dir.ReadDir(-1)
	if err != nil {
		return Listing{}, l.explain(where, err)
	}
	var all Listing
	for _, entry := range entries {
		if err := ctx.Err(); err != nil {
			return Listing{}, err
		}
		name := path.Join(folder, entry.Name())
		// Of a link, what it leads to; what cannot be looked at is left out.
		info, err := l.root.Stat(l.Place(name))
		switch {
		case err != nil:
		case info.IsDir():
			all.Folders = append(all.Folders, name)
		case info.Mode().IsRegular():
			all.Files = append(all.Files, fileOf(name, info))
		}
	}
	slices.Sort(all.Folders)
	slices.SortFunc(all.Files, func(a, b File) int { return cmp.Compare(a.Name, b.Name) })
	return all, nil
}

func (l *local) Stat(ctx context.Context, name string) (File, error) {
	if err := ctx.Err(); err != nil {
		return File{}, err
	}
	where := l.Place(name)
	info, err := l.root.Stat(where)
	if err != nil {
		return File{}, l.explain(where, err)
	}
	if !info.Mode().IsRegular() {
		return File{}, segment.Malformed("%s is not a regular file", where)
	}
	return fileOf(name, info), nil
}

// fileOf notes a state. A file replaced by another has another inode, where the
// system has such; one written to has another size or time. What escapes notice
// is a change in place, of the same size, within the file system's clock tick
// after the last one.
func fileOf(name string, info fs.FileInfo) File {
	return File{Name: name, Size: info.Size(), Modified: info.ModTime(),
		Stamp: fmt.Sprintf("%d.%d", info.ModTime().UnixNano(), inode(info))}
}

func (l *local) Open(ctx context.Context, f File) (Content, error) {
	// Checked first: opening a pipe would wait for a writer.
	if err := Unchanged(ctx, l, f); err != nil {
		return nil, err
	}
	file, err := l.root.Open(l.Place(f.Name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, changed(l, f.Name)
	}
	if err != nil {
		return nil, l.explain(l.Place(f.Name), err)
	}
	info, err := file.Stat()
	if err == nil && fileOf(f.Name, info).Stamp != f.Stamp {
		err = changed(l, f.Name)
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return localContent{file, l.Place(f.Name), f.Size}, nil
}

type localContent struct {
	*os.File

	place string
	size  int64
}

// ReadAt names the file as people know it, not by its path on this machine. An
// end before that of the state that is read is none: the row there is cut off.
func (c localContent) ReadAt(p []byte, off int64) (int, error) {
	n, err := c.File.ReadAt(p, off)
	if errors.Is(err, io.EOF) && off+int64(n) < c.size {
		err = fmt.Errorf("%s: %w", c.place, io.ErrUnexpectedEOF)
	}
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		err = fmt.Errorf("%s: %w", c.place, e.Err)
	}
	return n, err
}

func (localContent) Chunk() int { return 128 << 10 }

// explain says what an error of the file system means for the path that was set.
func (l *local) explain(where string, err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return segment.NotFound("%s does not exist below the files root, which the worker's --files-root sets; put the path right, or make it", where)
	case errors.Is(err, fs.ErrPermission):
		return segment.Malformed("%s: the worker may not read it", where)
	case escapes(err):
		return segment.Malformed("%s leads outside the files root, which is not allowed", where)
	}
	return fmt.Errorf("%s: %w", where, err)
}

// escapes recognises os.Root's refusal, for which package os has no exported
// error.
func escapes(err error) bool {
	return strings.Contains(err.Error(), "path escapes from parent")
}
