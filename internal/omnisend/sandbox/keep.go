package sandbox

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	_ "modernc.org/sqlite" // registers the driver "sqlite"
)

// keeper keeps contacts, batches and segments in an SQLite file. What a request
// changes is written in one transaction before the request is answered, so that
// a process that is killed has lost nothing that it confirmed. Keys, faults and
// counts are not kept.
type keeper struct {
	db      *sql.DB
	changed map[place]any // what to write; nil: to delete
}

// place is where an object stands in the file.
type place struct{ brand, kind, id string }

// The kinds of objects.
const (
	keptContact = "contact"
	keptBatch   = "batch"
	keptSegment = "segment"
)

// openKeeper opens the file, and makes it with mode 0600 when there is none.
func openKeeper(path string) (*keeper, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600) // SQLite would let everybody read it
	if err != nil {
		return nil, err
	}
	if err := file.Close(); err != nil {
		return nil, err
	}
	dsn := url.URL{Scheme: "file", Path: path, RawQuery: "_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)&_pragma=synchronous(NORMAL)"}
	db, err := sql.Open("sqlite", dsn.String())
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	_, err = db.ExecContext(context.Background(), `CREATE TABLE IF NOT EXISTS kept
		(brand TEXT, kind TEXT, id TEXT, body BLOB NOT NULL, PRIMARY KEY (brand, kind, id)) WITHOUT ROWID`)
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return &keeper{db: db, changed: map[place]any{}}, nil
}

// Close closes the file of a sandbox that has one. Requests after it fail.
func (s *Sandbox) Close() error {
	if s.kept == nil {
		return nil
	}
	return s.kept.db.Close()
}

// touch notes that an object has to be written; v nil: deleted.
func (s *Sandbox) touch(b *brand, kind, id string, v any) {
	if s.kept != nil {
		s.kept.changed[place{b.id, kind, id}] = v
	}
}

// keep writes what has changed. What could not be written is tried again with
// the next change.
func (s *Sandbox) keep() error {
	if s.kept == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.kept.changed) == 0 {
		return nil
	}
	ctx := context.Background() // no client may break it off
	tx, err := s.kept.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	for at, v := range s.kept.changed {
		if v == nil {
			_, err = tx.ExecContext(ctx, `DELETE FROM kept WHERE brand = ? AND kind = ? AND id = ?`, at.brand, at.kind, at.id)
		} else {
			err = writeOne(ctx, tx, at, v)
		}
		if err != nil {
			return errors.Join(err, tx.Rollback())
		}
	}
	if err := tx.Commit(); err != nil {
		return err
	}
	clear(s.kept.changed)
	return nil
}

func writeOne(ctx context.Context, tx *sql.Tx, at place, v any) error {
	if t, ok := v.(*batch); ok {
		v = t.kept()
	}
	body, err := json.Marshal(v)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `INSERT OR REPLACE INTO kept (brand, kind, id, body) VALUES (?, ?, ?, ?)`, at.brand, at.kind, at.id, body)
	return err
}

// load fills the sandbox from its file.
func (s *Sandbox) load() (err error) {
	rows, err := s.kept.db.QueryContext(context.Background(), `SELECT brand, kind, id, body FROM kept`)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	var batches []wholeBatch
	for rows.Next() {
		var at place
		var body []byte
		if err := rows.Scan(&at.brand, &at.kind, &at.id, &body); err != nil {
			return err
		}
		b := s.brand(at.brand)
		switch at.kind {
		case keptContact:
			c := &Contact{}
			if err := json.Unmarshal(body, c); err != nil {
				return fmt.Errorf("a contact: %w", err)
			}
			c.fillMaps()
			b.contacts[at.id] = c
			for number := range c.Phones {
				b.phones[number] = at.id
			}
			s.countID(c.ID)
		case keptSegment:
			g := &Segment{}
			if err := json.Unmarshal(body, g); err != nil {
				return fmt.Errorf("a segment: %w", err)
			}
			b.rules = append(b.rules, g)
			s.countID(g.ID)
		case keptBatch:
			var t wholeBatch
			if err := json.Unmarshal(body, &t); err != nil {
				return fmt.Errorf("a batch: %w", err)
			}
			t.Brand = at.brand
			batches = append(batches, t)
		}
	}
	for _, t := range batches {
		s.addBatch(t)
	}
	for _, b := range s.brands {
		slices.SortFunc(b.batches, func(x, y *batch) int { return cmp.Compare(x.id, y.id) })
		slices.SortFunc(b.rules, func(x, y *Segment) int { return cmp.Compare(x.ID, y.ID) })
	}
	return rows.Err()
}

// countID keeps new ids apart from one that is there.
func (s *Sandbox) countID(id string) {
	var n uint64
	if len(id) == 24 {
		if _, err := fmt.Sscanf(id[8:], "%x", &n); err == nil {
			s.lastID = max(s.lastID, n)
		}
	}
}

// wholeBatch is a batch as the file has it.
type wholeBatch struct {
	Brand    string            `json:"-"`
	ID       string            `json:"id"`
	Origin   string            `json:"origin"`
	Created  time.Time         `json:"created"`
	Start    time.Time         `json:"start"`
	End      time.Time         `json:"end"`
	Total    int               `json:"total"`
	Finished int               `json:"finished"`
	Failed   int               `json:"failed"`
	Items    []json.RawMessage `json:"items,omitempty"`
	Emails   []string          `json:"emails,omitempty"`
	Results  []wholeResult     `json:"results,omitempty"`
	StopAt   int               `json:"stop_at,omitempty"`
	Done     bool              `json:"done"`
	Stopped  bool              `json:"stopped"`
}

type wholeResult struct {
	ID      string          `json:"id"`
	Request json.RawMessage `json:"request"`
	Code    int             `json:"code"`
	Problem *problem        `json:"problem,omitempty"`
	Contact string          `json:"contact,omitempty"` // its address in lower case
}

func (t *batch) kept() wholeBatch {
	out := wholeBatch{ID: t.id, Origin: t.origin, Created: t.created, Start: t.start, End: t.end, Total: t.total, Finished: t.finished,
		Failed: t.failed, Items: t.items, Emails: t.emails, StopAt: t.stopAt, Done: t.done, Stopped: t.stopped}
	for _, r := range t.results {
		kept := wholeResult{ID: r.id, Request: r.request, Code: r.code, Problem: r.problem}
		if r.contact != nil {
			kept.Contact = strings.ToLower(r.contact.Email)
		}
		out.Results = append(out.Results, kept)
	}
	return out
}

// addBatch puts a batch of the file into its brand.
func (s *Sandbox) addBatch(w wholeBatch) {
	b := s.brand(w.Brand)
	t := &batch{id: w.ID, origin: w.Origin, created: w.Created, start: w.Start, end: w.End, total: w.Total, finished: w.Finished,
		failed: w.Failed, items: w.Items, emails: w.Emails, stopAt: w.StopAt, done: w.Done, stopped: w.Stopped}
	s.countID(t.id)
	for _, r := range w.Results {
		t.results = append(t.results, result{id: r.ID, request: r.Request, code: r.Code, problem: r.Problem, contact: b.contacts[r.Contact]})
		s.countID(r.ID)
	}
	b.batches = append(b.batches, t)
	b.byID[t.id] = t
	if !t.done {
		b.open = append(b.open, t)
		for _, email := range t.emails {
			b.inOpen[email]++
		}
	}
}
