package dataverse

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/segment-export/segment-export/internal/reason"
	"github.com/segment-export/segment-export/internal/segment"
)

// customerType is the type of memberships of unified customers. Business
// accounts have memberships of contacts and accounts, whose profiles are in
// other tables.
const customerType = "Customer"

// members are the members of a segment, a page at a time, each customer once.
type members struct {
	scan    scan
	segment string
	escaped bool // the quotes of the filter have backslashes
	sure    bool // which form of the filter works is known
	columns []string

	last   string              // the last member, or the one that was read up to
	recent map[string]struct{} // the members of the page before
}

// memberPage is what came with a page: those that are members.
type memberPage struct{ rows []member }

type member struct {
	id      string
	problem segment.Problem
}

func newMembers(c *client, t *table, name, after string) *members {
	m := &members{segment: name, columns: []string{customerID, segmentList}, last: after, recent: map[string]struct{}{}}
	if slices.Contains(t.columns, memberType) {
		m.columns = append(m.columns, memberType)
	}
	m.scan = scan{client: c, table: t, columns: m.columns, filter: contains(name, false), from: after}
	if after != "" {
		m.recent[after] = struct{}{}
	}
	return m
}

// next reads a page of members; it may have none although more come.
func (m *members) next(ctx context.Context) (memberPage, error) {
	page, err := m.page(ctx)
	if err != nil || m.sure {
		return page, err
	}
	if len(page.rows) > 0 || !m.scan.ended {
		m.sure = true
		return page, nil
	}
	// No row at all: the other form of the filter, before that is believed.
	m.sure, m.escaped = true, true
	m.scan = scan{client: m.scan.client, table: m.scan.table, columns: m.columns, filter: contains(m.segment, true), from: m.last}
	return m.page(ctx)
}

func (m *members) page(ctx context.Context) (memberPage, error) {
	var page memberPage
	var seen map[string]struct{}
	err := m.scan.next(ctx,
		func() {
			page.rows = page.rows[:0]
			seen = map[string]struct{}{}
		},
		func(values []string, p segment.Problem) error { return m.take(&page, seen, values, p) })
	if err != nil {
		return page, err
	}
	if n := len(page.rows); n > 0 {
		m.last = page.rows[n-1].id
		m.recent = seen
	}
	return page, nil
}

// take looks at one row. The filter selects by plain text, in which letter case
// may not count; only the list itself tells whether a customer is a member.
func (m *members) take(page *memberPage, seen map[string]struct{}, values []string, problem segment.Problem) error {
	id := values[0]
	if problem == "" {
		names := segmentNames(values[1])
		switch {
		case names == nil:
			problem = ProblemMembership
		case !slices.Contains(names, m.segment):
			return nil
		case len(values) > 2 && values[2] != "" && !strings.EqualFold(values[2], customerType):
			return segment.Malformed("the segment %s holds profiles of another type than %s; only segments of customers can be exported", reason.Names(m.segment), customerType)
		}
	}
	if _, again := m.recent[id]; again {
		return nil
	}
	if _, again := seen[id]; again {
		return nil
	}
	last := m.last
	if n := len(page.rows); n > 0 {
		last = page.rows[n-1].id
	}
	if sortsAlike(last) && sortsAlike(id) && id <= last {
		// Not the page before once more, so the order did not hold.
		return fmt.Errorf("the table %s came in another order while it was read: %w", m.scan.table.name, segment.ErrChanged)
	}
	id = strings.Clone(id)
	seen[id] = struct{}{}
	page.rows = append(page.rows, member{id, problem})
	return nil
}

// sortsAlike tells whether all databases sort an id as Go does: digits before
// small letters. Customer ids are 32 hexadecimal digits.
func sortsAlike(id string) bool {
	return id != "" && strings.Trim(id, "0123456789abcdefghijklmnopqrstuvwxyz") == ""
}
