package dataverse

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/segment-export/segment-export/internal/reason"
	"github.com/segment-export/segment-export/internal/segment"
	"github.com/segment-export/segment-export/internal/spelling"
)

// Clock tells the time and waits.
type Clock interface {
	Now() time.Time
	// Sleep waits for d, or until ctx ends and returns its error.
	Sleep(ctx context.Context, d time.Duration) error
}

// Options are what a test, or a special network, sets differently.
type Options struct {
	HTTP  *http.Client // nil: one that trusts the system's certificate authorities
	Clock Clock        // nil: the real one
}

// Source is one environment of Customer Insights - Data.
type Source struct {
	config Config
	client *client
}

var (
	_ segment.Source = (*Source)(nil)
	_ segment.Tester = (*Source)(nil)
)

// New returns the source of an environment. secret is the client secret, or
// the certificate with its private key; nil where the login needs none. It
// makes no request.
func New(c Config, secret []byte, o Options) (*Source, error) {
	if err := c.Check(); err != nil {
		return nil, err
	}
	if o.Clock == nil {
		o.Clock = realClock{}
	}
	caller := http.Client{Transport: newTransport()}
	if o.HTTP != nil {
		caller = *o.HTTP
	}
	// A redirect would carry the token to where it does not belong.
	caller.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	l, err := newLogin(c, secret, &caller)
	if err != nil {
		return nil, err
	}
	return &Source{config: c, client: &client{origin: origin(c.URL), http: &caller, login: l, gate: gateOf(c), clock: o.Clock}}, nil
}

// tables are the definitions that a read needs.
type tables struct{ members, profiles *table }

func (s *Source) define(ctx context.Context) (*tables, error) {
	profiles, err := s.client.define(ctx, profileTable)
	if err != nil {
		return nil, err
	}
	members, err := s.client.define(ctx, membershipTable)
	if err != nil {
		return nil, err
	}
	if !slices.Contains(members.columns, segmentList) {
		return nil, segment.Malformed("the table %s has no column %s", membershipTable, segmentList)
	}
	return &tables{members: members, profiles: profiles}, nil
}

// Segments lists the segments by the names of their output tables, with what
// people call them, how many members they had and when they were refreshed.
// Where the private table with all that is not to be read, it lists the names
// that the first few thousand customers are members of, and no more.
func (s *Source) Segments(ctx context.Context) ([]segment.Info, error) {
	all, ok, err := s.client.segmentsMetadata(ctx)
	if err != nil {
		return nil, err
	}
	if !ok {
		return s.seen(ctx)
	}
	var infos []segment.Info
	for _, m := range all {
		infos = append(infos, m.info())
	}
	return infos, nil
}

// seenPages is how many pages of memberships are looked through for names.
const seenPages = 2

// seen lists the segments that occur in the first memberships.
func (s *Source) seen(ctx context.Context) ([]segment.Info, error) {
	members, err := s.client.define(ctx, membershipTable)
	if err != nil {
		return nil, err
	}
	names := map[string]bool{}
	sc := &scan{client: s.client, table: members, columns: []string{customerID, segmentList}}
	for range seenPages {
		err := sc.next(ctx, func() {}, func(values []string, _ segment.Problem) error {
			for _, name := range segmentNames(values[1]) {
				names[name] = true
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
		if sc.ended {
			break
		}
	}
	var infos []segment.Info
	for _, name := range slices.Sorted(maps.Keys(names)) {
		infos = append(infos, segment.Info{Name: name})
	}
	return infos, nil
}

// Describe returns the columns of the table of profiles, which are the same for
// all segments.
func (s *Source) Describe(ctx context.Context, name string) (segment.Info, error) {
	if err := errors.Join(ctx.Err(), checkName(name)); err != nil {
		return segment.Info{}, err
	}
	t, err := s.define(ctx)
	if err != nil {
		return segment.Info{}, err
	}
	all, _, err := s.client.segmentsMetadata(ctx)
	if err != nil {
		return segment.Info{}, err
	}
	info := segment.Info{Name: name}
	if i := slices.IndexFunc(all, func(m metadata) bool { return m.Name == name }); i >= 0 {
		info = all[i].info()
	} else if err := s.hasMembers(ctx, name, t); err != nil {
		return segment.Info{}, err
	}
	info.Fields = t.profiles.fields()
	return info, nil
}

// hasMembers is for a segment that the private table does not list: it exists
// if it has a member.
func (s *Source) hasMembers(ctx context.Context, name string, t *tables) error {
	m := newMembers(s.client, t.members, name, "")
	page, err := m.next(ctx)
	for err == nil && len(page.rows) == 0 && !m.scan.ended {
		page, err = m.next(ctx)
	}
	if err == nil && len(page.rows) == 0 {
		err = s.notFound(ctx, name)
	}
	return err
}

// Open starts to read a segment, see segment.Source. It returns a
// *segment.BusyError while Customer Insights is writing.
func (s *Source) Open(ctx context.Context, name string, fields []string, after segment.Cursor) (segment.Reader, error) {
	if err := errors.Join(ctx.Err(), checkName(name)); err != nil {
		return nil, err
	}
	var from position
	if after != nil {
		var ok bool
		if from, ok = parseCursor(after, name); !ok {
			return nil, fmt.Errorf("segment %q: %w", name, segment.ErrChanged)
		}
	}
	t, err := s.define(ctx)
	if err != nil {
		return nil, err
	}
	if err := missing(t.profiles, fields); err != nil {
		return nil, err
	}
	st, err := s.look(ctx, name, t)
	if err != nil {
		return nil, err
	}
	if err := st.busy(s.config.settle()); err != nil {
		return nil, err
	}
	switch {
	case after == nil:
		if !st.known {
			if err := s.hasMembers(ctx, name, t); err != nil {
				return nil, err
			}
		}
		from = position{stamp: st.stamp()}
	case from.stamp != st.stamp() && s.config.onChange() == OnChangeReread:
		return nil, fmt.Errorf("segment %q: %w", name, segment.ErrChanged)
	}
	return s.reader(ctx, name, t, fields, from), nil
}

// missing says which fields the table of profiles lacks.
func missing(profiles *table, fields []string) error {
	there := profiles.fields()
	has := make(map[string]bool, len(there))
	for _, field := range there {
		has[field] = true
	}
	var missing []string
	for _, field := range fields {
		if !has[field] {
			missing = append(missing, field)
		}
	}
	if len(missing) > 0 {
		return &segment.MissingFieldsError{Place: profiles.name, Missing: missing, Fields: there}
	}
	return nil
}

// checkName refuses what cannot be the name of an output table.
func checkName(name string) error {
	if name == "" || len(name) > 400 || strings.ContainsFunc(name, func(r rune) bool {
		return r != '_' && r != '-' && r != ' ' && r != '.' && !unicode.IsLetter(r) && !unicode.IsDigit(r)
	}) {
		return fmt.Errorf("%q cannot be the name of a segment: %w; it is the name of its output table in Customer Insights", name, segment.ErrNotFound)
	}
	return nil
}

// notFound says which segment was probably meant.
func (s *Source) notFound(ctx context.Context, name string) error {
	infos, err := s.Segments(ctx)
	if err != nil {
		return err
	}
	var names, titles []string
	for _, info := range infos {
		if info.Title == name && info.Title != "" {
			return segment.NotFound("%s is how a segment is shown: %v; give the name of its output table, %s", reason.Names(name), segment.ErrNotFound, reason.Names(info.Name))
		}
		names = append(names, info.Name)
		titles = append(titles, info.Title)
	}
	hint := "there are none that this login can see"
	if len(names) > 0 {
		hint = "there is " + reason.Names(names...)
	}
	if near := spelling.Nearest(name, names); near != "" {
		hint = fmt.Sprintf("did you mean %q? %s", near, hint)
	} else if near := spelling.Nearest(name, titles); near != "" {
		hint = fmt.Sprintf("did you mean %q, shown as %q? %s", names[slices.Index(titles, near)], near, hint)
	}
	return segment.NotFound("%s: %v with the output table %s that has members; %s", s.client.origin, segment.ErrNotFound, reason.Names(name), hint)
}

// newTransport keeps as many connections as requests are made at once. It has
// no cookie jar around it, on purpose: Dataverse's affinity cookie would bind
// all requests, and so the limits on them, to one of its servers.
func newTransport() *http.Transport {
	return &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 15 * time.Second}).DialContext,
		TLSHandshakeTimeout: 10 * time.Second,
		TLSClientConfig:     &tls.Config{MinVersion: tls.VersionTLS12},
		ForceAttemptHTTP2:   true,
		MaxIdleConnsPerHost: mostParallel,
		IdleConnTimeout:     30 * time.Second,
	}
}

// mostParallel is how many requests one login makes at once; Dataverse allows
// 52 and more, which other programs may want to share.
const mostParallel = 6

type realClock struct{}

func (realClock) Now() time.Time { return time.Now() }

func (realClock) Sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
