package files

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/segment-export/segment-export/internal/segment"
)

// extensions are the files that are segments by themselves.
var extensions = []struct {
	name string
	form form
}{
	{".csv", formCSV},
	{".csv.gz", formGzip},
	{".parquet", formParquet},
}

// plainSegments lists the files right in the folder.
func (s *Source) plainSegments(ctx context.Context) ([]segment.Info, error) {
	all, err := s.tree.List(ctx, "")
	if err != nil {
		return nil, err
	}
	var infos []segment.Info
	for _, f := range all.Files {
		for _, e := range extensions {
			name, ok := strings.CutSuffix(f.Name, e.name)
			if !ok || checkName(name) != nil {
				continue
			}
			if i := slices.IndexFunc(infos, func(i segment.Info) bool { return i.Name == name }); i >= 0 {
				infos[i].Bytes += f.Size // Describe says that there is one too many
				infos[i].RefreshedAt = later(infos[i].RefreshedAt, f.Modified.UTC())
				continue
			}
			infos = append(infos, segment.Info{Name: name, Bytes: f.Size, RefreshedAt: f.Modified.UTC()})
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

// plainSet finds a segment's one file; a set without files when there is none.
func (s *Source) plainSet(ctx context.Context, name string) (set, error) {
	found := set{name: name}
	for _, e := range extensions {
		f, err := s.tree.Stat(ctx, name+e.name)
		if errors.Is(err, segment.ErrNotFound) {
			continue
		}
		if err != nil {
			return set{}, err
		}
		found.files = append(found.files, f)
		found.form = e.form
	}
	switch len(found.files) {
	case 0:
		return found, nil
	case 1:
	default:
		return set{}, segment.Malformed("%s and %s are both the segment %q; remove one of them",
			s.tree.Place(found.files[0].Name), s.tree.Place(found.files[1].Name), name)
	}
	var err error
	if found.csv.comma, err = s.config.comma(); err != nil {
		return set{}, err
	}
	found.csv.encoding = s.config.Encoding
	if found.csv.decoder, err = decoderOf(s.config.Encoding); err != nil {
		return set{}, err
	}
	found.seal()
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
	there := "there are no .csv, .csv.gz or .parquet files, and no tables of an export, in that folder"
	if len(names) > 0 {
		there = "there is " + strings.Join(names, ", ")
	}
	if more := len(infos) - len(names); more > 0 {
		there += fmt.Sprintf(" and %d more", more)
	}
	return fmt.Errorf("%s: %w; %s", s.tree.Place(name+extensions[0].name), segment.ErrNotFound, there)
}
