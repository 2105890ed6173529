package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode"

	"github.com/dustin/go-humanize"
	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
	"go.yaml.in/yaml/v3"
)

// The output formats.
const (
	formatText = "text"
	formatJSON = "json"
	formatYAML = "yaml"
)

// print writes the answer: raw in JSON or YAML, else what people writes.
func (s *session) print(raw json.RawMessage, people func(*page)) error {
	var out bytes.Buffer
	switch s.format {
	case formatJSON:
		// On one line for programs, laid out for people.
		err := json.Compact(&out, raw)
		if s.o.OutTerminal {
			out.Reset()
			err = json.Indent(&out, raw, "", "  ")
		}
		if err != nil {
			return err
		}
		out.WriteByte('\n')
	case formatYAML:
		if err := writeYAML(&out, raw); err != nil {
			return err
		}
	default:
		people(&page{out: &out, lined: s.o.OutTerminal, zone: s.o.Zone})
	}
	_, err := s.o.Out.Write(out.Bytes())
	return err
}

// page is text for people.
type page struct {
	out   io.Writer
	lined bool // tables with lines, for terminals
	zone  *time.Location
}

func (p *page) line(format string, args ...any) {
	fmt.Fprintln(p.out, clean(fmt.Sprintf(format, args...)))
}

// fields writes names and values below each other, and leaves out those
// without a value.
func (p *page) fields(pairs ...string) {
	width := 0
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			width = max(width, len(pairs[i]))
		}
	}
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			p.line("%-*s  %s", width, pairs[i], pairs[i+1])
		}
	}
}

// table writes rows under a header. Columns that hold numbers stand to the
// right.
func (p *page) table(header []string, rows [][]any) {
	t := table.NewWriter()
	t.SetOutputMirror(p.out)
	style := table.StyleDefault
	if p.lined {
		style = table.StyleLight
	}
	style.Format.Header = text.FormatUpper
	style.Color = table.ColorOptions{}
	if !p.lined {
		style.Options = table.OptionsNoBordersAndSeparators
		style.Box.PaddingLeft, style.Box.PaddingRight = "", "  "
	}
	t.SetStyle(style)
	var head table.Row
	for _, h := range header {
		head = append(head, h)
	}
	t.AppendHeader(head)
	numbers := make([]bool, len(header))
	for _, r := range rows {
		var row table.Row
		for i, cell := range r {
			if n, ok := cell.(int); ok {
				numbers[i], cell = true, count(n)
			}
			row = append(row, clean(fmt.Sprint(cell)))
		}
		t.AppendRow(row)
	}
	var columns []table.ColumnConfig
	for i, n := range numbers {
		if n {
			columns = append(columns, table.ColumnConfig{Number: i + 1, Align: text.AlignRight, AlignHeader: text.AlignRight})
		}
	}
	t.SetColumnConfigs(columns)
	t.SuppressTrailingSpaces()
	t.Render()
}

// time writes a time with its zone; empty for none.
func (p *page) time(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.In(p.zone).Format("2006-01-02 15:04:05 MST")
}

// clean keeps what came from elsewhere from steering the terminal: control
// characters other than line breaks and tabs become visible.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\n' && r != '\t' || isDirection(r) {
			return unicode.ReplacementChar
		}
		return r
	}, s)
}

// isDirection finds the characters that make text run the other way, with
// which one thing can be made to look like another.
func isDirection(r rune) bool { return r >= 0x202A && r <= 0x202E || r >= 0x2066 && r <= 0x2069 }

// count writes a number with its thousands separated, so that a million is
// seen.
func count(n int) string { return humanize.Comma(int64(n)) }

// plural writes a number of things.
func plural(n int, one, many string) string {
	if n == 1 {
		return count(n) + " " + one
	}
	return count(n) + " " + many
}

// writeYAML writes JSON as YAML, names and their order kept.
func writeYAML(w io.Writer, raw json.RawMessage) error {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	node, err := yamlNode(d)
	if err != nil {
		return err
	}
	e := yaml.NewEncoder(w)
	e.SetIndent(2)
	return errors.Join(e.Encode(node), e.Close())
}

// yamlNode reads the next JSON value.
func yamlNode(d *json.Decoder) (*yaml.Node, error) {
	token, err := d.Token()
	if err != nil {
		return nil, err
	}
	delim, ok := token.(json.Delim)
	if !ok {
		node := &yaml.Node{}
		if n, ok := token.(json.Number); ok {
			tag := "!!int"
			if strings.ContainsAny(n.String(), ".eE") {
				tag = "!!float"
			}
			return &yaml.Node{Kind: yaml.ScalarNode, Tag: tag, Value: n.String()}, nil
		}
		return node, node.Encode(token)
	}
	node := &yaml.Node{Kind: yaml.MappingNode}
	if delim == '[' {
		node.Kind = yaml.SequenceNode
	}
	for d.More() {
		child, err := yamlNode(d) // of an object, names and values by turns
		if err != nil {
			return nil, err
		}
		node.Content = append(node.Content, child)
	}
	if len(node.Content) == 0 {
		node.Style = yaml.FlowStyle
	}
	_, err = d.Token() // the closing bracket
	return node, err
}
