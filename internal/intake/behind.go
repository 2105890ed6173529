package intake

import "github.com/segment-export/segment-export/internal/fault"

// behind does one thing at a time beside its owner: what is stored of one part
// while the next is worked out. It is used by one goroutine, which waits for it
// before it returns.
type behind struct{ done chan error }

// do waits for the work in progress, and then starts the next. An earlier failure
// is returned, and the next is not started: each step builds on the one before.
func (b *behind) do(next func() error) error {
	if err := b.wait(); err != nil {
		return err
	}
	done := make(chan error, 1)
	b.done = done
	go func() { done <- fault.Guard(next) }()
	return nil
}

// wait returns when nothing is being done, with what failed since the last wait.
func (b *behind) wait() error {
	if b.done == nil {
		return nil
	}
	err := <-b.done
	b.done = nil
	return err
}
