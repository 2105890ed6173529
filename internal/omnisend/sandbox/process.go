package sandbox

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"
)

// advance processes the batches whose time has come. It is called before
// anything is looked at, so that everything follows the injected clock and
// nothing runs in the background. Batches that are due together are processed in a random
// order: Omnisend promises none.
func (s *Sandbox) advance(b *brand, now time.Time) {
	var due []*batch
	b.open = slices.DeleteFunc(b.open, func(t *batch) bool {
		if now.Before(t.end) {
			return false
		}
		due = append(due, t)
		return true
	})
	s.random.Shuffle(len(due), func(i, j int) { due[i], due[j] = due[j], due[i] })
	for _, t := range due {
		s.process(b, t)
	}
}

func (s *Sandbox) process(b *brand, t *batch) {
	for _, email := range t.emails {
		if b.inOpen[email]--; b.inOpen[email] == 0 {
			delete(b.inOpen, email)
		}
	}
	limit := s.o.Faults.StopAfterErrors
	for i, item := range t.items {
		if t.stopAt > 0 && i >= t.stopAt || limit > 0 && t.failed >= limit {
			t.stopped = true
			break
		}
		res := s.processItem(b, item, t.end)
		t.finished++
		if res.code >= http.StatusBadRequest {
			t.failed++
		}
		res.id, res.request = s.newID(t.created), item
		t.results = append(t.results, res)
	}
	t.items, t.emails, t.done = nil, nil, true
	s.touch(b, keptBatch, t.id, t)
}

// processItem does with one item what POST /contacts would do with it.
func (s *Sandbox) processItem(b *brand, item json.RawMessage, now time.Time) result {
	f := s.o.Faults
	if s.hit(f.ItemBusy) {
		p := newProblem(http.StatusServiceUnavailable, "problem", "Service unavailable")
		return result{code: p.Status, problem: &p}
	}
	w, fields := parseContact(item)
	w.requireEmail(&fields)
	email := strings.ToLower(w.email)
	if refusedByChance(email, f.ItemRefused) || w.has(f.PoisonItems) {
		fields = append(fields, fieldError{"identifiers[0].id", "invalid", email + " cannot be taken"})
	}
	if len(fields) > 0 {
		p := validation(fields)
		return result{code: p.Status, problem: &p}
	}
	c, isNew := s.upsert(b, w, now)
	if isNew {
		return result{code: http.StatusCreated, contact: c}
	}
	return result{code: http.StatusOK, contact: c}
}
