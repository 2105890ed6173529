package files

import (
	"cmp"
	"context"
	"fmt"
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
	// settle is how long nothing may have been written to a run that model.json
	// does not name, until it counts as complete.
	settle = 10 * time.Minute
	// mostRuns is how many runs are looked at for a complete one.
	mostRuns = 50
)

// runs are the runs of an export that wrote a table, each in a folder of its
// own that is never written to again.
type runs struct {
	source *Source
	table  string
	folder string              // of the table
	named  map[string][]string // the files that the model names, by run

	notes []string
}

// runFolders are the names of a run's folders: year, month, day, hour and
// minute.
var runFolders = []*regexp.Regexp{
	regexp.MustCompile(`^\d{4}$`), regexp.MustCompile(`^\d{2}$`), regexp.MustCompile(`^\d{2}$`), regexp.MustCompile(`^\d{4}$`),
}

const runLayout = "2006/01/02/1504"

// runTime is when a run was, as its folder says.
func runTime(run string) time.Time {
	t, err := time.Parse(runLayout, run)
	if err != nil {
		return time.Time{}
	}
	return t
}

// newest returns the newest run that is complete, with its files.
func (r *runs) newest(ctx context.Context) (string, []tree.File, error) {
	var chosen []tree.File
	var chosenRun string
	var passed []string
	wait := time.Duration(0)
	seen := 0
	_, err := r.visit(ctx, "", func(run string) (bool, error) {
		files, err := r.files(ctx, run)
		if err != nil {
			return true, err
		}
		why, left := r.incomplete(run, files)
		if why == "" {
			chosenRun, chosen = run, files
			return true, nil
		}
		if len(passed) == 0 {
			wait = left
		}
		passed = append(passed, fmt.Sprintf("%s: %s", r.source.tree.Place(path.Join(r.folder, run)), why))
		seen++
		return seen == mostRuns, nil
	})
	where := r.source.tree.Place(r.folder)
	switch {
	case err != nil:
		return "", nil, err
	case chosen != nil:
		if len(passed) > 0 {
			r.notes = append(r.notes, fmt.Sprintf("segment %q was read from the run of %s: a newer run is not complete (%s)", r.table, chosenRun, passed[0]))
		}
		return chosenRun, chosen, nil
	case wait > 0:
		return "", nil, &segment.BusyError{Reason: passed[0], RetryAfter: wait}
	case len(passed) > 0:
		return "", nil, segment.Malformed("%s has no complete run; %s", where, passed[0])
	}
	return "", nil, fmt.Errorf("%s has no folder of a run (yyyy/MM/dd/HHmm) with %s_1.csv: %w", where, r.table, segment.ErrNotFound)
}

// visit calls f with each run, the newest first, until it is done.
func (r *runs) visit(ctx context.Context, under string, f func(run string) (done bool, err error)) (bool, error) {
	depth := 0
	if under != "" {
		depth = strings.Count(under, "/") + 1
	}
	if depth == len(runFolders) {
		return f(under)
	}
	here, err := r.source.tree.List(ctx, path.Join(r.folder, under))
	if err != nil {
		return true, err
	}
	for _, folder := range slices.Backward(here.Folders) {
		name := path.Base(folder)
		if !runFolders[depth].MatchString(name) {
			continue
		}
		if done, err := r.visit(ctx, path.Join(under, name), f); done || err != nil {
			return true, err
		}
	}
	return false, nil
}

// files returns a run's files in the order of their numbers.
func (r *runs) files(ctx context.Context, run string) ([]tree.File, error) {
	all, err := r.source.tree.List(ctx, path.Join(r.folder, run))
	if err != nil {
		return nil, err
	}
	files := slices.DeleteFunc(all.Files, func(f tree.File) bool {
		_, ok := r.number(f)
		return !ok
	})
	slices.SortFunc(files, func(a, b tree.File) int {
		i, _ := r.number(a)
		j, _ := r.number(b)
		return cmp.Compare(i, j)
	})
	return files, nil
}

// number is the number of a file: TABLE_NUMBER.csv or TABLE_NUMBER.csv.gz.
func (r *runs) number(f tree.File) (int, bool) {
	rest, ok := strings.CutPrefix(path.Base(f.Name), r.table+"_")
	if !ok {
		return 0, false
	}
	rest = strings.TrimSuffix(rest, ".gz")
	digits, ok := strings.CutSuffix(rest, ".csv")
	n, err := strconv.Atoi(digits)
	return n, ok && err == nil && n >= 0
}

// incomplete says why a run cannot be read, and, if that may be because it is
// still being written, when to look again.
func (r *runs) incomplete(run string, files []tree.File) (why string, wait time.Duration) {
	if len(files) == 0 {
		return "it has no files of the table", 0
	}
	newest := files[0].Modified
	for i, f := range files {
		if f.Modified.After(newest) {
			newest = f.Modified
		}
		if i == 0 {
			continue
		}
		before, _ := r.number(files[i-1])
		n, _ := r.number(f)
		switch {
		case n == before:
			return fmt.Sprintf("it has two files with the number %d", n), 0
		case n > before+1 && why == "":
			why = fmt.Sprintf("it has a file %d and no file %d", n, before+1)
		case strings.HasSuffix(f.Name, ".gz") != strings.HasSuffix(files[0].Name, ".gz"):
			return "some of its files are compressed and some are not", 0
		}
	}
	if first, _ := r.number(files[0]); first > 1 {
		why = "it has no file 1"
	}
	if missing := r.missing(run, files); missing != "" {
		why = "it lacks " + missing + ", which " + modelName + " names"
	}
	left := settle - r.source.now().Sub(newest)
	if why != "" {
		return why, max(left, 0)
	}
	if len(r.named[run]) == len(files) || left <= 0 {
		return "", 0
	}
	return fmt.Sprintf("it is still being written, or was until %s", newest.UTC().Format(time.RFC3339)), left
}

// missing returns a file that the model names and the run has not.
func (r *runs) missing(run string, files []tree.File) string {
	for _, name := range r.named[run] {
		if !slices.ContainsFunc(files, func(f tree.File) bool { return path.Base(f.Name) == name }) {
			return name
		}
	}
	return ""
}
