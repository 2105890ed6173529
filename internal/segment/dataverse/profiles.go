package dataverse

import (
	"context"
	"slices"
	"strings"
	"sync"

	"github.com/segment-export/segment-export/internal/segment"
)

const (
	// lookupIDs is how many profiles one request asks for by their ids: its
	// address stays below 10,000 characters, of the 32,768 that are allowed.
	lookupIDs = 200
	// mostRangePages is how many pages of profiles are read for one page of
	// members before those that are still missing are asked for by their ids.
	mostRangePages = 3
)

// profiles finds the profiles of a page of members.
//
// Where most customers are in the segment, a page of members is a stretch of
// the table of profiles: the rows from the first id to the last come in one or
// two pages. Where few are, that stretch is long, and asking for ids is cheaper.
// Which one it is shows by itself.
type profiles struct {
	client *client
	table  *table
	fields []string
	sparse bool
}

// profile is a row of the table of profiles.
type profile struct {
	values  []string
	problem segment.Problem
}

// of returns the profiles of members by their ids; those without are missing.
func (p *profiles) of(ctx context.Context, rows []member) (map[string]profile, error) {
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
	err := sc.next(ctx, func() { clear(got) }, func(values []string, problem segment.Problem) error {
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
		row := slices.Clone(values)
		got[row[0]] = profile{row[1:], problem}
		return nil
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
