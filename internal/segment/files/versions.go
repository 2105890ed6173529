package files

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/segment-export/segment-export/internal/segment"
	"github.com/segment-export/segment-export/internal/segment/files/tree"
)

// The columns with which Azure Synapse Link writes a table of Dataverse: a row
// that changes is written again, behind the others.
const (
	linkID       = "Id"
	linkModified = "SinkModifiedOn"
	linkDeleted  = "IsDelete"
)

// isLinked says that a table is one that Synapse Link, or Fabric, has written.
func (e entity) isLinked() bool {
	has := func(name string) bool {
		return slices.ContainsFunc(e.Attributes, func(a attributeName) bool { return a.Name == name })
	}
	return has(linkID) && has(linkModified)
}

// changesFolder is what Synapse Link calls a folder with the changes of some
// minutes, by their time. Older ones may have been deleted, so that no number of
// them is known to be the whole table.
var changesFolder = regexp.MustCompile(`^\d{4}-\d{2}-\d{2}T\d{2}[.:]\d{2}[.:]\d{2}(?:\.\d+)?Z?$`)

// isChanges says that a path leads through a folder with changes.
func isChanges(place string) bool {
	return slices.ContainsFunc(strings.Split(place, "/"), changesFolder.MatchString)
}

// onlyChanges refuses a table of which only changes are there.
func onlyChanges(where string) error {
	return segment.Malformed("%s holds folders with changes, which Synapse Link writes with its incremental folder structure, and not whole tables; "+
		"make a second link without that option, or read the tables from Dataverse (--kind dataverse)", where)
}

// linkedSet finds the files of a linked table: those that the model names, by
// year or by month.
func (s *Source) linkedSet(ctx context.Context, e *export, table entity) (set, error) {
	if isChanges(e.where) || slices.ContainsFunc(table.Partitions, func(p partitionOf) bool { return isChanges(p.Location) }) {
		return set{}, onlyChanges(e.where)
	}
	d, err := table.dialect(s.config, e.where)
	if err != nil {
		return set{}, err
	}
	found := set{name: table.Name, csv: d, versions: true}
	for _, name := range table.located() {
		f, err := s.tree.Stat(ctx, path.Join(e.folder, name))
		if isNotFound(err) {
			return set{}, segment.Malformed("%s names %s, which is not there; copy the table's folder as a whole", e.where, s.tree.Place(path.Join(e.folder, name)))
		}
		if err != nil {
			return set{}, err
		}
		found.files = append(found.files, f)
	}
	if len(found.files) == 0 {
		all, err := s.tree.List(ctx, path.Join(e.folder, table.Name))
		if err != nil {
			return set{}, err
		}
		found.files = slices.DeleteFunc(all.Files, func(f tree.File) bool {
			return !strings.HasSuffix(strings.ToLower(f.Name), ".csv") || strings.HasPrefix(path.Base(f.Name), "_")
		})
	}
	if len(found.files) == 0 {
		return set{}, fmt.Errorf("%s %w", s.tree.Place(path.Join(e.folder, table.Name)), segment.ErrEmpty)
	}
	slices.SortFunc(found.files, func(a, b tree.File) int { return cmp.Compare(a.Name, b.Name) })
	found.seal()
	return found, nil
}

// version is one row of a linked table.
type version struct {
	id       [2]uint64 // a digest of the row's id
	modified int64     // seconds
	row      int64     // how many rows are before it
	deleted  bool
}

// outdated are the rows of a linked table that newer ones of the same id have
// replaced, and those that were deleted.
type outdated struct {
	rows           []uint64 // a bit each
	older, deleted int
}

func (o *outdated) has(row int64) bool {
	return row/64 < int64(len(o.rows)) && o.rows[row/64]&(1<<(row%64)) != 0
}

func (o *outdated) add(row int64) {
	for int64(len(o.rows)) <= row/64 {
		o.rows = append(o.rows, 0)
	}
	o.rows[row/64] |= 1 << (row % 64)
}

// outdated reads the ids of all rows of a set. It keeps 40 bytes of a row while
// it does, and one bit after.
func (s *Source) outdated(ctx context.Context, of set) (*outdated, error) {
	versions, err := s.versions(ctx, of)
	if err != nil {
		return nil, err
	}
	slices.SortFunc(versions, func(a, b version) int {
		return cmp.Or(cmp.Compare(a.id[0], b.id[0]), cmp.Compare(a.id[1], b.id[1]), cmp.Compare(a.modified, b.modified), cmp.Compare(a.row, b.row))
	})
	o := &outdated{}
	for i, v := range versions {
		switch newest := i+1 == len(versions) || versions[i+1].id != v.id; {
		case !newest:
			o.older++
		case v.deleted:
			o.deleted++
		default:
			continue
		}
		o.add(v.row)
	}
	return o, nil
}

func (s *Source) versions(ctx context.Context, of set) ([]version, error) {
	fields := []string{linkID, linkModified}
	if slices.Contains(of.csv.fields, linkDeleted) {
		fields = append(fields, linkDeleted)
	}
	r := &reader{ctx: ctx, source: s, set: of, wanted: fields}
	if err := r.begin(0, nil); err != nil {
		return nil, err
	}
	defer r.Close()
	seeds := [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()}
	var all []version
	for row := int64(0); ; row++ {
		read, err := r.Next()
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return nil, err
		}
		if read.Problem != "" || read.Values[0] == "" {
			continue // it stands for itself
		}
		v := version{modified: linkTime(read.Values[1]), row: row}
		for i, seed := range seeds {
			v.id[i] = maphash.String(seed, read.Values[0])
		}
		v.deleted = len(fields) > 2 && (strings.EqualFold(read.Values[2], "true") || read.Values[2] == "1")
		all = append(all, v)
	}
}

// linkTime reads when a row was written; 0 where it does not say.
func linkTime(text string) int64 {
	for _, layout := range []string{"1/2/2006 3:04:05 PM", time.RFC3339, "2006-01-02T15:04:05", "2006-01-02 15:04:05", "1/2/2006 15:04:05"} {
		if at, err := time.Parse(layout, text); err == nil {
			return at.Unix()
		}
	}
	return 0
}
