package files

import (
	"context"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/segment-export/segment-export/internal/segment"
	"github.com/segment-export/segment-export/internal/segment/files/tree"
)

// extensions are those of files that are each a segment, in lower case.
var extensions = []struct {
	name string
	form form
}{
	{".csv", form{kind: kindCSV}},
	{".csv.gz", form{kind: kindCSV, packed: true}},
	{".parquet", form{kind: kindParquet}},
	{".ndjson", form{kind: kindLines}},
	{".ndjson.gz", form{kind: kindLines, packed: true}},
	{".jsonl", form{kind: kindLines}},
	{".jsonl.gz", form{kind: kindLines, packed: true}},
	{".xlsx", form{kind: kindWorkbook}},
}

// formOf tells by the name of a file what it is, and its name without that.
func formOf(name string) (stem string, of form, ok bool) {
	small := strings.ToLower(name)
	for _, e := range extensions {
		if strings.HasSuffix(small, e.name) {
			return name[:len(name)-len(e.name)], e.form, true
		}
	}
	return name, of, false
}

// plainSegments lists the files right in the folder, and the folders in it with
// the parts of one segment each.
func (s *Source) plainSegments(ctx context.Context) ([]segment.Info, error) {
	candidates, err := s.candidates(ctx, "")
	if err != nil {
		return nil, err
	}
	var infos []segment.Info
	for _, c := range candidates {
		if checkName(c.name) != nil {
			continue
		}
		i := slices.IndexFunc(infos, func(i segment.Info) bool { return i.Name == c.name })
		if i < 0 {
			i = len(infos)
			infos = append(infos, segment.Info{Name: c.name})
		}
		for _, f := range c.files { // of all: Describe says that there is one too many
			infos[i].Bytes += f.Size
			infos[i].RefreshedAt = later(infos[i].RefreshedAt, f.Modified.UTC())
		}
	}
	slices.SortFunc(infos, func(a, b segment.Info) int { return strings.Compare(a.Name, b.Name) })
	return infos, nil
}

// checkName refuses names that are no plain file name.
func checkName(name string) error {
	if name == "" || strings.HasPrefix(name, ".") || strings.ContainsAny(name, "/\\\x00") {
		return fmt.Errorf("%q cannot be the name of a segment: %w", name, segment.ErrNotFound)
	}
	return nil
}

// plainSet finds a segment's files; a set without files when there are none.
func (s *Source) plainSet(ctx context.Context, name string) (set, error) {
	candidates, err := s.candidates(ctx, name)
	if err != nil {
		return set{}, err
	}
	if len(candidates) == 0 {
		return set{}, s.whyNot(ctx, name)
	}
	if len(candidates) > 1 {
		return set{}, segment.Malformed("%s and %s are both the segment %q; remove one of them",
			s.tree.Place(candidates[0].place()), s.tree.Place(candidates[1].place()), name)
	}
	c := candidates[0]
	if err := s.checkParts(c); err != nil {
		return set{}, err
	}
	found := set{name: name, files: c.files, form: c.form, parts: c.parts, sheet: s.config.Sheet}
	if found.csv, err = s.config.dialect(); err != nil {
		return set{}, err
	}
	found.seal()
	return found, nil
}

// dialect is how CSV files are read that no model.json describes.
func (c Config) dialect() (dialect, error) {
	d := dialect{encoding: c.Encoding, fields: c.Columns, named: len(c.Columns) > 0, escape: c.QuoteEscape == quoteBackslash}
	if !d.named {
		d.fields = nil
	}
	var err error
	if d.comma, err = c.comma(); err != nil {
		return d, err
	}
	d.decoder, err = decoderOf(c.Encoding)
	return d, err
}

// whyNot looks at what has the segment's name and was not listed: a link that
// leads elsewhere, or a folder.
func (s *Source) whyNot(ctx context.Context, name string) error {
	for _, e := range extensions {
		_, err := s.tree.Stat(ctx, name+e.name)
		if err != nil && !isNotFound(err) {
			return err
		}
	}
	return nil
}

// candidate is what may be a segment: a file, or the parts of one.
type candidate struct {
	name  string
	files []tree.File
	form  form
	parts bool

	folder string // of the parts
	trouble
}

// trouble is why parts cannot be read.
type trouble struct {
	delta   bool // they belong to a Delta table
	writing bool // they are being written
	mixed   bool // they are of several forms
}

// place is what stands for it in a message.
func (c *candidate) place() string {
	if c.folder != "" {
		return c.folder
	}
	return c.files[0].Name
}

// candidates returns what may be the segment of that name, or any segment,
// sorted by name.
func (s *Source) candidates(ctx context.Context, name string) ([]*candidate, error) {
	here, err := s.tree.List(ctx, "")
	if err != nil {
		return nil, err
	}
	if slices.ContainsFunc(here.Folders, func(folder string) bool { return path.Base(folder) == deltaLog }) {
		return nil, isDelta(s.tree.Place(""))
	}
	if slices.ContainsFunc(here.Folders, func(folder string) bool { return changesFolder.MatchString(path.Base(folder)) }) {
		return nil, onlyChanges(s.tree.Place(""))
	}
	found := inFiles(here.Files, name)
	looked := 0
	for _, folder := range here.Folders {
		stem, _, _ := formOf(path.Base(folder))
		if name != "" && stem != name || isInstance(folder) || strings.HasPrefix(stem, "_") || strings.HasPrefix(stem, ".") {
			continue
		}
		if looked++; looked > mostFolders {
			break
		}
		inside, err := s.tree.List(ctx, folder)
		if err != nil {
			return nil, err
		}
		if c := inFolder(stem, folder, inside); c != nil {
			found = append(found, c)
		}
	}
	slices.SortStableFunc(found, func(a, b *candidate) int { return strings.Compare(a.name, b.name) })
	return found, nil
}

// mostNamed is how many of the segments that do exist an error names.
const mostNamed = 10

func (s *Source) notFound(ctx context.Context, name string) error {
	infos, err := s.Segments(ctx)
	if err != nil {
		return err
	}
	names := make([]string, 0, mostNamed)
	for _, info := range infos[:min(len(infos), mostNamed)] {
		names = append(names, fmt.Sprintf("%q", info.Name))
	}
	there := "there are no .csv, .csv.gz, .parquet, .xlsx, .ndjson or .jsonl files, and no tables of an export, in that folder"
	if len(names) > 0 {
		there = "there is " + strings.Join(names, ", ")
	}
	if more := len(infos) - len(names); more > 0 {
		there += fmt.Sprintf(" and %d more", more)
	}
	return fmt.Errorf("%s: %w; %s", s.tree.Place(name+extensions[0].name), segment.ErrNotFound, there)
}
