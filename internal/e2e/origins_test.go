package e2e

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/segment-export/segment-export/internal/segment/dataverse/dataversetest"
	"github.com/segment-export/segment-export/internal/segment/files/azuritetest"
	"github.com/segment-export/segment-export/internal/segment/synthetic"
	"github.com/segment-export/segment-export/internal/store/postgrestest"
)

// origin is where a segment is read from: a real server with the rows of the
// shop's file.
type origin struct {
	source   []string              // of source add, after the name
	mapping  []string              // of export add
	wire     *wire                 // to the server; nil where there is none
	restarts bool                  // an interrupted read starts again
	standin  *dataversetest.Server // of dataverse
}

var origins = []struct {
	name string
	at   func(*shop) origin
}{
	{"folder", (*shop).folder},
	{"bucket", (*shop).bucket},
	{"postgres", (*shop).database},
	{"dataverse", (*shop).environment},
}

func (s *shop) folder() origin {
	return origin{source: []string{"--kind", "files", "--path", "segments"}, mapping: mapping}
}

// secret writes a credential to a file and returns the options that name it.
func (s *shop) secret(name, content string) []string {
	s.t.Helper()
	require.NoError(s.t, os.WriteFile(s.path(name), []byte(content), 0o600))
	return []string{"--credential-file", s.path(name)}
}

// content is the segment's file, and where each of its rows begins; the first
// is the header.
func (s *shop) content() (data []byte, begins []int) {
	s.t.Helper()
	data, err := os.ReadFile(s.path("segments", "spring_buyers.csv"))
	require.NoError(s.t, err)
	for r := csv.NewReader(bytes.NewReader(data)); ; {
		begins = append(begins, int(r.InputOffset()))
		if _, err := r.Read(); errors.Is(err, io.EOF) {
			return data, begins
		}
		require.NoError(s.t, err)
	}
}

// bucket is a container of Azurite with what Customer Insights itself exports:
// a model, and the rows in several files without a header.
func (s *shop) bucket() origin {
	s.t.Helper()
	container := azuritetest.New(s.t)
	address, ok := strings.CutPrefix(strings.TrimSuffix(container.Endpoint, "/"+azuritetest.Account), "http://")
	require.True(s.t, ok)
	data, begins := s.content()
	rows := len(begins) - 2 // the header, and the end
	const parts = 4
	var partitions []any
	for i := range parts {
		name := fmt.Sprintf("spring_buyers/2026/11/25/0615/spring_buyers_%d.csv", i+1)
		container.Put(s.t, "exports/"+name, data[begins[1+rows*i/parts]:begins[1+rows*(i+1)/parts]])
		partitions = append(partitions, map[string]any{"name": strconv.Itoa(i), "location": container.Endpoint + "/" + container.Name + "/exports/" + name})
	}
	var attributes []any
	for _, name := range synthetic.Header {
		attributes = append(attributes, map[string]string{"name": name, "dataType": "string"})
	}
	model, err := json.Marshal(map[string]any{"name": "insights", "version": "1.0",
		"entities": []any{map[string]any{"$type": "LocalEntity", "name": "spring_buyers", "attributes": attributes, "partitions": partitions}}})
	require.NoError(s.t, err)
	container.Put(s.t, "exports/model.json", model)
	w := newWire(s.t, "tcp", address)
	return origin{wire: w, mapping: mapping, source: append(s.secret("account-key", container.Key), "--kind", "files", "--url", "azblob://"+container.Name+"/exports",
		"--account", azuritetest.Account, "--endpoint", fmt.Sprintf("http://127.0.0.1:%d/%s", w.port(), azuritetest.Account))}
}

// database is a table of PostgreSQL.
func (s *shop) database() origin {
	s.t.Helper()
	conn, err := pgx.Connect(s.t.Context(), postgrestest.Database(s.t))
	require.NoError(s.t, err)
	defer func() { require.NoError(s.t, conn.Close(context.Background())) }()
	columns := `"` + strings.Join(synthetic.Header, `" text, "`) + `" text`
	c := conn.Config()
	for _, sql := range []string{`CREATE TABLE spring_buyers (` + columns + `, PRIMARY KEY ("CustomerId"))`, "CREATE ROLE reader_" + c.Database + " LOGIN", "GRANT SELECT ON spring_buyers TO reader_" + c.Database} {
		_, err = conn.Exec(s.t.Context(), sql)
		require.NoError(s.t, err)
	}
	data, _ := s.content()
	_, err = conn.PgConn().CopyFrom(s.t.Context(), bytes.NewReader(data), "COPY spring_buyers FROM STDIN WITH (FORMAT csv, HEADER)")
	require.NoError(s.t, err)
	w := newWire(s.t, "unix", filepath.Join(c.Host, ".s.PGSQL."+strconv.Itoa(int(c.Port))))
	return origin{wire: w, restarts: true, mapping: mapping, source: []string{"--kind", "postgres", "--host", "127.0.0.1", "--port", strconv.Itoa(w.port()),
		"--database", c.Database, "--user", "reader_" + c.Database, "--id-column", "CustomerId"}}
}

// The login that the stand-in knows.
var app = dataversetest.App{Tenant: "11111111-2222-3333-4444-555555555555", Client: "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee", Secret: "the-secrets-value"}

// insights starts a stand-in for an environment of Customer Insights, reached
// by a wire, whose certificate the program trusts.
func (s *shop) insights() (*dataversetest.Server, *wire) {
	s.t.Helper()
	server := dataversetest.Start(dataversetest.Options{})
	s.t.Cleanup(server.Close)
	w := newWire(s.t, "tcp", server.Listener.Addr().String())
	server.URL = "https://" + net.JoinHostPort("127.0.0.1", strconv.Itoa(w.port())) // as the program knows it
	server.Register(app)
	authority := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	require.NoError(s.t, os.WriteFile(s.path("authority.pem"), authority, 0o600))
	s.env = append(s.env, "SSL_CERT_FILE="+s.path("authority.pem"))
	return server, w
}

// login are the options of source add for the stand-in.
func (s *shop) login(url string) []string {
	return append(s.secret("client-secret", app.Secret), "--kind", "dataverse", "--url", url, "--authority", url, "--auth", "secret",
		"--tenant", app.Tenant, "--client-id", app.Client)
}

// environment is a stand-in with the rows as profiles, and a membership for
// each. Of many it keeps none: each is looked up in the file when it is asked for.
func (s *shop) environment() origin {
	s.t.Helper()
	server, w := s.insights()
	data, begins := s.content()
	column := func(name string) string { return "msdynci_" + strings.ToLower(name) }
	for _, name := range synthetic.Header[1:] {
		server.Column(column(name), "String")
	}
	rows := len(begins) - 2
	id := func(i int) string { return fmt.Sprintf("%032x", i) }
	customer := func(i int) dataversetest.Profile {
		row, err := csv.NewReader(bytes.NewReader(data[begins[i+1]:begins[i+2]])).Read()
		if err != nil {
			panic(err) // it was read once
		}
		values := make(map[string]any, len(row))
		for c, value := range row[1:] {
			values[column(synthetic.Header[c+1])] = value
		}
		return dataversetest.Profile{ID: id(i), Values: values}
	}
	written := time.Now().Add(-time.Hour)
	if rows > 100_000 {
		server.Generate(rows, customer, func(int) []string { return []string{"spring_buyers"} }, written)
	} else { // quicker
		profiles, memberships := make([]dataversetest.Profile, rows), make([]dataversetest.Membership, rows)
		for i := range rows {
			profiles[i] = customer(i)
			memberships[i] = dataversetest.Membership{Customer: profiles[i].ID, Segments: []string{"spring_buyers"}}
		}
		server.SetProfiles(profiles, written)
		server.SetMemberships(memberships, written)
	}
	server.SetSegments([]dataversetest.Segment{{Name: "spring_buyers", Title: "Spring buyers", Members: rows, Run: "run-1", RefreshedAt: written}})
	o := origin{wire: w, standin: server, source: s.login(server.URL)}
	for i, argument := range mapping {
		if attribute, field, ok := strings.Cut(argument, "="); ok {
			argument = attribute + "=" + column(field)
		} else if i == 1 {
			argument = "msdynci_customerid"
		}
		o.mapping = append(o.mapping, argument)
	}
	return o
}
