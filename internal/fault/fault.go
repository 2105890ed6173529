// Package fault makes errors of panics, which are faults of this program, so
// that they end neither the process nor the work beside them.
package fault

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

// Error is a panic. Its text has nothing of what the program worked with: only
// what the runtime itself says of a fault is repeated, other values, which may
// hold anything, are named by their type.
type Error struct {
	What  string
	Stack string // where; for the log only, it is long
}

func (e *Error) Error() string { return "a fault of this program (" + e.What + ")" }

// Guard does something and makes an error of a panic in it, but not of one on
// another goroutine.
func Guard(do func() error) (err error) {
	defer func() {
		p := recover()
		if e, ok := p.(*Error); ok { // of another goroutine, passed on
			err = e
		} else if p != nil {
			err = &Error{What: what(p), Stack: string(debug.Stack())}
		}
	}()
	return do()
}

// what names the value of a panic.
func what(p any) string {
	if e, ok := p.(runtime.Error); ok {
		return e.Error()
	}
	return fmt.Sprintf("a panic with a %T", p)
}
