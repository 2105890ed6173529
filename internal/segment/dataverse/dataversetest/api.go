package dataversetest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// link is a link to a next page that was given out.
type link struct {
	address string // as it was given
	page    int    // asked for
	query   query
	after   row // the last row given
	until   time.Time
}

// serveAPI answers a request to the Web API, and tells whose it was.
func (s *Server) serveAPI(w http.ResponseWriter, r *http.Request) string {
	app := s.admitted(w, r)
	if app == nil {
		return ""
	}
	if leave, ok := s.admit(w, app.Client); ok {
		defer leave()
		s.route(w, r, app)
	}
	return app.Client
}

// admitted checks the token and the user.
func (s *Server) admitted(w http.ResponseWriter, r *http.Request) *App {
	bearer, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	s.mu.Lock()
	given, known := s.tokens[bearer]
	s.mu.Unlock()
	if !ok || !known || s.options.Now().After(given.expires) {
		w.Header().Set("WWW-Authenticate", `Bearer authorization_uri=`+s.URL)
		w.WriteHeader(http.StatusUnauthorized)
		return nil
	}
	switch given.app.User {
	case NoUser:
		refuse(w, http.StatusForbidden, "0x80072560", "The user is not a member of the organization.")
		return nil
	case DisabledUser:
		refuse(w, http.StatusForbidden, "0x80040225", "The specified user is disabled.")
		return nil
	}
	return given.app
}

var definition = regexp.MustCompile(`^EntityDefinitions\(LogicalName='([a-z_0-9]+)'\)$`)

func (s *Server) route(w http.ResponseWriter, r *http.Request, app *App) {
	path := strings.TrimPrefix(r.URL.Path, apiPath)
	switch {
	case r.Method != http.MethodGet:
		// Customer Insights' own words are to read only.
		refuse(w, http.StatusMethodNotAllowed, "0x80060000", "This stand-in is for reading only.")
	case r.Header.Get("OData-Version") != "4.0" || r.Header.Get("OData-MaxVersion") != "4.0" || !strings.Contains(r.Header.Get("Accept"), "application/json"):
		refuse(w, http.StatusBadRequest, "0x80060888", "The headers Accept, OData-Version and OData-MaxVersion are wanted.")
	case path == "WhoAmI":
		answerJSON(w, http.StatusOK, map[string]string{"UserId": guid(app.Client), "OrganizationId": guid(s.URL), "BusinessUnitId": guid("unit")})
	case strings.HasPrefix(path, "EntityDefinitions("):
		s.define(w, path)
	default:
		s.rows(w, r, app, path)
	}
}

// define answers with a table's definition.
func (s *Server) define(w http.ResponseWriter, path string) {
	m := definition.FindStringSubmatch(path)
	s.mu.Lock()
	defer s.mu.Unlock()
	var t *table
	if m != nil {
		t = s.tables[m[1]]
	}
	if t == nil {
		refuse(w, http.StatusNotFound, "0x80040217", "The entity was not found in the MetadataCache.")
		return
	}
	attributes := []map[string]any{{"LogicalName": "modifiedbyname", "AttributeType": "String", "AttributeOf": "modifiedby", "IsValidForRead": true},
		{"LogicalName": "msdynci_blob", "AttributeType": "Virtual", "AttributeOf": nil, "IsValidForRead": true},
		{"LogicalName": "msdynci_hidden", "AttributeType": "String", "AttributeOf": nil, "IsValidForRead": false}}
	for name, kind := range t.columns {
		attributes = append(attributes, map[string]any{"LogicalName": name, "AttributeType": kind, "AttributeOf": nil, "IsValidForRead": true})
	}
	var provider any
	if t.kind == Virtual {
		provider = guid("provider")
	}
	answerJSON(w, http.StatusOK, map[string]any{"LogicalName": t.name, "EntitySetName": t.set(), "PrimaryIdAttribute": t.id,
		"TableType": t.kind, "DataProviderId": provider, "MetadataId": guid(t.name), "Attributes": attributes})
}

// query is what a request asks of a table.
type query struct {
	table    *table
	fields   []string
	where    condition
	all      bool   // there is no filter
	from, to string // bounds on customer ids that the filter sets; empty: none
	order    []ordering
	top      int
}

type ordering struct {
	column string
	down   bool
}

var readable = map[string]string{Profiles: "prvReadmsdynci_customerprofile", Memberships: "prvReadmsdynci_segmentmembership", Metadata: "prvReadmscipriv_segmentmetadata"}

// rows answers with a page of a table.
func (s *Server) rows(w http.ResponseWriter, r *http.Request, app *App, set string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.tables[strings.TrimSuffix(set, "s")]
	if t == nil || t.set() != set {
		refuse(w, http.StatusNotFound, "0x80060888", fmt.Sprintf("Resource not found for the segment '%s'.", set))
		return
	}
	if app.User == BasicUser || slices.Contains(app.Unreadable, t.name) || t.name == Metadata && s.options.MetadataForbidden {
		refuse(w, http.StatusForbidden, "0x80040220", fmt.Sprintf("Principal user (Id=%s, type=8) is missing %s privilege (Id=%s)", guid(app.Client), readable[t.name], guid("p")))
		return
	}
	page, err := pageSize(r.Header.Get("Prefer"))
	if err != nil {
		refuse(w, http.StatusBadRequest, "0x80060888", err.Error())
		return
	}
	var q query
	var after row
	options := r.URL.Query()
	if options.Has("$skiptoken") {
		given, ok := s.links[options.Get("$skiptoken")]
		// The status and the code of an expired link are not documented.
		if !ok || given.address != "https://"+r.Host+r.RequestURI || given.page != page || s.options.Now().After(given.until) {
			refuse(w, http.StatusBadRequest, "0x80041129", "The paging cookie is not valid.")
			return
		}
		q, after = given.query, given.after
	} else if q, err = s.parse(t, options); err != nil {
		refuse(w, http.StatusBadRequest, "0x80060888", err.Error())
		return
	}
	s.page(w, r, q, page, after)
}

// most is how many rows a page of a table can have.
func (s *Server) most(t *table) int {
	most := 5000
	if t.kind == Virtual {
		most = 1000
	}
	if s.options.PageRows > 0 {
		most = min(most, s.options.PageRows)
	}
	return most
}

// page writes a page of rows after the given one, as they are now.
func (s *Server) page(w http.ResponseWriter, r *http.Request, q query, asked int, after row) {
	size := s.most(q.table)
	if asked > 0 && asked <= 5000 { // a larger wish is ignored
		size = min(size, asked)
	}
	if q.top > 0 && asked == 0 {
		size = min(size, q.top)
	}
	found := q.find(after, size+1)
	more := len(found) > size
	found = found[:min(len(found), size)]
	var out strings.Builder
	out.WriteString(`{"@odata.context":"` + s.URL + apiPath + `$metadata#` + q.table.set() + `","value":[`)
	for i, one := range found {
		if i > 0 {
			out.WriteByte(',')
		}
		out.WriteString(`{"@odata.etag":"W/\"1\""`)
		for _, field := range q.fields {
			write(&out, field, one[field])
		}
		if !slices.Contains(q.fields, q.table.id) {
			write(&out, q.table.id, one[q.table.id])
		}
		out.WriteByte('}')
	}
	out.WriteByte(']')
	if more && q.top == 0 && q.table.kind != Virtual {
		out.WriteString(`,"@odata.nextLink":` + strconv.Quote(s.giveLink(r, q, asked, found[len(found)-1])))
	}
	out.WriteByte('}')
	w.Header().Set("Content-Type", "application/json; odata.metadata=minimal")
	if asked > 0 {
		w.Header().Set("Preference-Applied", fmt.Sprintf("odata.maxpagesize=%d", size))
	}
	_, _ = w.Write([]byte(out.String()))
}

// write adds a column to a row. A map of them all would be several times as slow,
// and there are a million rows.
func write(out *strings.Builder, field string, value any) {
	out.WriteString(`,"` + field + `":`)
	if value == nil {
		out.WriteString("null")
		return
	}
	var data []byte
	if text, ok := value.(string); ok {
		data, _ = jsontext.AppendQuote(nil, text)
	} else {
		data, _ = json.Marshal(value)
	}
	out.Write(data)
}

// giveLink makes a link that means nothing to the client that follows it.
func (s *Server) giveLink(r *http.Request, q query, asked int, after row) string {
	s.serial++
	cookie := fmt.Sprintf("<cookie pagenumber=%q pagingcookie=%q istracking=\"False\" />", fmt.Sprint(s.serial), "%253ccookie%2520page%253d%2522"+guid(fmt.Sprint(s.serial)))
	// Not how url.QueryEscape writes it: to decode and encode the link changes it.
	escaped := strings.NewReplacer("<", "%3C", ">", "%3E", " ", "%20", `"`, "%22", "%", "%25").Replace(cookie)
	address := "https://" + r.Host + r.URL.EscapedPath() + "?$select=" + strings.Join(q.fields, ",") + "&$skiptoken=" + escaped
	s.links[cookie] = link{address: address, page: asked, query: q, after: after, until: s.options.Now().Add(s.options.LinkLife)}
	return address
}

// find looks for rows after the given one, in the query's order.
func (q query) find(after row, most int) []row {
	t := q.table
	var found []row // the first so far, in order
	if q.byCustomer() {
		// The table is kept in this order.
		bound := q.from
		if after != nil {
			bound, _ = after["msdynci_customerid"].(string)
		}
		start := 0
		if bound != "" {
			start = sort.Search(t.size, func(i int) bool { return t.compare(t.at(i)["msdynci_customerid"], bound) >= 0 })
		}
		for i := start; i < t.size && len(found) < most; i++ {
			r := t.at(i)
			if q.to != "" && t.compare(r["msdynci_customerid"], q.to) > 0 {
				break
			}
			if q.where(r) && (after == nil || q.less(after, r)) {
				found = append(found, r)
			}
		}
		return found
	}
	if t.oneTime && after == nil && q.all && len(q.order) == 1 && q.order[0].column == "modifiedon" {
		for i := range min(t.size, most) {
			found = append(found, t.at(i))
		}
		return found
	}
	for i := range t.size {
		r := t.at(i)
		if !q.where(r) || after != nil && !q.less(after, r) {
			continue
		}
		place := sort.Search(len(found), func(i int) bool { return q.less(r, found[i]) })
		if place < most {
			found = slices.Insert(found, place, r)
			found = found[:min(len(found), most)]
		}
	}
	return found
}

func (q query) byCustomer() bool {
	return len(q.order) > 0 && q.order[0] == ordering{column: "msdynci_customerid"} && q.table.columns["msdynci_customerid"] != ""
}

func (q query) less(a, b row) bool { return q.compare(a, b) < 0 }

func (q query) compare(a, b row) int {
	for _, o := range q.order {
		c := q.table.compare(a[o.column], b[o.column])
		if o.down {
			c = -c
		}
		if c != 0 {
			return c
		}
	}
	return q.table.compare(a[q.table.id], b[q.table.id])
}

// parse reads the options of a query.
func (s *Server) parse(t *table, options url.Values) (query, error) {
	q := query{table: t, all: true, where: func(row) bool { return true }}
	for name, values := range options {
		if len(values) != 1 {
			return q, fmt.Errorf("query option '%s' was specified more than once", name)
		}
		if !slices.Contains([]string{"$select", "$filter", "$orderby", "$top"}, name) {
			return q, fmt.Errorf("the query parameter %s is not supported", name)
		}
	}
	column := func(name string) (string, error) {
		if _, ok := t.columns[name]; !ok {
			return "", fmt.Errorf("could not find a property named '%s' on type 'Microsoft.Dynamics.CRM.%s'", name, t.name)
		}
		return name, nil
	}
	if text := options.Get("$select"); text != "" {
		for name := range strings.SplitSeq(text, ",") {
			field, err := column(strings.TrimSpace(name))
			if err != nil {
				return q, err
			}
			q.fields = append(q.fields, field)
		}
	} else {
		for name := range t.columns {
			q.fields = append(q.fields, name)
		}
	}
	if text := options.Get("$orderby"); text != "" {
		for part := range strings.SplitSeq(text, ",") {
			words := strings.Fields(part)
			if len(words) == 0 || len(words) > 2 || len(words) == 2 && words[1] != "asc" && words[1] != "desc" {
				return q, fmt.Errorf("syntax error in $orderby")
			}
			name, err := column(words[0])
			if err != nil {
				return q, err
			}
			if s.options.NoSort && name == "modifiedon" {
				return q, fmt.Errorf("sorting by %s is not supported", name)
			}
			q.order = append(q.order, ordering{name, len(words) == 2 && words[1] == "desc"})
		}
	}
	if text := options.Get("$top"); text != "" {
		top, err := strconv.Atoi(text)
		if err != nil || top < 1 {
			return q, fmt.Errorf("invalid value for $top")
		}
		q.top = top
	}
	if text := options.Get("$filter"); text != "" {
		if err := q.parseFilter(text, s.options.BackslashQuotes); err != nil {
			return q, err
		}
	}
	return q, nil
}

// pageSize reads how many rows are asked for.
func pageSize(prefer string) (int, error) {
	if prefer == "" {
		return 0, nil
	}
	text, ok := strings.CutPrefix(prefer, "odata.maxpagesize=")
	size, err := strconv.Atoi(text)
	if !ok || err != nil || size < 1 {
		return 0, fmt.Errorf("the preference is not understood")
	}
	return size, nil
}
