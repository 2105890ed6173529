//go:build !unix

package tree

import "io/fs"

// inode returns 0: there is no number that a FileInfo knows.
func inode(fs.FileInfo) uint64 { return 0 }
