package azuritetest

import "syscall"

// attributes end the process when this one was killed and could not.
func attributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
