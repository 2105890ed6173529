package postgres

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/segment-export/segment-export/internal/reason"
	"github.com/segment-export/segment-export/internal/segment"
	"github.com/segment-export/segment-export/internal/spelling"
)

// Source is one database.
type Source struct {
	config   Config
	password []byte
	silences silences
}

var (
	_ segment.Source = (*Source)(nil)
	_ segment.Tester = (*Source)(nil)
	_ segment.Whole  = (*Source)(nil)
)

// New returns the source of a database. The password is nil where the server
// knows the role without one. It makes no connection.
func New(c Config, password []byte) (*Source, error) {
	if err := c.Check(); err != nil {
		return nil, err
	}
	return &Source{config: c, password: slices.Clone(password), silences: usualSilences}, nil
}

// ReadsWhole says that a reader's view ends with it.
func (*Source) ReadsWhole() {}

// relation is what a segment is read from.
type relation struct {
	from   string // after FROM
	id     string // the column to order by
	fields []string
	denied bool // it is there and may not be read
	// granted: it is a table or view that the role has the right to read.
	granted bool
}

// tables lists the tables and views of the schema that have the id column.
const tables = `SELECT c.relname, json_agg(a.attname ORDER BY a.attnum), has_table_privilege(c.oid, 'SELECT') AND has_schema_privilege(n.oid, 'USAGE')
	FROM pg_catalog.pg_class c
	JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
	JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
	WHERE n.nspname = $1 AND c.relkind IN ('r', 'v', 'm', 'f', 'p')
	GROUP BY c.oid, c.relname, n.oid
	HAVING bool_or(a.attname = $2)`

// relations lists what there is, by the segment's name. A query goes before a
// table of the same name.
func (s *session) relations(ctx context.Context) (map[string]relation, error) {
	all := map[string]relation{}
	c := s.source.config
	if c.ID != "" {
		rows, err := s.query(ctx, "", tables, c.schema(), c.ID)
		if err != nil {
			return nil, err
		}
		for _, row := range rows {
			name := string(row[0])
			r := relation{from: identifier(c.schema()) + "." + identifier(name), id: c.ID, granted: string(row[2]) == "t"}
			r.denied = !r.granted
			if err := json.Unmarshal(row[1], &r.fields); err != nil {
				return nil, fmt.Errorf("the columns of the table %q cannot be read", name)
			}
			all[name] = r
		}
	}
	for name, q := range c.Queries {
		// On lines of its own: the query may end in a comment.
		sql := strings.TrimRight(strings.TrimSpace(q.SQL), "; \t\r\n")
		all[name] = relation{from: "(\n" + sql + "\n)", id: cmp.Or(q.ID, c.ID)}
	}
	return all, nil
}

// find returns the relation of a segment with its columns.
func (s *session) find(ctx context.Context, name string) (relation, []column, error) {
	all, err := s.relations(ctx)
	if err != nil {
		return relation{}, nil, err
	}
	r, ok := all[name]
	if !ok {
		return r, nil, s.source.notFound(name, slices.Sorted(maps.Keys(all)))
	}
	columns, err := s.columns(ctx, name, r)
	if errors.Is(err, segment.ErrAccess) && r.granted {
		// The right to the view is there; that to what it reads is not.
		err = refused(fmt.Sprintf("have SELECT on those granted to the view's owner; if the view is made with security_invoker, to %s", identifier(s.source.config.User)),
			"the view %q reads tables that may not be read through it", name)
	}
	if err != nil {
		return r, nil, err
	}
	r.fields = nil
	seen := make(map[string]int, len(columns))
	for i, c := range columns {
		if first, again := seen[c.name]; again {
			return r, nil, segment.Malformed("segment %s: its columns %d and %d have one name; give them names of their own", reason.Names(name), first+1, i+1)
		}
		seen[c.name] = i
		r.fields = append(r.fields, c.name)
	}
	if _, there := seen[r.id]; !there {
		return r, nil, &segment.MissingFieldsError{Place: s.source.place(name), Missing: []string{r.id}, Fields: r.fields}
	}
	return r, columns, nil
}

func (s *Source) place(name string) string {
	if _, ok := s.config.Queries[name]; ok {
		return fmt.Sprintf("the query %q", name)
	}
	return fmt.Sprintf("%s.%s", s.config.schema(), name)
}

// notFound names what exists, the nearest first.
func (s *Source) notFound(name string, names []string) error {
	hint := fmt.Sprintf("no table or view of the schema %q that the role %q may see has the column %q", s.config.schema(), s.config.User, s.config.ID)
	if len(names) > 0 {
		hint = "there is " + reason.Names(names...)
	}
	if near := spelling.Nearest(name, names); near != "" {
		hint = fmt.Sprintf("did you mean %q?", near)
	}
	return segment.NotFound("%s: %v; %s", reason.Names(name), segment.ErrNotFound, hint)
}

// Segments lists tables, views and queries with their columns, and how many rows
// each has where that can be counted quickly.
func (s *Source) Segments(ctx context.Context) ([]segment.Info, error) {
	open, err := s.begin(ctx, metadataTimeout)
	if err != nil {
		return nil, err
	}
	defer open.close()
	all, err := open.relations(ctx)
	if err != nil {
		return nil, err
	}
	infos := []segment.Info{}
	until := time.Now().Add(metadataTimeout / 2)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if all[name].denied {
			continue
		}
		info := segment.Info{Name: name, Fields: all[name].fields}
		if time.Now().Before(until) {
			info.Members = s.count(ctx, name, all[name])
		}
		infos = append(infos, info)
	}
	return infos, ctx.Err()
}

// count counts a segment's rows, on a connection of its own: one that takes too
// long is canceled with its transaction.
func (s *Source) count(ctx context.Context, name string, r relation) *int64 {
	open, err := s.begin(ctx, countTimeout)
	if err != nil {
		return nil
	}
	defer open.close()
	rows, err := open.query(ctx, name, "SELECT count(*) FROM "+r.from+" AS segment")
	if err != nil || len(rows) != 1 {
		return nil
	}
	n, err := strconv.ParseInt(string(rows[0][0]), 10, 64)
	if err != nil {
		return nil
	}
	return &n
}

// Describe returns a segment's columns.
func (s *Source) Describe(ctx context.Context, name string) (segment.Info, error) {
	open, err := s.begin(ctx, metadataTimeout)
	if err != nil {
		return segment.Info{}, err
	}
	defer open.close()
	r, _, err := open.find(ctx, name)
	return segment.Info{Name: name, Fields: r.fields}, err
}

// Open begins a transaction to read a segment in. With a cursor it says that
// its view is gone.
func (s *Source) Open(ctx context.Context, name string, fields []string, after segment.Cursor) (segment.Reader, error) {
	open, err := s.begin(ctx, readTimeout)
	if err != nil {
		return nil, err
	}
	r, columns, err := open.find(ctx, name)
	if err == nil && after != nil {
		err = &segment.ChangedError{Reason: "the read was interrupted, and its view of the data ended with the transaction in PostgreSQL"}
	}
	var reader *reader
	if err == nil {
		reader, err = newReader(ctx, open, name, r, columns, fields)
	}
	if err != nil {
		open.close()
		return nil, err
	}
	return reader, nil
}
