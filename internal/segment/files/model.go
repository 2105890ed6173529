package files

import (
	"encoding/json"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/segment-export/segment-export/internal/segment"
)

// modelName is the file of an export that says what its tables look like.
const modelName = "model.json"

// maxModel is the largest model.json that is read.
const maxModel = 32 << 20

// model is what is used of a model.json of the Common Data Model.
type model struct {
	Entities []entity `json:"entities"`
}

// entity is a table; a segment is one.
type entity struct {
	Name       string          `json:"name"`
	Attributes []attributeName `json:"attributes"`
	Partitions []partitionOf   `json:"partitions"`
}

// partitionOf is a file of a table.
type partitionOf struct {
	Location string    `json:"location"`
	Format   *settings `json:"fileFormatSettings"`
}

// attributeName is a column.
type attributeName struct {
	Name string `json:"name"`
}

// settings are how a partition is written. The zero value is the standard's
// default: no header, commas, quotes as CSV has them, UTF-8.
type settings struct {
	ColumnHeaders bool   `json:"columnHeaders"`
	Delimiter     string `json:"delimiter"`
	QuoteStyle    string `json:"quoteStyle"`
	Encoding      string `json:"encoding"`
}

// parseModel reads a model.json.
func parseModel(data []byte, where string) (model, error) {
	var m model
	if err := json.Unmarshal(trimBOM(data), &m); err != nil {
		return m, segment.Malformed("%s is not the description of an export: %s", where, err)
	}
	var names []string
	for _, e := range m.Entities {
		if e.Name == "" {
			return m, segment.Malformed("%s has a table without a name", where)
		}
		names = append(names, e.Name)
	}
	slices.Sort(names)
	for i := range names {
		if i > 0 && names[i] == names[i-1] {
			return m, segment.Malformed("%s has two tables %q", where, names[i])
		}
	}
	return m, nil
}

func trimBOM(data []byte) []byte {
	return []byte(strings.TrimPrefix(string(data), string(utf8BOM)))
}

// dialect returns how to read the table's files. What the configuration
// sets goes before what the model says.
func (e entity) dialect(c Config, where string) (dialect, error) {
	var s settings
	for i, p := range e.Partitions {
		var of settings
		if p.Format != nil {
			of = *p.Format
		}
		if i > 0 && of != s {
			return dialect{}, segment.Malformed("%s: the files of the table %q are not all written the same way", where, e.Name)
		}
		s = of
	}
	d := dialect{comma: ',', encoding: s.Encoding}
	var err error
	if s.Delimiter != "" {
		if d.comma, err = commaOf(s.Delimiter); err != nil {
			return d, segment.Malformed("%s: table %q: %s", where, e.Name, err)
		}
	}
	if set, err := c.comma(); err != nil || set != 0 {
		d.comma = set
		if err != nil {
			return d, err
		}
	}
	if c.Encoding != "" {
		d.encoding = c.Encoding
	}
	if d.decoder, err = decoderOf(d.encoding); err != nil {
		return d, segment.Malformed("%s: table %q: %s", where, e.Name, err)
	}
	switch strings.TrimPrefix(s.QuoteStyle, "QuoteStyle.") {
	case "", "Csv":
	case "None":
		d.noQuotes = true
	default:
		return d, segment.Malformed("%s: table %q: the quote style %q is not known", where, e.Name, s.QuoteStyle)
	}
	if s.ColumnHeaders {
		return d, nil
	}
	d.fields = []string{}
	seen := map[string]bool{}
	for i, a := range e.Attributes {
		switch {
		case a.Name == "":
			return d, segment.Malformed("%s: table %q: column %d has no name", where, e.Name, i+1)
		case seen[a.Name]:
			return d, segment.Malformed("%s: table %q names its column %d a second time", where, e.Name, i+1)
		}
		seen[a.Name] = true
		d.fields = append(d.fields, a.Name)
	}
	if len(d.fields) == 0 {
		return d, segment.Malformed("%s: table %q has no columns, and its files have no header", where, e.Name)
	}
	return d, nil
}

// partition is where a file lies below an export: TABLE/yyyy/MM/dd/HHmm/FILE.
var partition = regexp.MustCompile(`([^/]+)/(\d{4}/\d{2}/\d{2}/\d{4})/([^/]+)$`)

// named returns the files that the model names, by their run.
func (e entity) named() map[string][]string {
	runs := map[string][]string{}
	for _, p := range e.Partitions {
		u, err := url.Parse(p.Location)
		if err != nil {
			continue
		}
		if m := partition.FindStringSubmatch(u.Path); m != nil && m[1] == e.Name {
			runs[m[2]] = append(runs[m[2]], m[3])
		}
	}
	return runs
}

// located returns the files that the model names, as paths below its folder.
func (e entity) located() []string {
	var names []string
	for _, p := range e.Partitions {
		u, err := url.Parse(p.Location)
		if err != nil {
			continue
		}
		if at := strings.LastIndex(u.Path, "/"+e.Name+"/"); at >= 0 {
			names = append(names, strings.TrimPrefix(path.Clean(u.Path[at:]), "/"))
		}
	}
	return names
}
