package dataverse

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/segment-export/segment-export/internal/segment"
)

// scan reads the rows of a table that a filter selects, in the order of their
// customer ids, page by page.
//
// It follows the link that each page gives, as it is. A link does not live for
// ever, and for how long is not documented: when it is refused, the scan
// continues with a query of its own from the last customer id. For that reason alone the
// order is by customer id: it is text, which can be compared in a filter, and
// primary keys cannot. A page that comes twice, or a row that comes again after
// such a new query, is the caller's to recognise by its customer id.
type scan struct {
	client  *client
	table   *table
	columns []string // the first is customerID
	filter  string   // may be empty
	from    string   // the customer id to begin at, or the last one seen; empty: the start
	link    string   // of the next page; empty before the first
	ended   bool
	empty   int // pages without a row since the last one with rows
}

// mostEmpty is how many pages in a row may have no rows. Dataverse gives none
// such; a server that only gives them must not be read for ever.
const mostEmpty = 100

// next reads a page. row is called for its rows, once begin was called, and
// all of that again if the answer ends in the middle.
func (s *scan) next(ctx context.Context, begin func(), row func(values []string, p segment.Problem) error) error {
	link := s.link
	last, rows, next, err := s.read(ctx, link, begin, row)
	if link != "" && isRefusal(err, http.StatusBadRequest, http.StatusNotFound, http.StatusGone) {
		link = ""
		last, rows, next, err = s.read(ctx, "", begin, row)
	}
	if err != nil {
		return err
	}
	s.link = next
	if s.empty++; rows > 0 {
		s.empty = 0
	}
	switch {
	case s.empty > mostEmpty && next != "":
		return segment.Malformed("%s gave %d pages without a row, one after another", s.table.name, s.empty)
	case next == link && next != "":
		s.link = "" // a link to itself leads nowhere; the id does
	case next != "" && !s.client.ours(next):
		return segment.Malformed("the next page of %s is at another host, where the login's token must not go", s.table.name)
	case next == "":
		// A page without a link may be all that a provider of virtual tables gives
		// at once, and not the end of the table: it is asked until nothing new comes.
		s.ended = s.table.kind != virtual || rows == 0 || last == s.from
	}
	if last != "" {
		s.from = last
	}
	return nil
}

// read reads one page, by its link or by a query from the last id on.
func (s *scan) read(ctx context.Context, link string, begin func(), row func([]string, segment.Problem) error) (last string, rows int, next string, err error) {
	if link == "" {
		link = s.query()
	}
	_, err = s.client.get(ctx, request{url: link, page: s.table.page(), table: s.table.name}, func(body io.Reader) error {
		begin()
		last, rows = "", 0
		var err error
		next, err = readPage(body, s.columns, func(values []string, p segment.Problem) error {
			rows++
			switch {
			case values[0] == "":
				return segment.Malformed("a row of %s has no customer id", s.table.name)
			case len(values[0]) > mostID:
				return segment.Malformed("a row of %s has a customer id of more than %d bytes", s.table.name, mostID)
			}
			last = values[0]
			return row(values, p)
		})
		return err
	})
	return strings.Clone(last), rows, next, err
}

// mostID bounds a customer id, which is held for every row of a page; those of
// Customer Insights have 32 characters.
const mostID = 400

// query is the address of the rows from the last id on. That id itself is in
// it, since a customer can have several rows.
func (s *scan) query() string {
	filter := s.filter
	if s.from != "" {
		from := customerID + " ge " + quoted(s.from)
		if filter == "" {
			filter = from
		} else {
			filter = "(" + filter + ") and " + from
		}
	}
	return s.client.address(s.table.set, "$select", strings.Join(s.columns, ","), "$filter", filter, "$orderby", customerID+" asc,"+s.table.id+" asc")
}

// contains is the filter for the members of a segment. The name stands in
// quotes there, as in the column's JSON. The documentation shows the quotes with
// a backslash before each, other programs send them plain; escaped selects
// the former.
func contains(segmentName string, escaped bool) string {
	quote := `"`
	if escaped {
		quote = `\"`
	}
	return fmt.Sprintf("contains(%s,%s)", segmentList, quoted(quote+segmentName+quote))
}
