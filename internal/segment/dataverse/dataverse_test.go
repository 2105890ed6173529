package dataverse_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/segment-export/segment-export/internal/segment"
	"github.com/segment-export/segment-export/internal/segment/dataverse"
	"github.com/segment-export/segment-export/internal/segment/dataverse/dataversetest"
	"github.com/segment-export/segment-export/internal/segment/segmenttest"
)

const (
	tenant = "11111111-2222-3333-4444-555555555555"
	client = "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee"
	secret = "the-secrets-value"
)

// clock is a time that moves only when a caller waits or moves it.
type clock struct {
	mu    sync.Mutex
	now   time.Time
	slept time.Duration
}

func newClock() *clock { return &clock{now: time.Date(2026, 3, 15, 12, 0, 0, 0, time.UTC)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) Sleep(ctx context.Context, d time.Duration) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
	c.slept += d
	return ctx.Err()
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// world is an environment with a source that reads it.
type world struct {
	*dataversetest.Server
	clock  *clock
	config dataverse.Config
	app    dataversetest.App
}

func newWorld(t testing.TB, o dataversetest.Options) *world {
	t.Helper()
	c := newClock()
	o.Now = c.Now
	s := dataversetest.Start(o)
	t.Cleanup(s.Close)
	w := &world{Server: s, clock: c, app: dataversetest.App{Tenant: tenant, Client: client, Secret: secret},
		config: dataverse.Config{URL: s.URL, Authority: s.URL, Auth: dataverse.AuthSecret, Tenant: tenant, ClientID: client}}
	s.Register(w.app)
	return w
}

func (w *world) source(t testing.TB) *dataverse.Source {
	t.Helper()
	s, err := dataverse.New(w.config, []byte(secret), dataverse.Options{HTTP: w.Client(), Clock: w.clock})
	require.NoError(t, err)
	return s
}

// id is a customer id as Customer Insights makes them, growing with i.
func id(i int) string { return fmt.Sprintf("%032x", i*4096+7) }

// fill makes n customers, of whom those that in says are in "Male_under_40".
func (w *world) fill(n int, in func(i int) bool) {
	w.Column("msdynci_email", "String")
	w.Column("msdynci_city", "String")
	var profiles []dataversetest.Profile
	var memberships []dataversetest.Membership
	members := 0
	for i := range n {
		profiles = append(profiles, dataversetest.Profile{ID: id(i), Values: map[string]any{"msdynci_email": fmt.Sprintf("p%d@example.com", i), "msdynci_city": nil}})
		segments := []string{"Everybody"}
		if in(i) {
			segments = append(segments, "Male_under_40")
			members++
		}
		memberships = append(memberships, dataversetest.Membership{Customer: id(i), Segments: segments})
	}
	written := w.clock.Now().Add(-time.Hour)
	w.SetProfiles(profiles, written)
	w.SetMemberships(memberships, written)
	w.SetSegments([]dataversetest.Segment{
		{Name: "Male_under_40", Title: "Male under 40", Members: members, Run: "run-1", RefreshedAt: written},
		{Name: "Everybody", Title: "All customers", Members: n, Run: "run-1", RefreshedAt: written},
		{Name: "Nobody", Title: "Nobody at all", Run: "run-1", RefreshedAt: written},
	})
}

// read reads a segment and returns the addresses.
func read(t testing.TB, s segment.Source, name string) []string {
	t.Helper()
	var all []string
	for _, row := range segmenttest.ReadAll(t, s, name, []string{"msdynci_email"}, nil) {
		require.Empty(t, row.Problem)
		all = append(all, row.Values[0])
	}
	return all
}

// place is a world for the suite. Columns of Dataverse have names of their own
// kind, so the suite's are translated on the way; nothing else is.
type place struct {
	*world
	source  *dataverse.Source
	fields  []string // the suite's names, of the widest table so far
	columns map[string]string
	members map[string][][]string
}

func column(field string) string {
	var b strings.Builder
	b.WriteString("msdynci_")
	for _, r := range strings.ToLower(field) {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			b.WriteRune(r)
		}
	}
	return b.String()
}

func (p *place) Put(_ *testing.T, name string, table segmenttest.Table) {
	p.clock.advance(time.Hour)
	written := p.clock.Now()
	p.fields = table.Fields
	for i, field := range table.Fields {
		c := column(field)
		if i == 0 {
			c = "msdynci_customerid"
		} else {
			p.Column(c, "Memo")
		}
		p.columns[field] = c
	}
	p.members[name] = table.Rows
	var profiles []dataversetest.Profile
	in := map[string][]string{}
	for name, rows := range p.members {
		for _, row := range rows {
			if _, known := in[row[0]]; !known {
				values := map[string]any{}
				for i, field := range table.Fields[1:] {
					values[p.columns[field]] = row[i+1]
					if row[i+1] == "" {
						values[p.columns[field]] = nil
					}
				}
				profiles = append(profiles, dataversetest.Profile{ID: row[0], Values: values})
			}
			in[row[0]] = append(in[row[0]], name)
		}
	}
	var memberships []dataversetest.Membership
	for customer, segments := range in {
		memberships = append(memberships, dataversetest.Membership{Customer: customer, Segments: segments})
	}
	var segments []dataversetest.Segment
	for name, rows := range p.members {
		segments = append(segments, dataversetest.Segment{Name: name, Members: len(rows), Run: written.String(), RefreshedAt: written})
	}
	p.SetProfiles(profiles, written)
	p.SetMemberships(memberships, written)
	p.SetSegments(segments)
	p.clock.advance(time.Hour)
}

// Fill makes customers when they are asked for.
func (p *place) Fill(_ *testing.T, name string, fields []string, rows int, row func(i int) []string) {
	p.fields = fields
	p.columns[fields[0]] = "msdynci_customerid"
	for _, field := range fields[1:] {
		p.columns[field] = column(field)
		p.Column(column(field), "String")
	}
	p.Generate(rows, func(i int) dataversetest.Profile {
		values := row(i)
		profile := dataversetest.Profile{ID: values[0], Values: map[string]any{}}
		for c, field := range fields[1:] {
			if values[c+1] != "" {
				profile.Values[p.columns[field]] = values[c+1]
			}
		}
		return profile
	}, func(int) []string { return []string{name} }, p.clock.Now().Add(-time.Hour))
}

func (p *place) Pages(rows int) { p.SetPageRows(rows) }

// Break lets one page of members through.
func (p *place) Break(_ *testing.T, _ string, how segmenttest.Fault) (begin, mend func()) {
	f := dataversetest.Fault{Path: "msdynci_segmentmemberships", Skip: 2, Times: 1_000_000}
	switch how {
	case segmenttest.Cut:
		f.Cut = 900
	case segmenttest.Silent:
		f.Do = http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	}
	p.world.Break(f)
	return func() {}, p.Repair
}

func (p *place) Source() segment.Source { return &translated{p} }

// translated speaks of the suite's fields.
type translated struct{ p *place }

func (s *translated) Segments(ctx context.Context) ([]segment.Info, error) {
	return s.p.source.Segments(ctx)
}

func (s *translated) Describe(ctx context.Context, name string) (segment.Info, error) {
	info, err := s.p.source.Describe(ctx, name)
	info.Fields = s.back(info.Fields)
	return info, err
}

// back gives the names of the suite, in its order.
func (s *translated) back(columns []string) []string {
	var fields []string
	for _, field := range s.p.fields {
		if slices.Contains(columns, s.p.columns[field]) {
			fields = append(fields, field)
		}
	}
	if len(fields) != len(columns) {
		return columns
	}
	return fields
}

func (s *translated) Open(ctx context.Context, name string, fields []string, after segment.Cursor) (segment.Reader, error) {
	var columns []string
	back := map[string]string{}
	for _, field := range fields {
		c, ok := s.p.columns[field]
		if !ok {
			c = "no_" + field
		}
		back[c] = field
		columns = append(columns, c)
	}
	r, err := s.p.source.Open(ctx, name, columns, after)
	if missing, ok := errors.AsType[*segment.MissingFieldsError](err); ok {
		for i, c := range missing.Missing {
			missing.Missing[i] = back[c]
		}
		missing.Fields = s.back(missing.Fields)
	}
	return r, err
}

func TestConformance(t *testing.T) {
	for _, kind := range []dataversetest.Kind{dataversetest.Standard, dataversetest.Elastic, dataversetest.Virtual} {
		t.Run(string(kind), func(t *testing.T) {
			segmenttest.Run(t, func(t *testing.T) segmenttest.Place {
				w := newWorld(t, dataversetest.Options{Kind: kind})
				return &place{world: w, source: w.source(t), columns: map[string]string{}, members: map[string][][]string{}}
			}, segmenttest.Options{Holds: 32 << 20})
		})
	}
}

func TestMembersAreReadWithTheirProfiles(t *testing.T) {
	w := newWorld(t, dataversetest.Options{PageRows: 50})
	w.fill(1000, func(i int) bool { return i%3 == 0 })
	s := w.source(t)
	rows := read(t, s, "Male_under_40")
	require.Len(t, rows, 334)
	for i, address := range rows {
		require.Equal(t, fmt.Sprintf("p%d@example.com", 3*i), address)
	}
	require.Empty(t, read(t, s, "Nobody"))
	_, early := w.Worst(client)
	require.Zero(t, early)
	for _, r := range w.Requests() {
		require.Equal(t, "GET", r.Method, "nothing is ever written")
		require.Equal(t, 200, r.Status)
		if tables := r.Path == "msdynci_segmentmemberships" || r.Path == "msdynci_customerprofiles"; tables && !strings.Contains(r.Query, "top=1") {
			require.Equal(t, "odata.maxpagesize=5000", r.Prefer, r.Query)
		}
	}
}
