//go:build !linux

package azuritetest

import "syscall"

// attributes are the usual ones.
func attributes() *syscall.SysProcAttr { return nil }
