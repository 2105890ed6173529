package postgres

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/segment-export/segment-export/internal/segment"
)

// What the server says of an error may quote the data of customers, so none of
// its words are passed on: only its codes, in words of ours.

func refused(action, format string, args ...any) error {
	return &segment.AccessError{Message: fmt.Sprintf(format, args...), Action: action}
}

// connectFault says why there is no connection.
func (s *Source) connectFault(ctx context.Context, err error) error {
	c := s.config
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		switch e.Code {
		case "28P01":
			return refused("give the role's password: starter source edit NAME --credential-file FILE",
				"PostgreSQL at %s does not accept the password of the role %q", c.server(), c.User)
		case "28000":
			return refused("make the role with LOGIN, and let it in from the worker's machine in pg_hba.conf",
				"PostgreSQL at %s does not let the role %q in to the database %q from this worker", c.server(), c.User, c.Database)
		case "3D000":
			return refused("put the database's name right: starter source edit NAME --database NAME", "PostgreSQL at %s has no database %q", c.server(), c.Database)
		case "42501":
			return refused(fmt.Sprintf("have it granted: GRANT CONNECT ON DATABASE %s TO %s", identifier(c.Database), identifier(c.User)),
				"the role %q may not connect to the database %q", c.User, c.Database)
		case "53300":
			return &segment.BusyError{Reason: fmt.Sprintf("PostgreSQL at %s has no connection left", c.server()), RetryAfter: 30 * time.Second}
		case "57P03":
			return &segment.BusyError{Reason: fmt.Sprintf("PostgreSQL at %s is starting up or recovering", c.server()), RetryAfter: 10 * time.Second}
		}
		return fmt.Errorf("PostgreSQL at %s refused the connection (SQLSTATE %s)", c.server(), e.Code)
	}
	var (
		verification *tls.CertificateVerificationError
		authority    x509.UnknownAuthorityError
		hostname     x509.HostnameError
		record       tls.RecordHeaderError
		invalid      x509.CertificateInvalidError
	)
	switch {
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return refused("have it renewed at the server; if it is not, set the worker's clock", "the certificate of %s has expired or is not valid yet", c.server())
	case errors.As(err, &hostname):
		return refused("use the name that the certificate is for, or have it issued for this one", "the certificate of %s is for another name: %s", c.server(), hostname.Error())
	case errors.As(err, &authority), errors.As(err, &verification):
		return refused("give the authority's certificate: starter source edit NAME --ca-file FILE", "the certificate of %s cannot be verified", c.server())
	case errors.As(err, &record), strings.Contains(err.Error(), "refused TLS"):
		return refused("turn TLS on at the server (ssl = on)", "PostgreSQL at %s does not speak TLS, and without it personal data would travel in clear", c.server())
	case strings.Contains(err.Error(), "failed SASL auth"), strings.Contains(err.Error(), "password"):
		return refused("give the role's password: starter source edit NAME --credential-file FILE", "PostgreSQL at %s asks for a password of the role %q that it accepts", c.server(), c.User)
	}
	return fmt.Errorf("no connection to PostgreSQL at %s: %s", c.server(), segment.NetworkCause(err))
}

// fault says what went wrong on a connection; segment is empty for questions
// about no segment in particular.
func (s *Source) fault(ctx context.Context, name string, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	what := "the database"
	_, isQuery := s.config.Queries[name]
	switch {
	case isQuery:
		what = fmt.Sprintf("the query %q", name)
	case name != "":
		what = fmt.Sprintf("the table or view %q", name)
	}
	if silent, ok := errors.AsType[*silenceError](err); ok {
		return fmt.Errorf("PostgreSQL at %s sent nothing for %s while %s was read: the server hangs, or something on the way to it does", s.config.server(), silent.lasted, what)
	}
	e, ok := errors.AsType[*pgconn.PgError](err)
	if !ok {
		return fmt.Errorf("the connection to PostgreSQL at %s was lost: %s", s.config.server(), segment.NetworkCause(err))
	}
	switch class := e.Code[:min(2, len(e.Code))]; {
	case e.Code == "42501":
		return refused(s.grants(name, isQuery), "the role %q may not read %s", s.config.User, what)
	case e.Code == "57014":
		return refused(fmt.Sprintf("index the id column, make it quicker, or raise statement_timeout of the role %q", s.config.User),
			"PostgreSQL stopped reading %s because it took too long", what)
	case e.Code == "25006":
		return segment.Malformed("%s wants to change data; it may only read", what)
	case e.Code == "42P01" || e.Code == "3F000":
		return segment.Malformed("%s names a table or schema that is not there", what)
	case e.Code == "42703":
		return segment.Malformed("%s names a column that is not there", what)
	case e.Code == "42601":
		return segment.Malformed("%s is not SQL that PostgreSQL understands; write one SELECT, with nothing after its semicolon, not even a comment", what)
	case class == "42":
		return segment.Malformed("%s cannot be carried out (SQLSTATE %s)", what, e.Code)
	case class == "22":
		return segment.Malformed("%s meets a value that it cannot work with (SQLSTATE %s)", what, e.Code)
	case class == "53":
		return &segment.BusyError{Reason: fmt.Sprintf("PostgreSQL at %s is out of resources (SQLSTATE %s)", s.config.server(), e.Code), RetryAfter: time.Minute}
	case class == "40":
		return fmt.Errorf("PostgreSQL at %s canceled the read of %s because it conflicted with replication (SQLSTATE %s)", s.config.server(), what, e.Code)
	}
	return fmt.Errorf("PostgreSQL at %s stopped the read of %s (SQLSTATE %s)", s.config.server(), what, e.Code)
}

func (s *Source) grants(name string, isQuery bool) string {
	role, schema := identifier(s.config.User), identifier(s.config.schema())
	if isQuery || name == "" {
		return "have SELECT on its tables granted to " + role
	}
	return fmt.Sprintf("have it granted: GRANT USAGE ON SCHEMA %s TO %s; GRANT SELECT ON %s.%s TO %s", schema, role, schema, identifier(name), role)
}
