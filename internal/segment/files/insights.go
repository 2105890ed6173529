package files

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/segment-export/segment-export/internal/segment"
	"github.com/segment-export/segment-export/internal/segment/files/tree"
)

// instancePrefix begins the folder of an environment of Customer Insights.
const instancePrefix = "CustomerInsights_"

// export is an export of Customer Insights: the folder with the model.json.
type export struct {
	folder string
	model  model
	where  string // of the model.json
}

// exportHere returns the export whose folder the source's place is, nil when it
// is none.
func (s *Source) exportHere(ctx context.Context) (*export, error) {
	if s.config.Layout == LayoutPlain {
		return nil, nil
	}
	f, err := s.tree.Stat(ctx, modelName)
	if errors.Is(err, segment.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return s.load(ctx, f)
}

// exportBelow returns the only export below the source's place; nil when there
// is none and the layout leaves that open.
func (s *Source) exportBelow(ctx context.Context) (*export, error) {
	if s.config.Layout == LayoutPlain {
		return nil, nil
	}
	found, err := s.modelsBelow(ctx)
	switch {
	case err != nil:
		return nil, err
	case len(found) > 1:
		var folders []string
		for _, f := range found[:min(len(found), mostNamed)] {
			folders = append(folders, strconv.Quote(path.Dir(f.Name)))
		}
		return nil, segment.Malformed("%s has several exports of Customer Insights; name one of them in the source's place: %s",
			s.tree.Place(""), strings.Join(folders, ", "))
	case len(found) == 1:
		return s.load(ctx, found[0])
	case s.config.Layout == LayoutCustomerInsights:
		return nil, segment.Malformed("%s has no %s, neither itself nor in %s…/EXPORT: it is not an export of Customer Insights, or its %s was not copied with it, "+
			"and that alone tells the columns of files that have no header",
			s.tree.Place(""), modelName, instancePrefix, modelName)
	}
	return nil, nil
}

// load reads the model.json of an export.
func (s *Source) load(ctx context.Context, f tree.File) (*export, error) {
	e := &export{folder: path.Dir(f.Name), where: s.tree.Place(f.Name)}
	if e.folder == "." {
		e.folder = ""
	}
	data, err := s.whole(ctx, f, maxModel)
	if err != nil {
		return nil, err
	}
	e.model, err = parseModel(data, e.where)
	return e, err
}

// modelsBelow returns the model.json of each export below an environment's
// folder.
func (s *Source) modelsBelow(ctx context.Context) ([]tree.File, error) {
	here, err := s.tree.List(ctx, "")
	if err != nil {
		return nil, err
	}
	exports := here.Folders
	if !isInstance(s.tree.Place("")) {
		exports = nil
		for _, folder := range here.Folders {
			if !isInstance(folder) {
				continue
			}
			below, err := s.tree.List(ctx, folder)
			if err != nil {
				return nil, err
			}
			exports = append(exports, below.Folders...)
		}
	}
	var found []tree.File
	for _, folder := range exports {
		f, err := s.tree.Stat(ctx, path.Join(folder, modelName))
		if errors.Is(err, segment.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		found = append(found, f)
	}
	return found, nil
}

func isInstance(folder string) bool {
	name := path.Base(folder)
	return len(name) > len(instancePrefix) && strings.EqualFold(name[:len(instancePrefix)], instancePrefix)
}

// whole reads a small file.
func (s *Source) whole(ctx context.Context, f tree.File, most int64) ([]byte, error) {
	if f.Size > most {
		return nil, segment.Malformed("%s is larger than %d bytes", s.tree.Place(f.Name), most)
	}
	content, err := s.tree.Open(ctx, f)
	if err != nil {
		return nil, err
	}
	defer content.Close()
	return io.ReadAll(io.NewSectionReader(content, 0, f.Size))
}

func (e *export) segments() []segment.Info {
	var infos []segment.Info
	for _, t := range e.model.Entities {
		if checkName(t.Name) == nil {
			infos = append(infos, segment.Info{Name: t.Name})
		}
	}
	slices.SortFunc(infos, func(a, b segment.Info) int { return strings.Compare(a.Name, b.Name) })
	return infos
}

// exportSet finds the files of a segment: of the run given, or of the newest
// complete one.
func (s *Source) exportSet(ctx context.Context, e *export, name, run string) (set, error) {
	i := slices.IndexFunc(e.model.Entities, func(t entity) bool { return t.Name == name })
	if i < 0 {
		return set{}, s.notFound(ctx, name)
	}
	table := e.model.Entities[i]
	if table.isLinked() {
		return s.linkedSet(ctx, e, table)
	}
	d, err := table.dialect(s.config, e.where)
	if err != nil {
		return set{}, err
	}
	found := set{name: name, csv: d, run: run}
	all := &runs{source: s, table: name, folder: path.Join(e.folder, name), named: table.named()}
	if run != "" {
		// It was complete when its reading began.
		found.files, err = all.files(ctx, run)
		if errors.Is(err, segment.ErrNotFound) || err == nil && len(found.files) == 0 {
			err = fmt.Errorf("%s: %w", s.tree.Place(path.Join(all.folder, run)), segment.ErrChanged)
		}
	} else {
		found.run, found.files, err = all.newest(ctx)
		found.notes = all.notes
	}
	if err != nil {
		return set{}, err
	}
	if strings.HasSuffix(found.files[0].Name, ".gz") {
		found.form.packed = true
	}
	found.seal()
	return found, nil
}
