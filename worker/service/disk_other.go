//go:build !linux && !darwin

package service

import "github.com/segment-export/segment-export/internal/protocol"

// disk returns nil: it is not measured on this system.
func disk(string) (*protocol.DiskStatus, error) { return nil, nil } //nolint:nilnil // see above
