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
	formatText  = "text"
	formatJSON  = "json"
	formatYAML  = "yaml"
	formatJSONL = "jsonl" // a line for each event of a run
)

// print writes the answer: raw in JSON or YAML, else what people writes.
func (s *session) print(raw json.RawMessage, people func(*page)) error {
	var out bytes.Buffer
	switch s.format {
	case formatJSONL:
		return s.emit(event{Event: eventReport, Report: raw})
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
		width := 0
		if s.o.OutTerminal {
			width = s.o.Width()
		}
		people(&page{out: &out, width: width, zone: s.o.Zone})
	}
	text := out.Bytes()
	if s.format == formatJSON || s.format == formatYAML {
		text = escapeUnseen(text)
	}
	_, err := s.o.Out.Write(text)
	return err
}

// escapeUnseen writes the control characters and those that turn the direction
// of text as \uXXXX. In JSON they stand only within strings, and in YAML as
// writeYAML writes it only within double quotes: either way the value stays the
// same.
func escapeUnseen(text []byte) []byte {
	return []byte(escaping.Replace(string(text)))
}

// escaping leaves out what JSON escapes itself and what ends a line.
var escaping = func() *strings.Replacer {
	var pairs []string
	for r := rune(0x7F); r <= maxUnseen; r++ {
		if isUnseen(r) {
			pairs = append(pairs, string(r), fmt.Sprintf(`\u%04X`, r))
		}
	}
	return strings.NewReplacer(pairs...)
}()

// maxUnseen is the last character for which isUnseen holds.
const maxUnseen = 0x2069

// page is text for people.
type page struct {
	out   io.Writer
	width int // columns that tables are wrapped to; 0: not wrapped, a row stays on its line
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
	style.Format.Header = text.FormatUpper
	style.Color = table.ColorOptions{}
	style.Options = table.OptionsNoBordersAndSeparators
	style.Box.PaddingLeft, style.Box.PaddingRight = "", columnGap
	t.SetStyle(style)
	columns := make([]tableColumn, len(header))
	var head table.Row
	for i, h := range header {
		columns[i].measure(h)
		head = append(head, h)
	}
	t.AppendHeader(head)
	for _, r := range rows {
		var row table.Row
		for i, cell := range r {
			if n, ok := cell.(int); ok {
				columns[i].number, cell = true, count(n)
			}
			shown := clean(fmt.Sprint(cell))
			columns[i].measure(shown)
			row = append(row, shown)
		}
		t.AppendRow(row)
	}
	if p.width > 0 {
		fit(columns, p.width)
	}
	var configs []table.ColumnConfig
	for i, c := range columns {
		config := table.ColumnConfig{Number: i + 1, WidthMax: c.width, WidthMaxEnforcer: text.WrapSoft}
		if c.number {
			config.Align, config.AlignHeader = text.AlignRight, text.AlignRight
		}
		configs = append(configs, config)
	}
	t.SetColumnConfigs(configs)
	t.SuppressTrailingSpaces()
	t.Render()
}

// columnGap stands between the columns of a table.
const columnGap = "  "

// tableColumn is what a table needs to know of a column to find its width.
type tableColumn struct {
	number bool
	width  int // of the longest line
	word   int // of the longest word, up to longestWord
}

const (
	// longestWord is the width up to which a word is never broken.
	longestWord = 24
	// shortCell is the width up to which a cell is never broken: times are so long.
	shortCell = len("2006-01-02 15:04Z")
)

func (c *tableColumn) measure(cell string) {
	for line := range strings.Lines(cell) {
		c.width = max(c.width, text.StringWidthWithoutEscSequences(strings.TrimRight(line, "\n")))
	}
	if n := text.StringWidthWithoutEscSequences(cell); n <= shortCell {
		c.word = max(c.word, n)
	}
	for _, word := range strings.Fields(cell) {
		c.word = max(c.word, min(longestWord, text.StringWidthWithoutEscSequences(word)))
	}
}

// fit narrows the widest columns of text until all fit into width, or every one
// is as narrow as its longest word.
func fit(columns []tableColumn, width int) {
	total := len(columnGap) * (len(columns) - 1)
	for _, c := range columns {
		total += c.width
	}
	for ; total > width; total-- {
		var widest *tableColumn
		for i := range columns {
			c := &columns[i]
			if !c.number && c.width > c.word && (widest == nil || c.width > widest.width) {
				widest = c
			}
		}
		if widest == nil {
			return
		}
		widest.width--
	}
}

// time writes a time with its zone; empty for none.
func (p *page) time(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.In(p.zone).Format("2006-01-02 15:04:05 MST")
}

// minute writes a time for a table, where it has to be short: to the minute, in
// the reader's zone, with a Z for UTC; empty for none.
func (p *page) minute(t time.Time) string {
	switch {
	case t.IsZero():
		return ""
	case p.zone == time.UTC:
		return t.UTC().Format("2006-01-02 15:04Z")
	}
	return t.In(p.zone).Format("2006-01-02 15:04")
}

// shortID is the beginning of a run's id, which is enough for commands.
func shortID(id string) string { return id[:min(len(id), 8)] }

// clean keeps text of other origin from controlling the terminal: control
// characters other than line breaks and tabs become visible.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if isUnseen(r) && r != '\n' && r != '\t' {
			return unicode.ReplacementChar
		}
		return r
	}, s)
}

// isUnseen finds control characters, which steer a terminal, and those that
// break lines or turn the direction of text, with which one name can be made to
// look like another.
func isUnseen(r rune) bool {
	return unicode.In(r, unicode.Cc, unicode.Bidi_Control, unicode.Zl, unicode.Zp)
}

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
		err := node.Encode(token)
		if strings.ContainsFunc(node.Value, isUnseen) {
			node.Style = yaml.DoubleQuotedStyle // in which they can be escaped
		}
		return node, err
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
