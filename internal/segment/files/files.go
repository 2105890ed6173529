// Package files reads segments from files, in a folder or in a bucket of Azure
// (Blob Storage, ADLS Gen2), S3 or Google Cloud.
//
// In the plain layout each file SEGMENT.csv, .parquet, .jsonl, .ndjson or .xlsx
// is a segment, and so are numbered parts of one, or parts in a folder.
//
// A CSV file is what spreadsheets and warehouses write: fields in double quotes
// where need be, in UTF-8 or in what a byte-order mark or the settings say. The
// separator is the one that yields the columns asked for. Rows without a value
// are skipped; in short rows the missing values are empty. A row with a value in
// no column, with invalid text in a field that is asked for, or with a misplaced
// quote is a Row with a Problem. The file is an ErrMalformed where no row
// follows a misplaced quote, or where more than a handful of rows cannot be
// decoded.
//
// A Parquet file's values are read as the text that a CSV file would have: null
// is empty, dates and times are ISO 8601, decimals have a point, booleans are
// true and false. Columns with lists or structures are not offered.
//
// In the layout of Customer Insights each table of an export's model.json is a
// segment, read from EXPORT/TABLE/yyyy/MM/dd/HHmm/TABLE_NUMBER.csv (or .csv.gz)
// in the order of the numbers. The newest run is read of which all files are
// there that model.json names; or, where model.json does not name it, all
// numbers from the first to the last, and nothing was written for ten minutes.
// Columns, delimiter, quotes and encoding are what model.json says, by default
// no header, commas, CSV's quotes, UTF-8.
//
// A segment is read from a set of files that is fixed when the read begins:
// name, size and ETag (in a folder: time and inode) of each, and how to
// read them. A cursor names that set by its digest, and the place in it: a
// file, and the byte of the text where a row begins. Compressed text is read and
// thrown away up to that place.
package files

import (
	"context"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/segment-export/segment-export/internal/segment"
	"github.com/segment-export/segment-export/internal/segment/files/tree"
)

// Source is a folder or a bucket with files.
type Source struct {
	tree   tree.Tree
	config Config
	now    func() time.Time
}

var _ segment.Source = (*Source)(nil)

// New returns the source that the settings name: of a folder below root, out of
// which no path and no symbolic link leads, or of a bucket, which the secret
// opens: an account key, a shared access signature or an Entra application's
// JSON for Azure, an access key's JSON for S3, a service account's JSON for
// Google Cloud, or nothing for the identity that the worker has itself. The
// caller closes root, after the last use of the source.
func New(root *os.Root, config Config, secret []byte) (*Source, error) {
	t, err := config.open(root, secret)
	if err != nil {
		return nil, err
	}
	return &Source{tree: t, config: config, now: time.Now}, nil
}

// Segments lists what there is, with its size and without its fields.
func (s *Source) Segments(ctx context.Context) ([]segment.Info, error) {
	e, err := s.exportHere(ctx)
	if err != nil {
		return nil, err
	}
	var plain []segment.Info
	if e == nil && s.config.Layout != LayoutCustomerInsights {
		plain, err = s.plainSegments(ctx)
	}
	if e == nil && len(plain) == 0 && err == nil {
		e, err = s.exportBelow(ctx)
	}
	if err != nil || e == nil {
		return plain, err
	}
	return e.segments(), nil
}

// Describe reads a segment's field names.
func (s *Source) Describe(ctx context.Context, name string) (segment.Info, error) {
	set, err := s.find(ctx, name, "")
	if err != nil {
		return segment.Info{}, err
	}
	info := segment.Info{Name: name, Bytes: set.bytes(), RefreshedAt: set.refreshedAt()}
	names, err := s.fields(ctx, set, nil)
	if err != nil {
		return segment.Info{}, err // without a header the names are values
	}
	info.Fields = usable(names)
	return info, nil
}

// Open starts to read a segment, see segment.Source.
func (s *Source) Open(ctx context.Context, name string, fields []string, after segment.Cursor) (segment.Reader, error) {
	var from place
	var was digest
	if after != nil {
		var ok bool
		if was, from, ok = parseCursor(after, name); !ok {
			return nil, fmt.Errorf("%s: %w", s.tree.Place(name), segment.ErrChanged)
		}
	}
	set, err := s.find(ctx, name, from.run)
	if err != nil {
		return nil, err
	}
	if after != nil && (was != set.digest || from.file >= len(set.files)) {
		return nil, fmt.Errorf("%s: %w", s.tree.Place(name), segment.ErrChanged)
	}
	r := &reader{ctx: ctx, source: s, set: set, wanted: slices.Clone(fields)}
	if set.versions {
		if r.old, err = s.outdated(ctx, set); err != nil {
			return nil, err
		}
	}
	if after == nil {
		err = r.begin(0, nil)
	} else {
		r.before, r.counts = from.before, from.counts
		err = r.begin(from.file, &from.position)
	}
	if err != nil {
		return nil, err
	}
	return r, nil
}

// find fixes the files of a segment; of the run given, where runs there are.
func (s *Source) find(ctx context.Context, name, run string) (set, error) {
	if err := ctx.Err(); err != nil {
		return set{}, err
	}
	if err := checkName(name); err != nil {
		return set{}, err
	}
	e, err := s.exportHere(ctx)
	if err != nil {
		return set{}, err
	}
	if e == nil && s.config.Layout != LayoutCustomerInsights {
		plain, err := s.plainSet(ctx, name)
		if err != nil || len(plain.files) > 0 {
			return plain, err
		}
	}
	if e == nil {
		e, err = s.exportBelow(ctx)
	}
	if err != nil {
		return set{}, err
	}
	if e == nil {
		return set{}, s.notFound(ctx, name)
	}
	return s.exportSet(ctx, e, name, run)
}
