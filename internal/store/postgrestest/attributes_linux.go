package postgrestest

import "syscall"

// attributes start a process as that account, and end it when this one was
// killed and could not.
func attributes(account *syscall.Credential) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Credential: account, Pdeathsig: syscall.SIGQUIT}
}
