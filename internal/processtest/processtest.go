// Package processtest runs the server programs that tests need.
package processtest

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
)

// Process is a running server.
type Process struct {
	process *os.Process
	signal  syscall.Signal
	done    chan struct{} // closed when the process has ended
}

// Start starts a server, which that signal ends, and returns when a line of what
// it says makes ready true. It ends at the latest with this process, also when
// that is killed (on Linux).
func Start(cmd *exec.Cmd, signal syscall.Signal, ready func(line string) bool) (*Process, error) {
	output, say, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	cmd.Stdout, cmd.Stderr = say, say
	endWithUs(cmd, signal)
	p := &Process{signal: signal, done: make(chan struct{})}
	started := make(chan error)
	go func() {
		// The server ends with the thread that started it, so this thread must stay.
		runtime.LockOSThread()
		defer close(p.done)
		defer output.Close()
		err := cmd.Start()
		_ = say.Close() // it is the server's now
		if err != nil {
			started <- err
			return
		}
		p.process = cmd.Process
		lines := bufio.NewReader(output)
		started <- waitFor(lines, ready)
		_, _ = io.Copy(io.Discard, lines)
		_ = cmd.Wait() // how it ended shows in the tests
	}()
	return p, <-started
}

func waitFor(output *bufio.Reader, ready func(line string) bool) error {
	var head strings.Builder
	for {
		line, err := output.ReadString('\n')
		head.WriteString(line)
		if ready(line) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%w: %s", err, head.String())
		}
	}
}

// Stop ends the server and returns when it has ended.
func (p *Process) Stop() error {
	err := p.process.Signal(p.signal)
	if errors.Is(err, os.ErrProcessDone) {
		return nil
	}
	if err == nil {
		<-p.done
	}
	return err
}
