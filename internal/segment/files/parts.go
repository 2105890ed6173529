package files

import (
	"errors"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/segment-export/segment-export/internal/segment"
	"github.com/segment-export/segment-export/internal/segment/files/tree"
)

const (
	// success is the file that is written into a folder when all parts are.
	success = "_SUCCESS"
	// unfinished is the folder that is in one as long as parts are written.
	unfinished = "_temporary"
	// deltaLog is the folder that makes a folder a Delta table.
	deltaLog = "_delta_log"
	// mostFolders is how many folders are looked into for parts.
	mostFolders = 200
)

// partNames are what the parts of a segment are called right in the place: the
// segment, and the part's number, from 0 without a gap, which may be followed by
// how many there are.
var partNames = []*regexp.Regexp{
	regexp.MustCompile(`^(.+?)[-_.]?(\d{12})$`),
	regexp.MustCompile(`^(.+)-(\d{5})-of-(\d{5})$`),
}

// partFile is what the parts in a folder of their own are called, where no file
// says that they are complete.
var partFile = regexp.MustCompile(`(?i)^(?:part|data)[-_.]?\d|^\d+_part_|^\d{12}\.`)

// partOf tells the segment and the number of a part, of a file's name without
// its extension, and how many parts there are: 0 when it is not said.
func partOf(stem string) (name string, number, of int, ok bool) {
	for _, pattern := range partNames {
		m := pattern.FindStringSubmatch(stem)
		if m == nil {
			continue
		}
		number, err := strconv.Atoi(m[2])
		if err != nil {
			continue
		}
		if len(m) > 3 {
			of, _ = strconv.Atoi(m[3])
		}
		return m[1], number, of, true
	}
	return stem, 0, 0, false
}

// inFiles returns the segments among the files of a folder: of that name, or
// all. A part's file is also a segment of its own, when it is named.
func inFiles(files []tree.File, name string) []*candidate {
	var found []*candidate
	for _, f := range files {
		base := path.Base(f.Name)
		stem, form, ok := formOf(base)
		if !ok || strings.HasPrefix(base, "_") || strings.HasPrefix(base, ".") {
			continue
		}
		whole, _, _, part := partOf(stem)
		if part && stem == name {
			whole, part = stem, false
		}
		if name != "" && whole != name {
			continue
		}
		if part {
			i := slices.IndexFunc(found, func(c *candidate) bool { return c.name == whole && c.parts && c.form == form })
			if i >= 0 {
				found[i].files = append(found[i].files, f)
				continue
			}
		}
		found = append(found, &candidate{name: whole, files: []tree.File{f}, form: form, parts: part})
	}
	return found
}

// inFolder returns the segment whose parts a folder holds; nil when it is none.
func inFolder(name, folder string, inside tree.Listing) *candidate {
	c := &candidate{name: name, folder: folder, parts: true}
	complete, called := false, true
	for _, f := range inside.Files {
		base := path.Base(f.Name)
		complete = complete || base == success
		if strings.HasPrefix(base, "_") || strings.HasPrefix(base, ".") {
			continue
		}
		_, form, ok := formOf(base)
		if !ok {
			continue
		}
		called = called && partFile.MatchString(base)
		c.mixed = c.mixed || len(c.files) > 0 && form != c.form
		c.form = form
		c.files = append(c.files, f)
	}
	for _, below := range inside.Folders {
		c.delta = c.delta || path.Base(below) == deltaLog
		c.writing = c.writing || path.Base(below) == unfinished
	}
	if c.delta || len(c.files) > 0 && (complete || called) {
		return c
	}
	return nil
}

// settled is for how long a part that is missing may still come.
const settled = settle

// checkParts says why parts cannot be read: what is wrong with them is wrong
// for all.
func (s *Source) checkParts(c *candidate) error {
	where := s.tree.Place(c.place())
	switch {
	case c.delta:
		return isDelta(where)
	case c.mixed:
		return segment.Malformed("%s holds parts of several kinds; leave those of one kind in it", where)
	case c.writing:
		return &segment.BusyError{Reason: where + " is still being written: " + unfinished + " is in it", RetryAfter: time.Minute}
	case !c.parts || c.folder != "":
		c.files = withoutEmpty(c.files)
		return nil
	}
	next, want := 0, 0
	var newest time.Time
	missing := -1
	for _, f := range c.files {
		stem, _, _ := formOf(path.Base(f.Name))
		_, number, of, _ := partOf(stem)
		if number != next && missing < 0 {
			missing = next
		}
		next, want = number+1, max(want, of)
		newest = later(newest, f.Modified)
	}
	if missing < 0 && next < want {
		missing = next
	}
	if missing >= 0 {
		if left := settled - s.now().Sub(newest); left > 0 {
			return &segment.BusyError{Reason: where + " and what follows it are still being written: the part " + strconv.Itoa(missing) + " is missing", RetryAfter: min(left, time.Minute)}
		}
		return segment.Malformed("%s has no part %d; put it there, or write the segment again", where, missing)
	}
	c.files = withoutEmpty(c.files)
	return nil
}

// withoutEmpty leaves out files of no bytes, unless all are.
func withoutEmpty(files []tree.File) []tree.File {
	full := slices.DeleteFunc(slices.Clone(files), func(f tree.File) bool { return f.Size == 0 })
	if len(full) == 0 {
		return files[:1]
	}
	return full
}

func isDelta(where string) error {
	return segment.Malformed("%s is a Delta table (it has %s): its files hold rows that are deleted as well. Write the rows as plain Parquet or CSV files, "+
		"or let Synapse Link write CSV files with their model.json, or read the table through a database", where, deltaLog)
}

func isNotFound(err error) bool { return errors.Is(err, segment.ErrNotFound) }
