package dataverse

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/segment-export/segment-export/internal/segment"
)

const (
	// lookupIDs is how many profiles one request asks for by their ids: its
	// address stays below 10,000 characters, of the 32,768 that are allowed.
	lookupIDs = 200
	// mostRangePages is how many pages of profiles are read for one page of
	// members before those that are still missing are asked for by their ids.
	mostRangePages = 3
	// mostHeld bounds the bytes of the profiles that are read at once. Those of
	// lookupIDs members always fit.
	mostHeld = 16 << 20
)

// errWide says that the profiles of so many members are too much to hold.
var errWide = errors.New("the profiles of a page of members are too large to read at once")

// profiles finds the profiles of a page of members.
//
// Where most customers are in the segment, a page of members is a stretch of
// the table of profiles: the rows from the first id to the last come in one or
// two pages. Where few are, that stretch is long, and asking for ids is cheaper.
// The reader finds out which of the two it is.
type profiles struct {
	client *client
	table  *table
	fields []string
	sparse bool
	most   int          // members whose profiles are read at once
	held   atomic.Int64 // bytes of the profiles read so far for them
}

func newProfiles(c *client, t *table, fields []string) *profiles {
	return &profiles{client: c, table: t, fields: fields, most: pageRows}
}

// next reads the profiles of the first of the members, and returns those that
// are left. Where profiles are large it takes fewer members at a time.
func (p *profiles) next(ctx context.Context, rows []member) (page []profileRow, rest []member, err error) {
	for {
		n := min(len(rows), p.most)
		page, err = p.rows(ctx, rows[:n])
		if !errors.Is(err, errWide) {
			return page, rows[n:], err
		}
		p.most = max(n/2, lookupIDs)
	}
}

// hold counts the bytes of one more profile.
func (p *profiles) hold(values []string) (bytes int64, err error) {
	for _, v := range values {
		bytes += int64(len(v))
	}
	if p.held.Add(bytes) > mostHeld && p.most > lookupIDs {
		return bytes, errWide
	}
	return bytes, nil
}

// profile is a row of the table of profiles.
type profile struct {
	values  []string
	problem segment.Problem
}

// of returns the profiles of members by their ids; those without are missing.
func (p *profiles) of(ctx context.Context, rows []member) (map[string]profile, error) {
	p.held.Store(0)
	found := make(map[string]profile, len(rows))
	wanted := make(map[string]struct{}, len(rows))
	for _, r := range rows {
		wanted[r.id] = struct{}{}
	}
	if !p.sparse && len(rows) > 4*lookupIDs {
		if err := p.stretch(ctx, rows, wanted, found); err != nil {
			return nil, err
		}
	}
	if len(wanted) == 0 {
		return found, nil
	}
	var ids []string
	for _, r := range rows {
		if _, ok := wanted[r.id]; ok {
			ids = append(ids, r.id)
		}
	}
	return found, p.lookup(ctx, ids, found)
}

// stretch reads the profiles from the first id to the last. What it looked for
// and did not find stays in wanted only when it did not get to the end.
func (p *profiles) stretch(ctx context.Context, rows []member, wanted map[string]struct{}, found map[string]profile) error {
	sc := p.scan(customerID + " le " + quoted(rows[len(rows)-1].id))
	sc.from = rows[0].id
	for range mostRangePages {
		if err := p.page(ctx, sc, wanted, found); err != nil {
			return err
		}
		if sc.ended || len(wanted) == 0 {
			clear(wanted)
			return nil
		}
	}
	p.sparse = true
	return nil
}

// page adds a page's rows to found, and takes them out of wanted.
func (p *profiles) page(ctx context.Context, sc *scan, wanted map[string]struct{}, found map[string]profile) error {
	got := map[string]profile{}
	var held int64
	begin := func() {
		clear(got)
		p.held.Add(-held)
		held = 0
	}
	err := sc.next(ctx, begin, func(values []string, problem segment.Problem) error {
		if _, ok := wanted[values[0]]; !ok {
			return nil
		}
		if _, again := got[values[0]]; again {
			return nil
		}
		if long := segment.Long(values[1:]); problem == "" && long != "" {
			problem = long
		}
		if problem != "" {
			got[strings.Clone(values[0])] = profile{problem: problem} // a page has thousands of rows
			return nil
		}
		bytes, err := p.hold(values)
		held += bytes
		row := slices.Clone(values)
		got[row[0]] = profile{row[1:], problem}
		return err
	})
	for id, row := range got {
		found[id] = row
		delete(wanted, id)
	}
	return err
}

// lookup asks for profiles by their ids, a few requests at once.
func (p *profiles) lookup(ctx context.Context, ids []string, found map[string]profile) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var mu sync.Mutex
	var wg sync.WaitGroup
	for chunk := range slices.Chunk(ids, lookupIDs) {
		wg.Go(func() {
			rows, err := p.chunk(ctx, chunk)
			if err != nil {
				cancel(err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			for id, row := range rows {
				found[id] = row
			}
		})
	}
	wg.Wait()
	return context.Cause(ctx)
}

func (p *profiles) chunk(ctx context.Context, ids []string) (map[string]profile, error) {
	wanted := make(map[string]struct{}, len(ids))
	list := make([]string, len(ids))
	for i, id := range ids {
		wanted[id] = struct{}{}
		list[i] = quoted(id)
	}
	found := make(map[string]profile, len(ids))
	sc := p.scan("Microsoft.Dynamics.CRM.In(PropertyName='" + customerID + "',PropertyValues=[" + strings.Join(list, ",") + "])")
	for !sc.ended && len(wanted) > 0 {
		if err := p.page(ctx, sc, wanted, found); err != nil {
			return nil, err
		}
	}
	return found, nil
}

func (p *profiles) scan(filter string) *scan {
	columns := append([]string{customerID}, p.fields...)
	return &scan{client: p.client, table: p.table, columns: columns, filter: filter}
}
