package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/segment-export/segment-export/internal/protocol"
	"github.com/segment-export/segment-export/internal/run"
)

// The exit codes. They are an interface: scripts rely on them.
const (
	exitDone        = 0
	exitFailed      = 1
	exitUsage       = 2
	exitRejects     = 3   // done, with rejects
	exitParked      = 4   // the run waits for an operator
	exitNotAllowed  = 5   // the role does not allow it, or who asks is not known
	exitSkipped     = 6   // skipped or canceled
	exitNoServer    = 7   // no server or no worker
	exitInterrupted = 130 // by a signal; a run continues
)

// exitHelp explains the exit codes in --help.
const exitHelp = `Exit codes: 0 done, 1 failed, 2 usage, 3 done with rejects that --fail-on names, 4 parked (waits for an operator),
5 not allowed, 6 skipped or canceled, 7 no server or worker, 130 interrupted.`

// The classes of failures that do not come from a worker. Those that do are
// in package command.
const (
	classNoServer    = "no server"
	classNoWorker    = "no worker"
	classInterrupted = "interrupted"
)

// failure is why a command was not done, in words for people and a class for
// scripts.
type failure struct {
	class   string
	message string
}

func (f *failure) Error() string { return f.message }

// Class is one of the classes of package command, or of this package.
func (f *failure) Class() string { return f.class }

func fail(class, format string, args ...any) error {
	return &failure{class: class, message: fmt.Sprintf(format, args...)}
}

func usage(format string, args ...any) error { return fail(protocol.ErrUsage, format, args...) }

// code is the exit code of a failure's class.
func (f *failure) code() int {
	switch f.class {
	case protocol.ErrUsage, protocol.ErrMarkers:
		return exitUsage
	case protocol.ErrNotAllowed, protocol.ErrRepeated:
		return exitNotAllowed
	case classNoServer, classNoWorker:
		return exitNoServer
	case classInterrupted:
		return exitInterrupted
	}
	return exitFailed
}

// asFailure gives any error a class.
func asFailure(err error) *failure {
	if f, ok := errors.AsType[*failure](err); ok {
		return f
	}
	if errors.Is(err, context.Canceled) {
		return &failure{class: classInterrupted, message: "interrupted"}
	}
	return &failure{class: protocol.ErrFailed, message: err.Error()}
}

// isClass says whether err is a failure of one of the classes.
func isClass(err error, classes ...string) bool {
	f, ok := errors.AsType[*failure](err)
	if !ok {
		return false
	}
	for _, c := range classes {
		if f.class == c {
			return true
		}
	}
	return false
}

// ended is the error of a run whose report is printed and which needs only its
// exit code.
type ended int

func (e ended) Error() string { return fmt.Sprintf("exit code %d", int(e)) }

// statusCode is the exit code of having waited for a run.
func statusCode(s run.Status) int {
	switch s {
	case run.Completed:
		return exitDone
	case run.CompletedWithRejects:
		return exitRejects
	case run.Parked:
		return exitParked
	case run.Skipped, run.Canceled:
		return exitSkipped
	}
	return exitFailed
}

// exitWith turns an exit code into the error that carries it.
func exitWith(code int) error {
	if code == exitDone {
		return nil
	}
	return ended(code)
}
