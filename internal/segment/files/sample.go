package files

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/segment-export/segment-export/internal/reason"
	"github.com/segment-export/segment-export/internal/segment"
)

var _ segment.Sampler = (*Source)(nil)

// sampleShown is how many rows a sample shows.
const sampleShown = 3

// Sample says how a segment is read, see segment.Sampler.
func (s *Source) Sample(ctx context.Context, name string) (segment.Sample, error) {
	info, err := s.Describe(ctx, name)
	if err != nil {
		return segment.Sample{}, err
	}
	opened, err := s.Open(ctx, name, info.Fields, nil)
	if err != nil {
		return segment.Sample{}, err
	}
	defer opened.Close()
	r, ok := opened.(*reader)
	if !ok {
		return segment.Sample{}, nil
	}
	sample := segment.Sample{How: r.how(), Problems: map[segment.Problem]int{}}
	for sample.Looked < testRows {
		row, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return sample, err
		}
		sample.Looked++
		switch {
		case row.Problem != "":
			sample.Problems[row.Problem]++
		case len(sample.Rows) < sampleShown:
			sample.Rows = append(sample.Rows, slices.Clone(row.Values))
		}
	}
	if blank := r.blank + r.rows.skipped(); blank > 0 {
		sample.How = append(sample.How, fmt.Sprintf("blank rows skipped: %d", blank))
	}
	return sample, nil
}

// how says in a few words each how a set is read, of its first file.
func (r *reader) how() []string {
	var how []string
	switch rows := r.rows.(type) {
	case *csvRows:
		how = append(how, "CSV", rows.header.encodingName(), separatorName(rows.header.comma), rows.header.headerLine(r.set.csv))
		if rows.header.cr {
			how = append(how, "lines end with CR")
		}
		if r.set.csv.escape {
			how = append(how, "backslash before quotes")
		}
	case *lineRows:
		how = append(how, "JSON, one object a line")
	case *sheetRows:
		how = append(how, "workbook", fmt.Sprintf("sheet %s of %d", reason.Names(rows.title), len(rows.book.sheets)))
	case *parquetRows:
		how = append(how, "Parquet")
	}
	if r.set.form.packed {
		how = append(how, "compressed")
	}
	if r.set.versions {
		how = append(how, "newest version of each Id")
	}
	if n := len(r.set.files); n > 1 {
		how = append(how, fmt.Sprintf("%d files", n))
	}
	return how
}

func (h header) encodingName() string {
	name := cmp.Or(h.coding, "utf-8")
	if strings.HasPrefix(name, "utf-") {
		name = strings.ToUpper(name)
	}
	if h.marked {
		return name + " with a byte-order mark"
	}
	return name
}

// headerLine says where the names of the columns come from.
func (h header) headerLine(d dialect) string {
	switch {
	case h.none && d.named:
		return "no header, columns named by the source"
	case h.none:
		return "no header, columns named by " + modelName
	}
	return fmt.Sprintf("header in line %d", h.end.line)
}

func separatorName(comma rune) string {
	switch comma {
	case ',':
		return "comma between columns"
	case ';':
		return "semicolon between columns"
	case '\t':
		return "tab between columns"
	}
	return fmt.Sprintf("%c between columns", comma)
}
