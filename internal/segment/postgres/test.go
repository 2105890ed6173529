package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/segment-export/segment-export/internal/segment"
)

// Test looks whether the role gets in, what it may do, and whether a first page
// can be read.
func (s *Source) Test(ctx context.Context) ([]segment.Check, error) {
	open, err := s.begin(ctx, metadataTimeout)
	if err != nil {
		return failed(ctx, nil, "login", err)
	}
	defer open.close()
	checks := []segment.Check{s.login(open)}
	role, err := open.query(ctx, "", "SELECT rolsuper, has_schema_privilege(current_user, n.oid, 'CREATE'), has_schema_privilege(current_user, n.oid, 'USAGE') FROM pg_catalog.pg_roles LEFT JOIN pg_catalog.pg_namespace n ON n.nspname = $1 WHERE rolname = current_user", s.config.schema())
	if err != nil {
		return failed(ctx, checks, "permissions", err)
	}
	if len(role) == 1 {
		checks = append(checks, s.permissions(string(role[0][0]) == "t" || string(role[0][1]) == "t", role[0][2]))
	}
	all, err := open.relations(ctx)
	if err != nil {
		return failed(ctx, checks, "segments", err)
	}
	found, usable := s.segments(all)
	checks = append(checks, found)
	if len(usable) == 0 {
		return checks, nil
	}
	for _, name := range usable {
		rows, err := s.page(ctx, name)
		if err != nil {
			return failed(ctx, checks, "first page of "+name, err)
		}
		checks = append(checks, segment.Check{Name: "first page of " + name, OK: true, Detail: fmt.Sprintf("%d rows", rows)})
		if _, isQuery := s.config.Queries[name]; !isQuery {
			break // all tables are alike, each query is its own
		}
	}
	return checks, nil
}

func failed(ctx context.Context, checks []segment.Check, name string, err error) ([]segment.Check, error) {
	if ctx.Err() != nil {
		return checks, ctx.Err()
	}
	c := segment.Check{Name: name, Detail: err.Error()}
	if e, ok := errors.AsType[*segment.AccessError](err); ok {
		c.Detail, c.Action = e.Message, e.Action
	}
	return append(checks, c), nil
}

func (s *Source) login(open *session) segment.Check {
	c := segment.Check{Name: "login", OK: true, Detail: fmt.Sprintf("as %s to %s at %s, PostgreSQL %s", s.config.User, s.config.Database, s.config.server(), open.conn.ParameterStatus("server_version"))}
	switch s.config.mode() {
	case TLSDisable:
		c.Detail += ", without TLS on this machine"
	case TLSRequire:
		c.Action = "the server's certificate is not verified: use --tls verify-full with --ca-file"
	case TLSVerifyFull, TLSVerifyCA:
		c.Detail += ", the certificate is verified"
	}
	return c
}

func (s *Source) permissions(writes bool, usage []byte) segment.Check {
	c := segment.Check{Name: "permissions", OK: true, Detail: "the role reads only"}
	switch {
	case s.config.ID != "" && usage == nil:
		c.OK, c.Detail = false, fmt.Sprintf("there is no schema %q", s.config.schema())
		c.Action = "put it right: starter source edit NAME --schema SCHEMA"
	case s.config.ID != "" && string(usage) != "t":
		c.OK, c.Detail = false, fmt.Sprintf("the role %q may not look into the schema %q", s.config.User, s.config.schema())
		c.Action = fmt.Sprintf("have it granted: GRANT USAGE ON SCHEMA %s TO %s", identifier(s.config.schema()), identifier(s.config.User))
	case writes:
		c.Detail = "the role may do more than read"
		c.Action = "reading is all that is needed: use a role of its own with SELECT alone"
	}
	return c
}

// segments says what there is, and which segments to try: one table or view, and
// every query.
func (s *Source) segments(all map[string]relation) (segment.Check, []string) {
	var usable, denied []string
	tables := 0
	for _, name := range slices.Sorted(maps.Keys(all)) {
		_, isQuery := s.config.Queries[name]
		switch {
		case all[name].denied:
			denied = append(denied, name)
		case isQuery:
			usable = append([]string{name}, usable...)
		default:
			if tables++; tables == 1 {
				usable = append(usable, name)
			}
		}
	}
	c := segment.Check{Name: "segments", OK: len(usable) > 0,
		Detail: fmt.Sprintf("%d tables and views with the column %q, %d queries", tables, s.config.ID, len(s.config.Queries))}
	if len(denied) > 0 {
		c.Detail += "; not to be read: " + strings.Join(denied, ", ")
		c.Action = s.grants(denied[0], false)
	} else if !c.OK {
		c.Action = fmt.Sprintf("make a table or view with that column in the schema %q, or name the column that they have (--id-column)", s.config.schema())
	}
	return c, usable
}

// page reads the first rows of a segment as a run does.
func (s *Source) page(ctx context.Context, name string) (int, error) {
	const most = 100
	info, err := s.Describe(ctx, name)
	if err != nil {
		return 0, err
	}
	r, err := s.Open(ctx, name, info.Fields, nil)
	if err != nil {
		return 0, err
	}
	defer func() { _ = r.Close() }()
	rows := 0
	for ; rows < most; rows++ {
		if _, err := r.Next(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return rows, err
		}
	}
	return rows, nil
}
