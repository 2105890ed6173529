package files

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/segment-export/segment-export/internal/segment"
)

var _ segment.Tester = (*Source)(nil)

// testRows is how many rows a test reads.
const testRows = 100

// Test looks whether the place can be listed and the first segment read, see
// segment.Tester.
func (s *Source) Test(ctx context.Context) ([]segment.Check, error) {
	infos, err := s.Segments(ctx)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil {
		return []segment.Check{failed("list the place", err)}, nil
	}
	checks := []segment.Check{{Name: "list the place", OK: true, Detail: fmt.Sprintf("%s: %d segments", s.tree.Place(""), len(infos))}}
	if len(infos) == 0 {
		checks[0].OK = false
		checks[0].Action = "put SEGMENT.csv, SEGMENT.csv.gz or SEGMENT.parquet there, or name the folder of an export of Customer Insights (with its model.json, which tells the columns)"
		return checks, nil
	}
	name := infos[0].Name
	n, err := s.firstRows(ctx, name)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil {
		return append(checks, failed("read a segment", err)), nil
	}
	return append(checks, segment.Check{Name: "read a segment", OK: true, Detail: fmt.Sprintf("segment %q: its first %d rows", name, n)}), nil
}

// failed makes a check of what is wrong.
func failed(name string, err error) segment.Check {
	if e, ok := errors.AsType[*segment.AccessError](err); ok {
		return segment.Check{Name: name, Detail: e.Message, Action: e.Action}
	}
	return segment.Check{Name: name, Detail: err.Error()}
}

// firstRows reads some rows, all their columns.
func (s *Source) firstRows(ctx context.Context, name string) (int, error) {
	info, err := s.Describe(ctx, name)
	if errors.Is(err, segment.ErrEmpty) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	r, err := s.Open(ctx, name, info.Fields, nil)
	if err != nil {
		return 0, err
	}
	defer r.Close()
	for n := range testRows {
		_, err := r.Next()
		if errors.Is(err, io.EOF) {
			return n, nil
		}
		if err != nil {
			return n, err
		}
	}
	return testRows, nil
}
