// Package postgres reads segments from a PostgreSQL database: each table or view
// of a schema that has the id column is one, and each query that the settings
// name. A role that may only read suffices.
//
// A segment is read in one go, ordered by its id column, in one read-only
// transaction that sees the data as it was when the read began. That view ends
// with the connection: an interrupted read starts from the beginning.
//
// Values are text as a CSV file would have it: dates and times in ISO 8601 (UTC
// where a time zone is known), numbers with a point, true and false, lists of
// values as JSON, nothing for null.
package postgres

import (
	"crypto/x509"
	"fmt"
	"net"
	"slices"
	"strings"

	"github.com/segment-export/segment-export/internal/spelling"
)

// TLS is how the connection is protected.
type TLS string

// The modes, as PostgreSQL's own programs call them.
const (
	TLSVerifyFull TLS = "verify-full" // encrypted, to the server of that name
	TLSVerifyCA   TLS = "verify-ca"   // encrypted, to a server that the authority knows
	TLSRequire    TLS = "require"     // encrypted, to any server
	TLSDisable    TLS = "disable"     // only on this machine
)

var modes = []string{string(TLSVerifyFull), string(TLSVerifyCA), string(TLSRequire), string(TLSDisable)}

const (
	defaultPort   = 5432
	defaultSchema = "public"
)

// Config is what an administrator says of a database. The password is not in it.
type Config struct {
	Host     string `json:"host"` // name, address, or the folder of a socket
	Port     int    `json:"port,omitempty"`
	Database string `json:"database"`
	User     string `json:"user"`
	// TLS is, when empty, TLSVerifyFull, and TLSDisable on this machine.
	TLS TLS    `json:"tls,omitempty"`
	CA  string `json:"ca,omitempty"` // certificates in PEM; empty: those that the system trusts
	// Schema has the tables and views that are segments; empty: public.
	Schema string `json:"schema,omitempty"`
	// ID is the column with the customer id, in tables, views and queries. Without
	// it only queries that have their own are segments.
	ID      string           `json:"id,omitempty"`
	Queries map[string]Query `json:"queries,omitempty"`
}

// Query is a segment that a query gives.
type Query struct {
	SQL string `json:"sql"`
	ID  string `json:"id,omitempty"` // its id column; empty: Config's
}

// Check says what is wrong with a configuration, for the person who entered it.
func (c Config) Check() error {
	switch {
	case c.Host == "":
		return fmt.Errorf("the host is missing: a name such as db.example.com, or the folder of a socket")
	case c.Database == "":
		return fmt.Errorf("the name of the database is missing")
	case c.User == "":
		return fmt.Errorf("the user is missing: the role to log in as")
	case c.Port < 0 || c.Port > 65535:
		return fmt.Errorf("%d is not a port", c.Port)
	case strings.ContainsAny(c.Host+c.Database+c.User+c.Schema+c.ID, "\x00"):
		return fmt.Errorf("the settings hold a character that no name has")
	case c.ID == "" && len(c.Queries) == 0:
		return fmt.Errorf("say which column has the customer id (--id-column): tables and views with that column are segments")
	}
	if err := c.checkTLS(); err != nil {
		return err
	}
	for name, q := range c.Queries {
		switch {
		case name == "" || strings.TrimSpace(name) != name:
			return fmt.Errorf("%q cannot be the name of a query", name)
		case strings.TrimSpace(q.SQL) == "":
			return fmt.Errorf("the query %q is empty", name)
		case q.ID == "" && c.ID == "":
			return fmt.Errorf("say which column of the query %q has the customer id (--query-id)", name)
		}
	}
	return nil
}

func (c Config) checkTLS() error {
	if c.TLS != "" && !slices.Contains(modes, string(c.TLS)) {
		hint := ""
		if near := spelling.Nearest(string(c.TLS), modes); near != "" {
			hint = fmt.Sprintf("; did you mean %s?", near)
		}
		return fmt.Errorf("%q is no mode of TLS; there are %s%s", c.TLS, strings.Join(modes, ", "), hint)
	}
	if c.TLS == TLSDisable && !c.local() {
		return fmt.Errorf("without TLS personal data would travel to %s in clear; that is possible only on this machine", c.Host)
	}
	if c.CA != "" && !x509.NewCertPool().AppendCertsFromPEM([]byte(c.CA)) {
		return fmt.Errorf("the certificates of the authority are not in PEM: the file begins with -----BEGIN CERTIFICATE-----")
	}
	return nil
}

// socket says whether the host is the folder of a socket.
func (c Config) socket() bool { return strings.HasPrefix(c.Host, "/") }

// local says whether the server is on this machine.
func (c Config) local() bool {
	ip := net.ParseIP(c.Host)
	return c.socket() || strings.EqualFold(c.Host, "localhost") || ip != nil && ip.IsLoopback()
}

func (c Config) mode() TLS {
	switch {
	case c.socket():
		return TLSDisable
	case c.TLS != "":
		return c.TLS
	case c.local():
		return TLSDisable
	}
	return TLSVerifyFull
}

func (c Config) port() int {
	if c.Port == 0 {
		return defaultPort
	}
	return c.Port
}

func (c Config) schema() string {
	if c.Schema == "" {
		return defaultSchema
	}
	return c.Schema
}

// server names the server for messages.
func (c Config) server() string {
	if c.socket() {
		return c.Host
	}
	return fmt.Sprintf("%s:%d", c.Host, c.port())
}
