//go:build unix

package tree

import (
	"io/fs"
	"syscall"
)

// inode returns the file's number within its file system; 0 when unknown.
func inode(info fs.FileInfo) uint64 {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return uint64(stat.Ino) //nolint:unconvert // its type differs between systems
	}
	return 0
}
