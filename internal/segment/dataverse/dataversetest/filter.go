package dataversetest

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// condition is a filter that was understood.
type condition func(row) bool

// parser reads the part of OData's filter language that Dataverse documents
// and this program needs; everything else is refused.
type parser struct {
	table     *table
	backslash bool
	rest      string
	from, to  string // the nearest bounds on customer ids that hold for every row found; empty: none
	depth     int    // within or and not, where a bound holds for some rows only
}

var errFilter = errors.New("syntax error in the filter")

// parseFilter sets the condition of a query and its bounds.
func (q *query) parseFilter(text string, backslash bool) error {
	p := &parser{table: q.table, backslash: backslash, rest: text}
	c, err := p.or()
	if err == nil && strings.TrimSpace(p.rest) != "" {
		err = errFilter
	}
	q.where, q.from, q.to, q.all = c, p.from, p.to, false
	return err
}

// bind notes that customer ids are not below one, or not above another.
func (p *parser) bind(column, from, to string) {
	if column != "msdynci_customerid" || p.depth > 0 {
		return
	}
	if from != "" && (p.from == "" || p.table.compare(from, p.from) > 0) {
		p.from = from
	}
	if to != "" && (p.to == "" || p.table.compare(to, p.to) < 0) {
		p.to = to
	}
}

func (p *parser) word(w string) bool {
	trimmed := strings.TrimLeft(p.rest, " ")
	after, ok := strings.CutPrefix(trimmed, w)
	if !ok || after != "" && (isLetter(w[len(w)-1]) && isLetter(after[0])) {
		return false
	}
	p.rest = after
	return true
}

func isLetter(c byte) bool {
	return c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
}

func (p *parser) or() (condition, error) {
	from, to := p.from, p.to
	left, err := p.and()
	for err == nil && p.word("or") {
		p.from, p.to = from, to // a bound on one side binds nothing
		p.depth++
		var right condition
		right, err = p.and()
		p.depth--
		was := left
		left = func(r row) bool { return was(r) || right(r) }
	}
	return left, err
}

func (p *parser) and() (condition, error) {
	left, err := p.one()
	for err == nil && p.word("and") {
		var right condition
		right, err = p.one()
		was := left
		left = func(r row) bool { return was(r) && right(r) }
	}
	return left, err
}

func (p *parser) one() (condition, error) {
	switch {
	case p.word("not"):
		p.depth++
		c, err := p.one()
		p.depth--
		return func(r row) bool { return !c(r) }, err
	case p.word("("):
		c, err := p.or()
		if err == nil && !p.word(")") {
			err = errFilter
		}
		return c, err
	case p.word("contains("):
		return p.contains()
	case p.word("Microsoft.Dynamics.CRM.In("):
		return p.in()
	}
	return p.comparison()
}

var nameStart = regexp.MustCompile(`^ *([a-z_][a-z0-9_]*)`)

func (p *parser) column() (string, error) {
	m := nameStart.FindStringSubmatch(p.rest)
	if m == nil {
		return "", errFilter
	}
	p.rest = p.rest[len(m[0]):]
	if _, ok := p.table.columns[m[1]]; !ok {
		return "", fmt.Errorf("could not find a property named '%s' on type 'Microsoft.Dynamics.CRM.%s'", m[1], p.table.name)
	}
	return m[1], nil
}

func (p *parser) text() (string, error) {
	p.rest = strings.TrimLeft(p.rest, " ")
	if !strings.HasPrefix(p.rest, "'") {
		return "", errFilter
	}
	var b strings.Builder
	for i := 1; i < len(p.rest); i++ {
		if p.rest[i] != '\'' {
			b.WriteByte(p.rest[i])
			continue
		}
		if i+1 < len(p.rest) && p.rest[i+1] == '\'' {
			b.WriteByte('\'')
			i++
			continue
		}
		p.rest = p.rest[i+1:]
		return b.String(), nil
	}
	return "", errFilter
}

var literal = regexp.MustCompile(`^ *(true|false|null|-?[0-9.]+|[0-9a-f]{8}-[0-9a-f-]{27})`)

func (p *parser) value() (any, error) {
	if text, err := p.text(); err == nil {
		return text, nil
	}
	m := literal.FindStringSubmatch(p.rest)
	if m == nil {
		return nil, errFilter
	}
	p.rest = p.rest[len(m[0]):]
	switch m[1] {
	case "true":
		return true, nil
	case "false":
		return false, nil
	case "null":
		return nil, nil
	}
	return m[1], nil
}

// ordered are the types whose values can be compared by order.
var ordered = []string{"String", "Memo", "DateTime", "Integer", "BigInt", "Decimal", "Double", "Money"}

func (p *parser) comparison() (condition, error) {
	column, err := p.column()
	if err != nil {
		return nil, err
	}
	for _, operator := range []string{"eq", "ne", "gt", "ge", "lt", "le"} {
		if !p.word(operator) {
			continue
		}
		value, err := p.value()
		if err != nil {
			return nil, err
		}
		if operator != "eq" && operator != "ne" && !slices.Contains(ordered, p.table.columns[column]) {
			return nil, fmt.Errorf("the operator '%s' is not supported for the column '%s'", operator, column)
		}
		switch text, _ := value.(string); operator {
		case "gt", "ge":
			p.bind(column, text, "")
		case "lt", "le":
			p.bind(column, "", text)
		}
		t := p.table
		return func(r row) bool {
			order := t.compare(r[column], value)
			switch operator {
			case "eq":
				return order == 0
			case "ne":
				return order != 0
			}
			if r[column] == nil {
				return false
			}
			return operator == "gt" && order > 0 || operator == "ge" && order >= 0 || operator == "lt" && order < 0 || operator == "le" && order <= 0
		}, nil
	}
	return nil, errFilter
}

// contains looks for text within text. In SQL an underscore stands for any
// character, and letter case does not count.
func (p *parser) contains() (condition, error) {
	column, err := p.column()
	if err != nil {
		return nil, err
	}
	if !p.word(",") {
		return nil, errFilter
	}
	wanted, err := p.text()
	if err != nil || !p.word(")") {
		return nil, errFilter
	}
	if p.backslash != strings.Contains(wanted, `\"`) && strings.Contains(wanted, `"`) {
		return func(row) bool { return false }, nil
	}
	wanted = strings.ReplaceAll(wanted, `\"`, `"`)
	if p.table.kind == Elastic {
		return func(r row) bool {
			text, _ := r[column].(string)
			return strings.Contains(text, wanted)
		}, nil
	}
	if !strings.Contains(wanted, "_") {
		wanted = strings.ToLower(wanted)
		return func(r row) bool {
			text, _ := r[column].(string)
			return strings.Contains(strings.ToLower(text), wanted)
		}, nil
	}
	pattern, err := regexp.Compile("(?is)" + strings.ReplaceAll(regexp.QuoteMeta(wanted), "_", "."))
	return func(r row) bool {
		text, _ := r[column].(string)
		return pattern.MatchString(text)
	}, err
}

// mostIn is how many values the function In takes.
const mostIn = 500

func (p *parser) in() (condition, error) {
	if !p.word("PropertyName=") {
		return nil, errFilter
	}
	column, err := p.text()
	if err != nil {
		return nil, err
	}
	if _, ok := p.table.columns[column]; !ok || !p.word(",") || !p.word("PropertyValues=[") {
		return nil, errFilter
	}
	values := map[string]bool{}
	fold := strings.ToLower
	if p.table.kind == Elastic {
		fold = func(s string) string { return s }
	}
	least, greatest := "", ""
	for {
		value, err := p.text()
		if err != nil {
			return nil, err
		}
		values[fold(value)] = true
		if least == "" || p.table.compare(value, least) < 0 {
			least = value
		}
		if greatest == "" || p.table.compare(value, greatest) > 0 {
			greatest = value
		}
		if !p.word(",") {
			break
		}
	}
	if !p.word("]") || !p.word(")") || len(values) > mostIn {
		return nil, errFilter
	}
	p.bind(column, least, greatest)
	return func(r row) bool {
		text, ok := r[column].(string)
		return ok && values[fold(text)]
	}, nil
}
