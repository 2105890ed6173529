//go:build unix && !linux

package postgrestest

import "syscall"

// attributes start a process as that account.
func attributes(account *syscall.Credential) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Credential: account}
}
