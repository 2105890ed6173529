package postgres

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/segment-export/segment-export/internal/segment"
)

// reader reads a segment as the server sends it: nothing is held but the row.
type reader struct {
	ctx    context.Context
	open   *session
	name   string
	sql    string
	places []int       // of each field asked for, among those selected
	as     []converter // of each column selected
	view   [8]byte
	row    int64
	result *pgconn.ResultReader // nil until the first row is asked for
	values []string
	texts  []string
	buf    []byte
	ended  error
}

func newReader(ctx context.Context, open *session, name string, rel relation, columns []column, fields []string) (*reader, error) {
	r := &reader{ctx: ctx, open: open, name: name, values: make([]string, len(fields))}
	_, _ = rand.Read(r.view[:])
	types := make(map[string]uint32, len(columns))
	for _, c := range columns {
		types[c.name] = c.oid
	}
	places := make(map[string]int, len(fields)) // of the fields seen so far
	var missing, selected []string
	for _, field := range fields {
		if place, again := places[field]; again {
			r.places = append(r.places, place)
			continue
		}
		oid, there := types[field]
		if !there {
			missing = append(missing, field)
		}
		places[field] = len(selected)
		r.places = append(r.places, len(selected))
		r.as = append(r.as, converterOf(oid))
		selected = append(selected, bounded(field, oid))
	}
	if len(missing) > 0 {
		return nil, &segment.MissingFieldsError{Place: open.source.place(name), Missing: missing, Fields: rel.fields}
	}
	r.texts = make([]string, len(selected))
	r.sql = "SELECT " + strings.Join(selected, ", ") + " FROM " + rel.from + " AS segment ORDER BY segment." + identifier(rel.id)
	return r, nil
}

// Next returns the next row.
func (r *reader) Next() (segment.Row, error) {
	if r.ended != nil {
		return segment.Row{}, r.ended
	}
	if r.result == nil {
		r.open.listen(r.open.source.silences.first)
		r.result = r.open.conn.ExecParams(r.ctx, r.sql, nil, nil, nil, nil)
	}
	if r.row%64 == 0 && r.ctx.Err() != nil {
		r.ended = r.ctx.Err()
		return segment.Row{}, r.ended
	}
	if !r.result.NextRow() {
		r.ended = io.EOF
		if _, err := r.result.Close(); err != nil {
			r.ended = r.open.source.fault(r.ctx, r.name, err)
		}
		return segment.Row{}, r.ended
	}
	if r.row++; r.row == 1 {
		r.open.listen(r.open.source.silences.next)
	}
	raw := r.result.Values()
	if long := segment.Long(raw); long != "" {
		return segment.Row{Number: r.row, Problem: long}, nil
	}
	if !r.convert(raw) {
		return segment.Row{Number: r.row, Problem: segment.ProblemEncoding}, nil
	}
	return segment.Row{Number: r.row, Values: r.values}, nil
}

// convert makes the values of a row. They share one string.
func (r *reader) convert(raw [][]byte) bool {
	buf := r.buf[:0]
	ends := make([]int, 0, 32)
	for i, value := range raw {
		if value != nil { // else it is null
			buf = r.as[i](buf, value)
		}
		ends = append(ends, len(buf))
	}
	r.buf = buf
	if !utf8.Valid(buf) { // a database of the encoding SQL_ASCII holds anything
		return false
	}
	all, start := string(buf), 0
	for i, end := range ends {
		r.texts[i] = all[start:end]
		start = end
	}
	for i, place := range r.places {
		r.values[i] = r.texts[place]
	}
	return true
}

// Cursor names the view and the row; no view outlives its reader.
func (r *reader) Cursor() segment.Cursor {
	return binary.AppendUvarint(slices.Clone(r.view[:]), uint64(r.row))
}

// Close ends the transaction.
func (r *reader) Close() error {
	r.open.close()
	return nil
}
