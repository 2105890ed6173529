package postgres

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

const (
	connectTimeout = 10 * time.Second
	// metadataTimeout is how long a question about tables may take.
	metadataTimeout = 20 * time.Second
	// countTimeout is how long the rows of one segment are counted for a listing.
	countTimeout = 2 * time.Second
	// readTimeout bounds one read of a segment: below the half hour that a step
	// of a run may take, so that the run says what takes too long.
	readTimeout = 25 * time.Minute
)

// silences are how long a connection is listened to while nothing comes.
type silences struct {
	metadata time.Duration // after a question about tables; beyond the server's own limit
	first    time.Duration // before the first row: the server may be sorting; beyond its own limit too
	next     time.Duration // between rows
}

var usualSilences = silences{metadata: metadataTimeout + 5*time.Second, first: readTimeout + time.Minute, next: 5 * time.Minute}

// connConfig turns the settings into the library's, which would else take what
// is missing from the worker's own environment.
func (s *Source) connConfig(silence *atomic.Int64) (*pgconn.Config, error) {
	c := s.config
	var text strings.Builder
	for _, pair := range [][2]string{{"host", c.Host}, {"port", strconv.Itoa(c.port())}, {"dbname", c.Database}, {"user", c.User}, {"password", "x"},
		{"sslmode", "disable"}, {"sslcert", ""}, {"sslkey", ""}, {"sslrootcert", ""}, {"passfile", "/dev/null"}, {"target_session_attrs", "any"},
		{"application_name", "segment-export"}} {
		value := strings.ReplaceAll(strings.ReplaceAll(pair[1], `\`, `\\`), `'`, `\'`)
		fmt.Fprintf(&text, "%s='%s' ", pair[0], value)
	}
	config, err := pgconn.ParseConfig(text.String())
	if err != nil {
		return nil, errors.New("the settings cannot be used to connect; look at host, database and user")
	}
	config.Password = string(s.password)
	config.ConnectTimeout = connectTimeout
	dialer := &net.Dialer{KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 15 * time.Second, Interval: 15 * time.Second, Count: 4}}
	config.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dialer.DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return &listening{Conn: conn, most: silence}, nil
	}
	config.TLSConfig, err = c.tls()
	config.Fallbacks = nil
	return config, err
}

// tls is what the mode asks for; nil for none.
func (c Config) tls() (*tls.Config, error) {
	t := &tls.Config{ServerName: c.Host, MinVersion: tls.VersionTLS12}
	if c.CA != "" {
		t.RootCAs = x509.NewCertPool()
		if !t.RootCAs.AppendCertsFromPEM([]byte(c.CA)) {
			return nil, c.checkTLS()
		}
	}
	switch c.mode() {
	case TLSDisable:
		return nil, nil //nolint:nilnil // there is none
	case TLSRequire:
		t.InsecureSkipVerify = true // what the mode means
	case TLSVerifyCA:
		t.InsecureSkipVerify = true // the chain is verified below, the name is not
		t.VerifyConnection = func(state tls.ConnectionState) error {
			o := x509.VerifyOptions{Roots: t.RootCAs, Intermediates: x509.NewCertPool()}
			for _, cert := range state.PeerCertificates[1:] {
				o.Intermediates.AddCert(cert)
			}
			_, err := state.PeerCertificates[0].Verify(o)
			return err
		}
	case TLSVerifyFull:
	}
	return t, nil
}

// session is one connection in one read-only transaction, which sees one state
// of the data.
type session struct {
	source  *Source
	conn    *pgconn.PgConn
	silence *atomic.Int64 // how long to listen while nothing comes, in nanoseconds
}

// listen says how long to listen from now on while nothing comes.
func (s *session) listen(most time.Duration) { s.silence.Store(int64(most)) }

// begin connects and begins a transaction in which each statement may take that
// long.
func (s *Source) begin(ctx context.Context, timeout time.Duration) (*session, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	open := &session{source: s, silence: &atomic.Int64{}}
	open.listen(s.silences.metadata)
	config, err := s.connConfig(open.silence)
	if err != nil {
		return nil, err
	}
	if open.conn, err = pgconn.ConnectConfig(ctx, config); err != nil {
		return nil, s.connectFault(ctx, err)
	}
	for _, sql := range []string{
		"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
		// Within the transaction, so that it works through poolers of connections too.
		`SELECT set_config('DateStyle', 'ISO, YMD', true), set_config('IntervalStyle', 'iso_8601', true), set_config('TimeZone', 'UTC', true),
			set_config('client_encoding', 'UTF8', true), set_config('bytea_output', 'hex', true), set_config('lc_monetary', 'C', true),
			set_config('extra_float_digits', '1', true), set_config('lock_timeout', '10s', true),
			set_config('idle_in_transaction_session_timeout', '10min', true), set_config('statement_timeout', '` + strconv.FormatInt(timeout.Milliseconds(), 10) + `', true)`,
	} {
		if _, err := open.query(ctx, "", sql); err != nil {
			open.close()
			return nil, err
		}
	}
	return open, nil
}

// query runs one statement and returns its rows as text.
func (s *session) query(ctx context.Context, segment, sql string, args ...string) ([][][]byte, error) {
	params := make([][]byte, len(args))
	for i, a := range args {
		params[i] = []byte(a)
	}
	result := s.conn.ExecParams(ctx, sql, params, nil, nil, nil).Read()
	if result.Err != nil {
		return nil, s.source.fault(ctx, segment, result.Err)
	}
	return result.Rows, nil
}

// columns asks for a segment's columns without reading it.
func (s *session) columns(ctx context.Context, segment string, r relation) ([]column, error) {
	//nolint:unqueryvet // which columns there are is what is asked
	result := s.conn.ExecParams(ctx, "SELECT segment.* FROM "+r.from+" AS segment LIMIT 0", nil, nil, nil, nil)
	var all []column
	for _, f := range result.FieldDescriptions() {
		all = append(all, column{f.Name, f.DataTypeOID})
	}
	if _, err := result.Close(); err != nil {
		return nil, s.source.fault(ctx, segment, err)
	}
	return all, nil
}

// close gives the connection up; the transaction ends with it.
func (s *session) close() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = s.conn.Close(ctx) // nothing was written
}

// column is a column of a segment.
type column struct {
	name string
	oid  uint32
}

// identifier quotes a name for SQL.
func identifier(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }
