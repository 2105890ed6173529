package processtest

import (
	"os/exec"
	"syscall"
)

// endWithUs has the process get a signal when this one was killed and could not
// send it.
func endWithUs(cmd *exec.Cmd, signal syscall.Signal) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Pdeathsig = signal
}
