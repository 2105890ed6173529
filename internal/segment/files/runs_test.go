package files

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/segment-export/segment-export/internal/segment"
	"github.com/segment-export/segment-export/internal/segment/segmenttest"
)

// insights is an export in a folder, of which the test writes each file.
type insights struct {
	*folder
	*exportWriter
	clock time.Time
}

func newInsights(t *testing.T, settings map[string]any) *insights {
	t.Helper()
	f := newFolder(t)
	i := &insights{folder: f, exportWriter: &exportWriter{settings: settings}, clock: time.Date(2026, 11, 25, 8, 0, 0, 0, time.UTC)}
	f.source.now = func() time.Time { return i.clock }
	return i
}

// file writes a file that is a number of minutes old.
func (i *insights) file(t *testing.T, name, content string, minutes int) {
	t.Helper()
	i.put(t, name, []byte(content))
	at := i.clock.Add(-time.Duration(minutes) * time.Minute)
	require.NoError(t, os.Chtimes(filepath.Join(i.dir, filepath.FromSlash(name)), at, at))
}

func (i *insights) lines(t *testing.T) (string, []string) {
	t.Helper()
	r, err := i.source.Open(t.Context(), "Gold", []string{"id"}, nil)
	require.NoError(t, err)
	defer r.Close()
	rows, err := segmenttest.Drain(r)
	require.NoError(t, err)
	var ids []string
	for _, row := range rows {
		ids = append(ids, row.Values...)
	}
	return strings.Join(ids, " "), r.(segment.Noter).Notes()
}

func TestTheNewestCompleteRunIsRead(t *testing.T) {
	const old, recent, newest = "Gold/2026/11/24/0615/", "Gold/2026/11/25/0615/", "Gold/2026/11/25/0750/"
	for name, test := range map[string]struct {
		arrange func(t *testing.T, i *insights)
		want    string
		note    string
	}{
		"named by the model, just written": {func(t *testing.T, i *insights) {
			i.file(t, newest+"Gold_1.csv", "n\n", 0)
			i.model(t, i, "Gold", []string{"id"}, []string{newest + "Gold_1.csv"})
		}, "n", ""},
		"named, one missing": {func(t *testing.T, i *insights) {
			i.file(t, newest+"Gold_1.csv", "n\n", 30)
			i.model(t, i, "Gold", []string{"id"}, []string{newest + "Gold_1.csv", newest + "Gold_2.csv"})
		}, "r1 r2", "lacks Gold_2.csv, which model.json names"},
		"not named, settled": {func(t *testing.T, i *insights) {
			i.file(t, newest+"Gold_1.csv", "n\n", 10)
		}, "n", ""},
		"not named, being written": {func(t *testing.T, i *insights) {
			i.file(t, newest+"Gold_1.csv", "n\n", 30)
			i.file(t, newest+"Gold_2.csv", "n\n", 9)
		}, "r1 r2", `segment "Gold" was read from the run of 2026/11/25/0615: a newer run is not complete (segments/Gold/2026/11/25/0750: it is still being written, or was until 2026-11-25T07:51:00Z)`},
		"a gap in the numbers": {func(t *testing.T, i *insights) {
			i.file(t, newest+"Gold_1.csv", "n\n", 30)
			i.file(t, newest+"Gold_3.csv", "n\n", 30)
		}, "r1 r2", "it has a file 3 and no file 2"},
		"the first is missing": {func(t *testing.T, i *insights) { i.file(t, newest+"Gold_2.csv", "n\n", 30) }, "r1 r2", "it has no file 1"},
		"a number twice": {func(t *testing.T, i *insights) {
			i.file(t, newest+"Gold_1.csv", "n\n", 30)
			i.file(t, newest+"Gold_01.csv", "n\n", 30)
		}, "r1 r2", "two files with the number 1"},
		"partly compressed": {func(t *testing.T, i *insights) {
			i.file(t, newest+"Gold_1.csv", "n\n", 30)
			i.put(t, newest+"Gold_2.csv.gz", packed(t, []byte("n\n")))
		}, "r1 r2", "some of its files are compressed and some are not"},
		"an empty folder":       {func(t *testing.T, i *insights) { i.file(t, newest+"_SUCCESS", "", 30) }, "r1 r2", "it has no files of the table"},
		"numbers from 0":        {func(t *testing.T, i *insights) { i.file(t, newest+"Gold_0.csv", "n\n", 30) }, "n", ""},
		"in the order of 2, 10": {func(t *testing.T, i *insights) { tenFiles(t, i, newest) }, "1 2 3 4 5 6 7 8 9 10", ""},
		"other folders and files": {func(t *testing.T, i *insights) {
			i.file(t, "Gold/2027/1/1/0000/Gold_1.csv", "x\n", 30)
			i.file(t, "Gold/latest/01/01/0000/Gold_1.csv", "x\n", 30)
			i.file(t, recent+"Silver_1.csv", "x\n", 30)
			i.file(t, recent+"Gold_1.csv.tmp", "x\n", 30)
		}, "r1 r2", ""},
	} {
		t.Run(name, func(t *testing.T) {
			i := newInsights(t, nil)
			i.file(t, old+"Gold_1.csv", "o\n", 60)
			i.file(t, recent+"Gold_1.csv", "r1\n", 60)
			i.file(t, recent+"Gold_2.csv", "r2\n", 60)
			i.model(t, i, "Gold", []string{"id"}, nil)
			test.arrange(t, i)
			got, notes := i.lines(t)
			require.Equal(t, test.want, got)
			if test.note == "" {
				require.Empty(t, notes)
			} else {
				require.Len(t, notes, 1)
				require.Contains(t, notes[0], test.note)
			}
		})
	}
}

func tenFiles(t *testing.T, i *insights, run string) {
	t.Helper()
	for n := 1; n <= 10; n++ {
		i.file(t, fmt.Sprintf("%sGold_%d.csv", run, n), fmt.Sprintf("%d\n", n), 30)
	}
}

func TestNoCompleteRun(t *testing.T) {
	const run = "Gold/2026/11/25/0750/"
	i := newInsights(t, nil)
	i.model(t, i, "Gold", []string{"id"}, nil)
	open := func() error {
		_, err := i.source.Open(t.Context(), "Gold", []string{"id"}, nil)
		return err
	}
	require.ErrorIs(t, open(), segment.ErrNotFound, "no folder of the table")
	require.NoError(t, os.Mkdir(filepath.Join(i.dir, "Gold"), 0o700))
	require.ErrorIs(t, open(), segment.ErrNotFound)
	require.ErrorContains(t, open(), "segments/Gold has no folder of a run (yyyy/MM/dd/HHmm) with Gold_1.csv")

	i.file(t, run+"Gold_1.csv", "1\n", 4)
	var busy *segment.BusyError
	require.ErrorAs(t, open(), &busy)
	require.Equal(t, 6*time.Minute, busy.RetryAfter)
	require.Contains(t, busy.Reason, "it is still being written")
	i.clock = i.clock.Add(6 * time.Minute)
	require.NoError(t, open())

	i.file(t, run+"Gold_3.csv", "3\n", 60)
	i.file(t, run+"Gold_1.csv", "1\n", 60)
	require.ErrorIs(t, open(), segment.ErrMalformed, "waiting does not help")
	require.ErrorContains(t, open(), "segments/Gold has no complete run; segments/Gold/2026/11/25/0750: it has a file 3 and no file 2")
}

// A read stays in the run that it started with, and continues there after an
// interruption, whatever has been exported since.
func TestANewerRunDoesNotDisturbAReading(t *testing.T) {
	const first, second = "Gold/2026/11/25/0615/", "Gold/2026/11/25/0750/"
	i := newInsights(t, nil)
	i.file(t, first+"Gold_1.csv", "1\n2\n", 60)
	i.file(t, first+"Gold_2.csv", "3\n4\n", 60)
	i.model(t, i, "Gold", []string{"id"}, []string{first + "Gold_1.csv", first + "Gold_2.csv"})
	r, err := i.source.Open(t.Context(), "Gold", []string{"id"}, nil)
	require.NoError(t, err)
	defer r.Close()
	for range 3 {
		_, err = r.Next()
		require.NoError(t, err)
	}
	i.file(t, second+"Gold_1.csv", "new\n", 0)
	i.model(t, i, "Gold", []string{"id"}, []string{second + "Gold_1.csv"})
	rest := segmenttest.ReadAll(t, i.source, "Gold", []string{"id"}, r.Cursor())
	require.Equal(t, []segmenttest.Row{{Number: 4, Values: []string{"4"}}}, rest)
	same, err := segmenttest.Drain(r)
	require.NoError(t, err)
	require.Equal(t, rest, same)
	got, _ := i.lines(t)
	require.Equal(t, "new", got)

	info, err := i.source.Describe(t.Context(), "Gold")
	require.NoError(t, err)
	require.Equal(t, segment.Info{Name: "Gold", Fields: []string{"id"}, Bytes: 4, RefreshedAt: time.Date(2026, 11, 25, 7, 50, 0, 0, time.UTC)}, info)

	// With other columns the same files mean something else.
	i.model(t, i, "Gold", []string{"id", "more"}, []string{second + "Gold_1.csv"})
	_, err = i.source.Open(t.Context(), "Gold", []string{"id"}, r.Cursor())
	require.ErrorIs(t, err, segment.ErrChanged)
	require.NoError(t, os.RemoveAll(filepath.Join(i.dir, "Gold/2026/11/25/0615")))
	i.model(t, i, "Gold", []string{"id"}, []string{second + "Gold_1.csv"})
	_, err = i.source.Open(t.Context(), "Gold", []string{"id"}, r.Cursor())
	require.ErrorIs(t, err, segment.ErrChanged, "the run is gone")
}

func TestAPartitionThatChangesInMidRead(t *testing.T) {
	const run = "Gold/2026/11/25/0615/"
	for name, change := range map[string]func(i *insights){
		"the one being read": func(i *insights) { i.file(t, run+"Gold_1.csv", "9\n9\n", 60) },
		"one read before":    func(i *insights) { i.file(t, run+"Gold_0.csv", "9\n9\n", 60) },
		"a later one":        func(i *insights) { i.file(t, run+"Gold_2.csv", "9\n9\n", 60) },
		"a later one gone":   func(i *insights) { require.NoError(t, os.Remove(filepath.Join(i.dir, run+"Gold_2.csv"))) },
	} {
		t.Run(name, func(t *testing.T) {
			i := newInsights(t, nil)
			var locations []string
			for n := range 3 {
				locations = append(locations, fmt.Sprintf("%sGold_%d.csv", run, n))
				i.file(t, locations[n], "1\n2\n", 60)
			}
			i.model(t, i, "Gold", []string{"id"}, locations)
			r, err := i.source.Open(t.Context(), "Gold", []string{"id"}, nil)
			require.NoError(t, err)
			defer r.Close()
			for range 3 {
				_, err = r.Next()
				require.NoError(t, err)
			}
			change(i)
			_, err = segmenttest.Drain(r)
			require.ErrorIs(t, err, segment.ErrChanged)
		})
	}
}
