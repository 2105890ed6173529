//go:build linux || darwin

package service

import (
	"syscall"

	"github.com/segment-export/segment-export/internal/protocol"
)

// disk measures the file system of a directory.
func disk(dir string) (*protocol.DiskStatus, error) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(dir, &s); err != nil {
		return nil, err
	}
	block := int64(s.Bsize) //nolint:unconvert // another type on another system
	return &protocol.DiskStatus{Free: int64(s.Bavail) * block, Size: int64(s.Blocks) * block}, nil
}
