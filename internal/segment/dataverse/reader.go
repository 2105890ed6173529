package dataverse

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"sync"

	"github.com/segment-export/segment-export/internal/segment"
)

// checkRows is after how many rows a cancelled context is noticed at the latest.
const checkRows = 512

// reader reads the rows of one segment. Two goroutines work ahead of it: one
// reads pages of members, one their profiles; each is a page ahead at most.
type reader struct {
	ctx    context.Context //nolint:containedctx // a reader lives as long as the call that opened it
	stop   context.CancelFunc
	done   *sync.WaitGroup
	source *Source
	tables *tables
	name   string
	fields []string
	pages  <-chan readAhead

	page  []profileRow
	at    position // after the last row
	ended error    // what Next returns from now on
	notes []string
}

type readAhead struct {
	page []profileRow
	err  error
}

// profileRow is a member with its profile.
type profileRow struct {
	id string
	profile
}

var _ segment.Noter = (*reader)(nil)

func (s *Source) reader(ctx context.Context, name string, t *tables, fields []string, from position) *reader {
	ctx, stop := context.WithCancel(ctx)
	r := &reader{ctx: ctx, stop: stop, done: &sync.WaitGroup{}, source: s, tables: t, name: name, fields: fields, at: from}
	m := newMembers(s.client, t.members, name, from.id)
	p := newProfiles(s.client, t.profiles, fields)
	members := make(chan memberAhead, 1)
	pages := make(chan readAhead, 1)
	r.pages = pages
	r.done.Go(func() {
		defer close(members)
		m.ahead(ctx, members)
	})
	r.done.Go(func() {
		defer close(pages)
		p.ahead(ctx, members, pages)
	})
	return r
}

type memberAhead struct {
	page memberPage
	err  error
}

// ahead reads all pages of members, each when the one before was taken.
func (m *members) ahead(ctx context.Context, out chan<- memberAhead) {
	for !m.scan.ended {
		page, err := m.next(ctx)
		select {
		case out <- memberAhead{page, err}:
		case <-ctx.Done():
			return
		}
		if err != nil {
			return
		}
	}
}

// ahead reads the profiles of each page of members.
func (p *profiles) ahead(ctx context.Context, in <-chan memberAhead, out chan<- readAhead) {
	for members := range in {
		rest, next := members.page.rows, readAhead{err: members.err}
		for {
			if next.err == nil {
				next.page, rest, next.err = p.next(ctx, rest)
			}
			select {
			case out <- next:
			case <-ctx.Done():
				return
			}
			if next.err != nil {
				return
			}
			if len(rest) == 0 {
				break
			}
		}
	}
}

// rows joins members with their profiles, in the order of the members.
func (p *profiles) rows(ctx context.Context, rows []member) ([]profileRow, error) {
	if len(rows) == 0 {
		return nil, nil
	}
	found, err := p.of(ctx, rows)
	if err != nil {
		return nil, err
	}
	joined := make([]profileRow, len(rows))
	for i, m := range rows {
		row, ok := found[m.id]
		switch {
		case m.problem != "":
			row = profile{problem: m.problem}
		case !ok:
			row = profile{problem: ProblemNoProfile}
		}
		joined[i] = profileRow{m.id, row}
	}
	return joined, nil
}

// Next returns the next row, see segment.Reader. A *segment.BusyError is a
// wait: a read can continue from the cursor, in this process or another.
func (r *reader) Next() (segment.Row, error) {
	if r.ended != nil {
		return segment.Row{}, r.ended
	}
	if len(r.page)%checkRows == 0 {
		if err := r.ctx.Err(); err != nil {
			return segment.Row{}, r.end(err)
		}
	}
	for len(r.page) == 0 {
		select {
		case ahead, more := <-r.pages:
			switch {
			case ahead.err != nil:
				return segment.Row{}, r.end(ahead.err)
			case !more && r.ctx.Err() != nil:
				return segment.Row{}, r.end(r.ctx.Err())
			case !more:
				return segment.Row{}, r.end(r.unchanged())
			}
			r.page = ahead.page
		case <-r.ctx.Done():
			return segment.Row{}, r.end(r.ctx.Err())
		}
	}
	next := r.page[0]
	r.page = r.page[1:]
	r.at.id = next.id
	r.at.number++
	row := segment.Row{Number: r.at.number, Problem: next.problem}
	if row.Problem == "" {
		row.Values = next.values
	}
	return row, nil
}

func (r *reader) end(err error) error {
	r.ended = err
	return err
}

// unchanged compares the segment with what it was at the start of the read,
// when all is read: io.EOF when it is the same, or when that is only noted.
func (r *reader) unchanged() error {
	st, err := r.source.look(r.ctx, r.name, r.tables)
	if err != nil {
		return err
	}
	switch {
	case st.blind():
		r.notes = append(r.notes, fmt.Sprintf("segment %q: this environment shows no time of refresh, so a refresh during the read cannot be noticed", r.name))
	case st.running || st.stamp() != r.at.stamp:
		if r.source.config.onChange() == OnChangeReread {
			return fmt.Errorf("segment %q: %w", r.name, segment.ErrChanged)
		}
		r.notes = append(r.notes, fmt.Sprintf("segment %q was refreshed while it was read; the export holds customers of both states", r.name))
	}
	return io.EOF
}

// Notes says what became known at the end, see segment.Noter.
func (r *reader) Notes() []string { return r.notes }

// Cursor returns the position after the last row, see segment.Reader.
func (r *reader) Cursor() segment.Cursor { return r.at.cursor(r.name) }

// Close stops the requests under way and waits for their end.
func (r *reader) Close() error {
	r.stop()
	r.done.Wait()
	if r.ended == nil {
		r.ended = errors.New("the reader is closed")
	}
	return nil
}

// position is a place between two members, and the state of the segment that
// the read began with.
type position struct {
	stamp  stamp
	number int64
	id     string // of the last member; empty at the start
}

// cursorVersion is the first byte of a cursor; another version's cursor makes
// the read begin again.
const cursorVersion = 1

func (p position) cursor(name string) segment.Cursor {
	c := append([]byte{cursorVersion}, p.stamp[:]...)
	c = binary.AppendVarint(c, p.number)
	c = append(c, p.id...)
	return binary.BigEndian.AppendUint32(c, checksum(c, name))
}

// checksum binds a cursor to its segment.
func checksum(c []byte, name string) uint32 {
	return crc32.Update(crc32.ChecksumIEEE(c), crc32.IEEETable, []byte(name))
}

// parseCursor reads a cursor of the segment; ok is false for anything else.
func parseCursor(c segment.Cursor, name string) (p position, ok bool) {
	end := len(c) - crc32.Size
	if end < 1+len(p.stamp)+1 || c[0] != cursorVersion || binary.BigEndian.Uint32(c[end:]) != checksum(c[:end], name) {
		return position{}, false
	}
	copy(p.stamp[:], c[1:])
	rest := c[1+len(p.stamp) : end]
	number, size := binary.Varint(rest)
	if size <= 0 || number < 0 || (number == 0) != (len(rest) == size) {
		return position{}, false
	}
	p.number, p.id = number, string(rest[size:])
	return p, true
}
