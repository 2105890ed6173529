// Package tree holds the places where files lie: a folder of this machine, or
// the blobs below a prefix in a bucket of Azure, S3 or Google Cloud.
//
// A File is one state of a file. What is read through a Content is that state
// and no other: each read of a bucket is a ranged request on the condition that
// the object still has the ETag (Azure, S3: If-Match) or is still the
// generation (Google Cloud) that was seen first. The library for the three
// clouds has no such condition of its own; it is set on each provider's own
// request, which the library hands out before it is sent. A folder is not read
// through that library: its driver for folders follows links out of the
// folder, and knows a file by size and time alone. Here it is an os.Root,
// and a file is known by its inode too.
package tree

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/segment-export/segment-export/internal/segment"
)

// Tree is a place with files. Names are paths below it, with slashes; the tree
// itself is "". Its methods may be called from several goroutines at once.
//
// Errors wrap segment.ErrNotFound, segment.ErrMalformed (the place must be
// corrected) or segment.ErrChanged, or are a *segment.AccessError; any other
// may be temporary. None holds a secret, or a path of this machine.
type Tree interface {
	// Place is a name as people know it.
	Place(name string) string
	// List returns what lies right in a folder, sorted by name. A folder that
	// is not there is an error in a folder of this machine; a bucket has no
	// folders, only names, so there it is empty.
	List(ctx context.Context, folder string) (Listing, error)
	// Stat returns the present state of a file.
	Stat(ctx context.Context, name string) (File, error)
	// Open makes a file ready to be read in the state given, and in no other.
	// The context holds for the reads too.
	Open(ctx context.Context, f File) (Content, error)
}

// File is one state of a file.
type File struct {
	Name     string
	Size     int64
	Modified time.Time
	Stamp    string // tells this state from every other of that name
}

// Listing is what lies right in a folder.
type Listing struct {
	Files   []File
	Folders []string // names, without a slash at the end
}

// Content reads one state of a file. In a bucket, an error of ReadAt wraps
// segment.ErrChanged when that state is gone. In a folder what is written in
// place is read too: a reader calls Unchanged at the end.
type Content interface {
	io.ReaderAt
	io.Closer
	// Chunk is how much it is best to read at a time.
	Chunk() int
}

// Unchanged says whether a file is still in the state given: with nil, or an
// error that wraps segment.ErrChanged, or why that is unknown.
func Unchanged(ctx context.Context, t Tree, f File) error {
	now, err := t.Stat(ctx, f.Name)
	if errors.Is(err, segment.ErrNotFound) || errors.Is(err, segment.ErrMalformed) {
		return changed(t, f.Name)
	}
	if err != nil {
		return err
	}
	if now.Size != f.Size || now.Stamp != f.Stamp {
		return changed(t, f.Name)
	}
	return nil
}

func changed(t Tree, name string) error {
	return fmt.Errorf("%s: %w", t.Place(name), segment.ErrChanged)
}
