package postgres

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5/pgtype"

	"github.com/segment-export/segment-export/internal/segment"
)

// converter appends a value, as PostgreSQL writes it, as a CSV file would have
// it.
type converter func(dst, text []byte) []byte

func converterOf(oid uint32) converter {
	switch oid {
	case pgtype.BoolOID:
		return appendBool
	case pgtype.TimestampOID, pgtype.TimestamptzOID:
		return appendTime
	case pgtype.BPCharOID:
		return func(dst, text []byte) []byte { return append(dst, bytes.TrimRight(text, " ")...) } // padding means nothing
	case pgtype.TextArrayOID, pgtype.VarcharArrayOID, pgtype.BPCharArrayOID, pgtype.NameArrayOID,
		pgtype.Int2ArrayOID, pgtype.Int4ArrayOID, pgtype.Int8ArrayOID, pgtype.NumericArrayOID, pgtype.Float8ArrayOID, pgtype.UUIDArrayOID:
		return appendList
	}
	return func(dst, text []byte) []byte { return append(dst, text...) }
}

// bounded selects a column, and of what may be of any length only as much as
// shows that it is too long: pgconn holds whole rows, and a value may have a
// gigabyte.
func bounded(field string, oid uint32) string {
	column := "segment." + identifier(field)
	switch oid {
	case pgtype.BoolOID, pgtype.Int2OID, pgtype.Int4OID, pgtype.Int8OID, pgtype.Float4OID, pgtype.Float8OID, pgtype.UUIDOID,
		pgtype.DateOID, pgtype.TimeOID, pgtype.TimestampOID, pgtype.TimestamptzOID:
		return column
	}
	return fmt.Sprintf("left(%s::text, %d)", column, segment.MaxField+1)
}

func appendBool(dst, text []byte) []byte {
	if string(text) == "t" {
		return append(dst, "true"...)
	}
	return append(dst, "false"...)
}

// appendTime makes 2026-01-02T03:04:05Z of 2026-01-02 03:04:05+00: all sessions
// are in UTC. What is no such time, such as infinity, stays as it is.
func appendTime(dst, text []byte) []byte {
	const space = len("2026-01-02")
	if len(text) <= space || text[space] != ' ' {
		return append(dst, text...)
	}
	dst = append(append(append(dst, text[:space]...), 'T'), text[space+1:]...)
	if bytes.HasSuffix(text, []byte("+00")) {
		dst = append(dst[:len(dst)-len("+00")], 'Z')
	}
	return dst
}

// appendList makes a JSON array of texts of a one-dimensional array; nulls are
// left out. What has more dimensions stays as it is.
func appendList(dst, text []byte) []byte {
	var items []string
	m := pgtype.NewMap()
	var found []*string
	if err := m.Scan(pgtype.TextArrayOID, pgtype.TextFormatCode, slices.Clone(text), &found); err != nil {
		return append(dst, text...)
	}
	for _, item := range found {
		if item != nil {
			items = append(items, *item)
		}
	}
	if len(items) == 0 {
		return dst
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(items); err != nil {
		return append(dst, text...)
	}
	return append(dst, bytes.TrimRight(b.Bytes(), "\n")...)
}
