package console

import (
	"encoding/json"
	"sync"
	"time"
)

// fresh is how long an answer that changes nothing may be shown again. Each
// command is a workflow, so that pages must not give one for each view.
const fresh = 2 * time.Second

// cache holds the answers of the last seconds. Several requests for the same
// answer wait for one command.
type cache struct {
	now func() time.Time

	mu  sync.Mutex
	all map[string]*cached
}

type cached struct {
	done   chan struct{}
	at     time.Time
	answer json.RawMessage
	err    error
}

func newCache(now func() time.Time) *cache { return &cache{now: now, all: map[string]*cached{}} }

// get returns the answer stored under key, or the one that ask brings. Errors
// are not kept.
func (c *cache) get(key string, ask func() (json.RawMessage, error)) (json.RawMessage, error) {
	c.mu.Lock()
	now := c.now()
	for k, e := range c.all {
		if !e.at.IsZero() && now.Sub(e.at) > fresh {
			delete(c.all, k)
		}
	}
	if e, ok := c.all[key]; ok {
		c.mu.Unlock()
		<-e.done
		return e.answer, e.err
	}
	e := &cached{done: make(chan struct{})}
	c.all[key] = e
	c.mu.Unlock()

	e.answer, e.err = ask()
	c.mu.Lock()
	e.at = c.now()
	if e.err != nil && c.all[key] == e {
		delete(c.all, key)
	}
	c.mu.Unlock()
	close(e.done)
	return e.answer, e.err
}

// clear forgets all answers: something was changed.
func (c *cache) clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.all)
}
