package files

import (
	"bytes"
	"cmp"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/parquet-go/parquet-go"
	"github.com/stretchr/testify/require"

	"github.com/segment-export/segment-export/internal/segment"
	"github.com/segment-export/segment-export/internal/segment/files/azuritetest"
	"github.com/segment-export/segment-export/internal/segment/segmenttest"
)

func TestMain(m *testing.M) { azuritetest.Main(m) }

// disk is a place for files that a source reads.
type disk interface {
	put(t testing.TB, name string, data []byte)
	read(t testing.TB, c Config) *Source
}

func (f *folder) put(t testing.TB, name string, data []byte) { f.write(t, name, string(data)) }

func (f *folder) read(t testing.TB, c Config) *Source {
	t.Helper()
	c.Path = path.Join("segments", c.Path)
	s, err := New(f.root, c, nil)
	require.NoError(t, err)
	return s
}

// azuriteDisk is a container of Azurite.
type azuriteDisk struct{ *azuritetest.Container }

func (d azuriteDisk) put(t testing.TB, name string, data []byte) { d.Put(t, "some/where/"+name, data) }

func (d azuriteDisk) config(c Config) Config {
	c.URL = "azblob://" + d.Name + "/" + path.Join("some/where", c.Path)
	c.Account, c.Endpoint, c.Path = azuritetest.Account, d.Endpoint, ""
	return c
}

func (d azuriteDisk) settings(c Config) (Config, []byte) { return d.config(c), []byte(d.Key) }

func (d azuriteDisk) read(t testing.TB, c Config) *Source { return readBucket(t, d, c) }

// bucketDisk is a disk behind a service.
type bucketDisk interface {
	settings(c Config) (Config, []byte)
}

func readBucket(t testing.TB, d bucketDisk, c Config) *Source {
	t.Helper()
	c, secret := d.settings(c)
	s, err := New(nil, c, secret)
	require.NoError(t, err)
	return s
}

var disks = map[string]func(t *testing.T) disk{
	"folder": func(t *testing.T) disk { return newFolder(t) },
	"azure":  func(t *testing.T) disk { return azuriteDisk{azuritetest.New(t)} },
	"s3":     func(t *testing.T) disk { return newS3Disk(t) },
	"google": func(t *testing.T) disk { return newGoogleDisk(t) },
}

// stands are the forms that are tried on each disk. All are tried in a folder;
// on a bucket those that use it differently: from the first byte to the last,
// here and there, and in several objects.
var stands = map[string][]string{
	"folder": {"csv", "gzip", "parquet", "customer insights", "customer insights, gzip", "parts", "parts, gzip", "parts, one header", "parts, parquet", "lines, gzip", "workbook"},
	"azure":  {"csv", "parquet", "customer insights", "parts", "lines", "workbook"},
	"s3":     {"csv", "parts, parquet"},
	"google": {"csv"},
}

// stored is a disk on which tables are written in one form.
type stored struct {
	disk
	config Config
	write  func(t testing.TB, d disk, name string, table segmenttest.Table)
	source *Source
	road   *road // to a bucket
	group  int64 // rows of a Parquet file's row group; 0: 2,000
}

// open opens the source, that of a bucket over a road that can break.
func (p *stored) open(t *testing.T) {
	t.Helper()
	b, ok := p.disk.(bucketDisk)
	if !ok {
		p.source = p.read(t, p.config)
		return
	}
	c, secret := b.settings(p.config)
	p.road = newRoad(t, c.Endpoint)
	c.Endpoint = p.road.URL + strings.TrimPrefix(c.Endpoint, p.road.to)
	var err error
	p.source, err = New(nil, c, secret)
	require.NoError(t, err)
}

// Pages makes ranges and row groups small.
func (p *stored) Pages(rows int) {
	const bytes = 30 // of a row
	p.group = int64(rows)
	p.source.tree = inRanges{p.source.tree, rows * bytes}
}

// Break makes the ranges small, and breaks the road to a bucket; of a folder it
// cuts the files off.
func (p *stored) Break(t *testing.T, _ string, how segmenttest.Fault) (begin, mend func()) {
	p.source.tree = inRanges{p.source.tree, 32 << 10}
	if p.road == nil {
		return p.disk.(*folder).cutOff(t)
	}
	return func() { p.road.fault.Store(&how) }, func() { p.road.fault.Store(nil) }
}

func (p *stored) Put(t *testing.T, name string, table segmenttest.Table) {
	t.Helper()
	p.write(t, p.disk, name, table)
}

func (p *stored) Source() segment.Source { return p.source }

func csvOf(t testing.TB, table segmenttest.Table) []byte {
	t.Helper()
	var b bytes.Buffer
	w := csv.NewWriter(&b)
	if table.Fields != nil {
		require.NoError(t, w.Write(table.Fields))
	}
	require.NoError(t, w.WriteAll(table.Rows))
	return b.Bytes()
}

func packed(t testing.TB, data []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, err := w.Write(data)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return b.Bytes()
}

// orderedGroup has its columns in the order given; a group would sort them.
type orderedGroup struct {
	parquet.Group

	names []string
}

func (g orderedGroup) Fields() []parquet.Field {
	fields := g.Group.Fields()
	slices.SortFunc(fields, func(a, b parquet.Field) int {
		return slices.Index(g.names, a.Name()) - slices.Index(g.names, b.Name())
	})
	return fields
}

// parquetOf writes optional text columns, in several row groups and pages.
func parquetOf(t testing.TB, table segmenttest.Table, rowsOfGroup int64) []byte {
	t.Helper()
	group := parquet.Group{}
	for _, name := range table.Fields {
		group[name] = parquet.Optional(parquet.String())
	}
	schema := parquet.NewSchema("people", orderedGroup{group, table.Fields})
	var b bytes.Buffer
	w := parquet.NewWriter(&b, schema, parquet.Compression(&parquet.Snappy), parquet.PageBufferSize(4<<10), parquet.MaxRowsPerRowGroup(rowsOfGroup))
	for _, values := range table.Rows {
		row := make(parquet.Row, len(values))
		for i, value := range values {
			if value == "" {
				row[i] = parquet.NullValue().Level(0, 0, i)
			} else {
				row[i] = parquet.ByteArrayValue([]byte(value)).Level(0, 1, i)
			}
		}
		_, err := w.WriteRows([]parquet.Row{row})
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())
	return b.Bytes()
}

// exportWriter writes tables as Customer Insights exports them, in three files
// whose numbers are not in the order of their names.
type exportWriter struct {
	extension string
	settings  map[string]any
	encode    func(t testing.TB, rows segmenttest.Table) []byte
	entities  map[string]any
}

const testRun = "2026/11/25/0615"

func (e *exportWriter) write(t testing.TB, d disk, name string, table segmenttest.Table) {
	t.Helper()
	var locations []string
	for i, number := range []int{8, 9, 10} {
		from, to := i*len(table.Rows)/3, (i+1)*len(table.Rows)/3
		part := fmt.Sprintf("%s/%s/%s_%d%s", name, testRun, name, number, e.extension)
		d.put(t, part, e.encode(t, segmenttest.Table{Rows: table.Rows[from:to]}))
		locations = append(locations, part)
	}
	for number := 1; number <= 7; number++ { // empty ones, so that the numbers begin with 1
		part := fmt.Sprintf("%s/%s/%s_%d%s", name, testRun, name, number, e.extension)
		d.put(t, part, e.encode(t, segmenttest.Table{}))
		locations = append(locations, part)
	}
	e.model(t, d, name, table.Fields, locations)
}

// model writes the model.json with the table in it.
func (e *exportWriter) model(t testing.TB, d disk, name string, fields, locations []string) {
	t.Helper()
	attributes := []map[string]string{}
	for _, f := range fields {
		attributes = append(attributes, map[string]string{"name": f, "dataType": "string"})
	}
	partitions := []map[string]any{}
	for _, l := range locations {
		p := map[string]any{"name": path.Base(l), "location": "https://account.blob.core.windows.net/container/CustomerInsights_1/export/" + strings.ReplaceAll(l, " ", "%20")}
		if e.settings != nil {
			p["fileFormatSettings"] = e.settings
		}
		partitions = append(partitions, p)
	}
	if e.entities == nil {
		e.entities = map[string]any{}
	}
	e.entities[name] = map[string]any{"$type": "LocalEntity", "name": name, "attributes": attributes, "partitions": partitions}
	data, err := json.Marshal(map[string]any{"name": "export", "version": "1.0", "entities": slices.Collect(maps.Values(e.entities))})
	require.NoError(t, err)
	d.put(t, modelName, data)
}

func headless(t testing.TB, table segmenttest.Table) []byte { return csvOf(t, table) }

// inParts writes a table in three files, and in a folder the mark that they are
// complete.
func inParts(pattern string, encode func(t testing.TB, table segmenttest.Table) []byte) func(t testing.TB, d disk, name string, table segmenttest.Table) {
	return func(t testing.TB, d disk, name string, table segmenttest.Table) {
		t.Helper()
		for i := range 3 {
			from, to := i*len(table.Rows)/3, (i+1)*len(table.Rows)/3
			d.put(t, fmt.Sprintf(pattern, name, i), encode(t, segmenttest.Table{Fields: table.Fields, Rows: table.Rows[from:to]}))
		}
		if folder, _ := path.Split(fmt.Sprintf(pattern, name, 0)); folder != "" {
			d.put(t, folder+success, nil)
			d.put(t, folder+".part-00000.crc", []byte("x"))
		}
	}
}

// linesOf writes JSON, one object a line, with null for what is empty.
func linesOf(t testing.TB, table segmenttest.Table) []byte {
	t.Helper()
	var b bytes.Buffer
	for _, row := range table.Rows {
		for i, value := range row {
			name, err := json.Marshal(table.Fields[i])
			require.NoError(t, err)
			text, err := json.Marshal(value)
			require.NoError(t, err)
			if value == "" {
				text = []byte("null")
			}
			b.WriteByte("{,"[min(i, 1)])
			b.Write(name)
			b.WriteByte(':')
			b.Write(text)
		}
		b.WriteString("}\n")
	}
	return b.Bytes()
}

// forms are the ways in which a table can be stored.
func forms() map[string]func(d disk) *stored {
	return map[string]func(d disk) *stored{
		"csv": func(d disk) *stored {
			return &stored{disk: d, write: func(t testing.TB, d disk, name string, table segmenttest.Table) {
				d.put(t, name+".csv", csvOf(t, table))
			}}
		},
		"gzip": func(d disk) *stored {
			return &stored{disk: d, write: func(t testing.TB, d disk, name string, table segmenttest.Table) {
				d.put(t, name+".csv.gz", packed(t, csvOf(t, table)))
			}}
		},
		"parquet": func(d disk) *stored {
			var place *stored
			p := &stored{disk: d, write: func(t testing.TB, d disk, name string, table segmenttest.Table) {
				d.put(t, name+".parquet", parquetOf(t, table, cmp.Or(place.group, 2_000)))
			}}
			place = p
			return p
		},
		"parts": func(d disk) *stored {
			return &stored{disk: d, write: inParts("%s-%012d.csv", csvOf)}
		},
		"parts, gzip": func(d disk) *stored {
			return &stored{disk: d, write: inParts("%s/part-%05d.csv.gz", func(t testing.TB, table segmenttest.Table) []byte { return packed(t, csvOf(t, table)) })}
		},
		"parts, one header": func(d disk) *stored {
			return &stored{disk: d, write: inParts("%s-%05d-of-00003.csv", func(t testing.TB, table segmenttest.Table) []byte {
				if len(table.Rows) > 0 && table.Rows[0][0] != segmenttest.ID(0) && !strings.HasPrefix(table.Rows[0][0], "1") {
					table.Fields = nil
				}
				return csvOf(t, table)
			})}
		},
		"parts, parquet": func(d disk) *stored {
			return &stored{disk: d, write: inParts("%s/part-%05d.snappy.parquet", func(t testing.TB, table segmenttest.Table) []byte { return parquetOf(t, table, 3_000) })}
		},
		"lines": func(d disk) *stored {
			return &stored{disk: d, write: func(t testing.TB, d disk, name string, table segmenttest.Table) {
				d.put(t, name+".ndjson", linesOf(t, table))
			}}
		},
		"lines, gzip": func(d disk) *stored {
			return &stored{disk: d, write: func(t testing.TB, d disk, name string, table segmenttest.Table) {
				d.put(t, name+".jsonl.gz", packed(t, linesOf(t, table)))
			}}
		},
		"workbook": func(d disk) *stored {
			return &stored{disk: d, write: func(t testing.TB, d disk, name string, table segmenttest.Table) {
				d.put(t, name+".xlsx", workbookOf(t, table))
			}}
		},
		"customer insights": func(d disk) *stored {
			e := &exportWriter{extension: ".csv", encode: headless}
			return &stored{disk: d, write: e.write}
		},
		"customer insights, gzip": func(d disk) *stored {
			e := &exportWriter{extension: ".csv.gz", encode: func(t testing.TB, rows segmenttest.Table) []byte { return packed(t, csvOf(t, rows)) }}
			return &stored{disk: d, write: e.write}
		},
	}
}

func TestConformance(t *testing.T) {
	for on, disk := range disks {
		for _, form := range stands[on] {
			t.Run(on+", "+form, func(t *testing.T) {
				o := segmenttest.Options{NeverSilent: on == "folder", NoHeader: strings.HasPrefix(form, "lines")}
				if strings.Contains(form, "parquet") {
					o.Holds = 12 << 20 // the library's own buffers
				}
				segmenttest.Run(t, func(t *testing.T) segmenttest.Place {
					p := forms()[form](disk(t))
					p.open(t)
					return p
				}, o)
			})
		}
	}
}
