package segmenttest_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/parquet-go/parquet-go"
	"github.com/stretchr/testify/require"

	"github.com/segment-export/segment-export/internal/contact"
	"github.com/segment-export/segment-export/internal/segment"
	"github.com/segment-export/segment-export/internal/segment/dataverse"
	"github.com/segment-export/segment-export/internal/segment/dataverse/dataversetest"
	"github.com/segment-export/segment-export/internal/segment/files"
	"github.com/segment-export/segment-export/internal/segment/postgres"
	"github.com/segment-export/segment-export/internal/segment/segmenttest"
	"github.com/segment-export/segment-export/internal/store/postgrestest"
)

func TestMain(m *testing.M) { postgrestest.Main(m) }

// profile is a customer in the forms in which the sources have one.
type profile struct {
	Customer string    `parquet:"msdynci_customerid"`
	Email    *string   `parquet:"msdynci_email,optional"`
	Name     *string   `parquet:"msdynci_firstname,optional"`
	City     *string   `parquet:"msdynci_city,optional"`
	Consent  bool      `parquet:"msdynci_consent"`
	Since    time.Time `parquet:"msdynci_since,timestamp(millisecond)"`
	Points   int32     `parquet:"msdynci_points"`
}

var fields = []string{"msdynci_customerid", "msdynci_email", "msdynci_firstname", "msdynci_city", "msdynci_consent", "msdynci_since", "msdynci_points"}

// text is a profile as a CSV file has it.
func (p profile) text() []string {
	of := func(s *string) string {
		if s == nil {
			return ""
		}
		return *s
	}
	return []string{p.Customer, of(p.Email), of(p.Name), of(p.City), fmt.Sprint(p.Consent), p.Since.Format(time.RFC3339), fmt.Sprint(p.Points)}
}

func profiles(n int) []profile {
	names := []*string{new("O'Brien"), new("Zoë \"Z\""), nil, new("東京, 👩"), new(" spaces "), new("two\nlines")}
	var all []profile
	for i := range n {
		p := profile{Customer: fmt.Sprintf("%032x", i), Email: new(fmt.Sprintf("P%d+x@Example.com", i)), Name: names[i%len(names)], City: names[(i+3)%len(names)],
			Consent: i%2 == 0, Since: time.Date(2025, 1, 2, 3, 4, i%60, 0, time.UTC), Points: int32(i - 20)}
		if i%10 == 9 {
			p.Email = nil
		}
		all = append(all, p)
	}
	return all
}

// The same segment read through each source gives the same contacts, to the byte.
func TestEverySourceGivesTheSameContacts(t *testing.T) {
	all := profiles(200)
	var text bytes.Buffer
	w := csv.NewWriter(&text)
	for _, p := range all {
		require.NoError(t, w.Write(p.text()))
	}
	w.Flush()
	header := bytes.NewBuffer(nil)
	w = csv.NewWriter(header)
	require.NoError(t, w.Write(fields))
	w.Flush()
	whole := append(header.Bytes(), text.Bytes()...)

	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	_, err := z.Write(whole)
	require.NoError(t, err)
	require.NoError(t, z.Close())
	var columns bytes.Buffer
	require.NoError(t, parquet.Write(&columns, all))
	var attributes []map[string]string
	for _, f := range fields {
		attributes = append(attributes, map[string]string{"name": f, "dataType": "string"})
	}
	const partition = "people/2026/11/25/0615/people_1.csv"
	model, err := json.Marshal(map[string]any{"name": "m", "version": "1.0", "entities": []any{map[string]any{"$type": "LocalEntity", "name": "people", "attributes": attributes,
		"partitions": []any{map[string]any{"name": "people_1", "location": "https://account.blob.core.windows.net/container/export/" + partition}}}}})
	require.NoError(t, err)

	sources := map[string]segment.Source{
		"csv":               folder(t, map[string][]byte{"people.csv": whole}),
		"csv.gz":            folder(t, map[string][]byte{"people.csv.gz": packed.Bytes()}),
		"parquet":           folder(t, map[string][]byte{"people.parquet": columns.Bytes()}),
		"customer-insights": folder(t, map[string][]byte{"model.json": model, partition: text.Bytes()}),
		"postgres":          database(t, all),
		"dataverse":         environment(t, all),
	}
	want := contacts(t, sources["csv"])
	require.Len(t, want, 180)
	for _, name := range slices.Sorted(maps.Keys(sources)) {
		require.Equal(t, want, contacts(t, sources[name]), name)
	}
}

// contacts maps a segment as an export does.
func contacts(t *testing.T, s segment.Source) []string {
	t.Helper()
	m, err := contact.NewMapper(contact.Mapping{contact.Email: "msdynci_email", contact.FirstName: "msdynci_firstname", contact.City: "msdynci_city",
		contact.ConsentFlag: "msdynci_consent", contact.ConsentDate: "msdynci_since", "property:points:number": "msdynci_points"},
		contact.Rules{}, time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
	require.NoError(t, err)
	var all []string
	for _, row := range segmenttest.ReadAll(t, s, "people", m.Fields(), nil) {
		require.Empty(t, row.Problem)
		if p, reason := m.Map(row.Values); reason == "" {
			settled, _ := contact.Memory{}.Settle(p.Said, contact.ConsentRule{}, time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
			all = append(all, string(contact.Item(nil, p, settled, []contact.MarkerValue{{Property: "segment_people", Member: true}})))
		}
	}
	slices.Sort(all) // each source has an order of its own
	return all
}

func folder(t *testing.T, content map[string][]byte) segment.Source {
	t.Helper()
	dir := t.TempDir()
	for name, data := range content {
		path := filepath.Join(dir, "export", name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
		require.NoError(t, os.WriteFile(path, data, 0o600))
		old := time.Now().Add(-24 * time.Hour)
		require.NoError(t, os.Chtimes(path, old, old))
	}
	root, err := os.OpenRoot(dir)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, root.Close()) })
	s, err := files.New(root, files.Config{Path: "export"}, nil)
	require.NoError(t, err)
	return s
}

func database(t *testing.T, all []profile) segment.Source {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), postgrestest.Database(t))
	require.NoError(t, err)
	defer func() { require.NoError(t, conn.Close(context.Background())) }()
	_, err = conn.Exec(t.Context(), `CREATE TABLE people (msdynci_customerid text, msdynci_email text, msdynci_firstname varchar(50), msdynci_city text,
		msdynci_consent boolean, msdynci_since timestamptz, msdynci_points integer)`)
	require.NoError(t, err)
	_, err = conn.CopyFrom(t.Context(), pgx.Identifier{"people"}, fields, pgx.CopyFromSlice(len(all), func(i int) ([]any, error) {
		p := all[i]
		return []any{p.Customer, p.Email, p.Name, p.City, p.Consent, p.Since, p.Points}, nil
	}))
	require.NoError(t, err)
	c := conn.Config()
	s, err := postgres.New(postgres.Config{Host: c.Host, Database: c.Database, User: c.User, ID: fields[0]}, nil)
	require.NoError(t, err)
	return s
}

func environment(t *testing.T, all []profile) segment.Source {
	t.Helper()
	server := dataversetest.Start(dataversetest.Options{})
	t.Cleanup(server.Close)
	app := dataversetest.App{Tenant: "11111111-2222-3333-4444-555555555555", Client: "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee", Secret: "the-secrets-value"}
	server.Register(app)
	for name, kind := range map[string]string{"msdynci_email": "String", "msdynci_firstname": "String", "msdynci_city": "String", "msdynci_consent": "Boolean",
		"msdynci_since": "DateTime", "msdynci_points": "Integer"} {
		server.Column(name, kind)
	}
	written := time.Now().Add(-time.Hour)
	var rows []dataversetest.Profile
	var memberships []dataversetest.Membership
	for _, p := range all {
		values := map[string]any{"msdynci_email": nil, "msdynci_firstname": nil, "msdynci_city": nil, "msdynci_consent": p.Consent,
			"msdynci_since": p.Since.Format(time.RFC3339), "msdynci_points": p.Points}
		for name, value := range map[string]*string{"msdynci_email": p.Email, "msdynci_firstname": p.Name, "msdynci_city": p.City} {
			if value != nil {
				values[name] = *value
			}
		}
		rows = append(rows, dataversetest.Profile{ID: p.Customer, Values: values})
		memberships = append(memberships, dataversetest.Membership{Customer: p.Customer, Segments: []string{"people"}})
	}
	server.SetProfiles(rows, written)
	server.SetMemberships(memberships, written)
	server.SetSegments([]dataversetest.Segment{{Name: "people", Members: len(all), Run: "run-1", RefreshedAt: written}})
	s, err := dataverse.New(dataverse.Config{URL: server.URL, Authority: server.URL, Auth: dataverse.AuthSecret, Tenant: app.Tenant, ClientID: app.Client},
		[]byte(app.Secret), dataverse.Options{HTTP: server.Client()})
	require.NoError(t, err)
	return s
}
