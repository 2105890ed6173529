package files

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/htmlindex"
	"golang.org/x/text/encoding/japanese"
	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/encoding/unicode/utf32"

	"github.com/segment-export/segment-export/internal/segment"
	"github.com/segment-export/segment-export/internal/segment/segmenttest"
)

// arrival is a file as people have it, and what must be read of it: the columns
// Id, Email and City.
type arrival struct {
	content string
	config  Config
	want    []segmenttest.Row
	notes   []string
}

var asked = []string{"Id", "Email", "City"}

func person(line int64, values ...string) segmenttest.Row {
	return segmenttest.Row{Number: line, Values: values}
}

func badRow(line int64, p segment.Problem) segmenttest.Row {
	return segmenttest.Row{Number: line, Problem: p}
}

func encoded(t testing.TB, e encoding.Encoding, text string) string {
	t.Helper()
	raw, err := e.NewEncoder().String(text)
	require.NoError(t, err)
	return raw
}

// readsAs reads a segment from its start and from each of its rows.
func readsAs(t *testing.T, s *Source, want []segmenttest.Row, notes []string) {
	t.Helper()
	readsFieldsAs(t, s, asked, want, notes)
}

func readsFieldsAs(t *testing.T, s *Source, asked []string, want []segmenttest.Row, notes []string) {
	t.Helper()
	r, err := s.Open(t.Context(), "people", asked, nil)
	require.NoError(t, err)
	defer r.Close()
	for n := 0; n <= len(want); n++ {
		rest, err := s.Open(t.Context(), "people", asked, r.Cursor())
		require.NoError(t, err)
		rows, err := segmenttest.Drain(rest)
		require.NoError(t, err)
		require.Equal(t, append([]segmenttest.Row(nil), want[n:]...), rows, "after %d rows", n)
		require.Equal(t, notes, rest.(segment.Noter).Notes())
		require.NoError(t, rest.Close())
		if n < len(want) {
			_, err := r.Next()
			require.NoError(t, err)
		}
	}
}

func TestFilesAsTheyArrive(t *testing.T) {
	anna, bob := person(2, "1", "anna@example.com", "Oslo"), person(3, "2", "bob@example.com", "Kraków")
	both := []segmenttest.Row{anna, bob}
	const plain = "Id,Email,City\n1,anna@example.com,Oslo\n2,bob@example.com,Kraków\n"
	tabs := strings.ReplaceAll(plain, ",", "\t")
	crlf := strings.ReplaceAll(plain, "\n", "\r\n")
	le, be := unicode.UTF16(unicode.LittleEndian, unicode.UseBOM), unicode.UTF16(unicode.BigEndian, unicode.UseBOM)
	named := []string{"Id", "Email", "City"}
	down := func(by int64) []segmenttest.Row {
		return []segmenttest.Row{person(2+by, anna.Values...), person(3+by, bob.Values...)}
	}
	blank := func(n int) []string {
		return []string{fmt.Sprintf("segment %q: blank rows skipped: %d", "people", n)}
	}
	for name, test := range map[string]arrival{
		"no header, columns named":          {content: "1,anna@example.com,Oslo\n2,bob@example.com,Kraków\n", config: Config{Columns: named}, want: down(-1)},
		"no header, columns named, ;":       {content: "1;anna@example.com;Oslo\n2;bob@example.com;Kraków\n", config: Config{Columns: named}, want: down(-1)},
		"no header, a mark":                 {content: "\ufeff1|anna@example.com|Oslo\r\n2|bob@example.com|Kraków\r\n", config: Config{Columns: named}, want: down(-1)},
		"columns named that the header has": {content: plain, config: Config{Columns: named}, want: both},
		"columns named, blank rows above":   {content: ",,\n\n1,anna@example.com,Oslo\n2,bob@example.com,Kraków\n", config: Config{Columns: named}, want: down(1), notes: blank(1)},
		"columns named, more than there":    {content: "1,anna@example.com,Oslo\n2,bob@example.com,Kraków\n", config: Config{Columns: append(named, "Note")}, want: down(-1)},
		"no header, UTF-16":                 {content: encoded(t, le, "1,anna@example.com,Oslo\n2,bob@example.com,Kraków\n"), config: Config{Columns: named}, want: down(-1)},

		"UTF-16LE, tabs":                  {content: encoded(t, le, tabs), want: both},
		"UTF-16LE":                        {content: encoded(t, le, plain), want: both},
		"UTF-16BE":                        {content: encoded(t, be, plain), want: both},
		"UTF-16BE, CRLF, tabs":            {content: encoded(t, be, strings.ReplaceAll(tabs, "\n", "\r\n")), want: both},
		"UTF-16BE, told utf-16":           {content: encoded(t, be, plain), config: Config{Encoding: "utf-16"}, want: both},
		"UTF-16LE, told utf-16be":         {content: encoded(t, le, plain), config: Config{Encoding: "utf-16be"}, want: both},
		"UTF-16LE, unmarked, told":        {content: encoded(t, unicode.UTF16(unicode.LittleEndian, unicode.IgnoreBOM), plain), config: Config{Encoding: "utf-16le"}, want: both},
		"UTF-16LE, unmarked":              {content: encoded(t, unicode.UTF16(unicode.LittleEndian, unicode.IgnoreBOM), plain), want: both},
		"UTF-16BE, unmarked":              {content: encoded(t, unicode.UTF16(unicode.BigEndian, unicode.IgnoreBOM), plain), want: both},
		"lines end with CR":               {content: strings.ReplaceAll(plain, "\n", "\r"), want: both},
		"lines end with CR, UTF-16":       {content: encoded(t, le, strings.ReplaceAll(plain, "\n", "\r")), want: both},
		"spaces before quotes":            {content: "\"Id\", \"Email\",  \"City\"\n\"1\", \"anna@example.com\", \"Oslo\"\n2, \"bob@example.com\", Kraków\n", want: both},
		"spaces before quotes, ;":         {content: "\"Id\"; \"Email\"; \"City\"\r\n\"1\"; \"anna@example.com\"; \"Oslo\"\r\n2; \"bob@example.com\"; Kraków\r\n", want: both},
		"names with emoji":                {content: "Id,Email,City,❤,👩\u200d👧\n1,anna@example.com,Oslo,1\n2,bob@example.com,Kraków,,x\n", want: both},
		"mixed line ends":                 {content: strings.Replace(plain, "\n", "\r\n", 2), want: both},
		"UTF-32":                          {content: encoded(t, utf32.UTF32(utf32.LittleEndian, utf32.UseBOM), plain), want: both},
		"UTF-8 with a mark, told 1252":    {content: "\ufeff" + plain, config: Config{Encoding: "windows-1252"}, want: both},
		"UTF-16LE, sep, semicolons, CRLF": {content: encoded(t, le, "sep=;\r\n"+strings.ReplaceAll(crlf, ",", ";")), want: down(1)},

		"sep":                                {content: "sep=;\r\n" + strings.ReplaceAll(crlf, ",", ";"), want: down(1)},
		"SEP, a mark":                        {content: "\ufeffSEP=;\n" + strings.ReplaceAll(plain, ",", ";"), want: down(1)},
		"sep in quotes":                      {content: "\"sep=;\"\n" + strings.ReplaceAll(plain, ",", ";"), want: down(1)},
		"sep, saved again":                   {content: "sep=;,,\n" + plain, want: down(1)},
		"sep, a tab":                         {content: "sep=\t\n" + tabs, want: down(1)},
		"sep, an odd one":                    {content: "sep=^\n" + strings.ReplaceAll(plain, ",", "^"), want: down(1)},
		"sep, told otherwise":                {content: "sep=,\n" + strings.ReplaceAll(plain, ",", ";"), config: Config{Delimiter: ";"}, want: down(1)},
		"semicolons, a comma in a name":      {content: "Id;Name, full;Email;City\n1;A;anna@example.com;Oslo\n2;B, C;bob@example.com;Kraków\n", want: both},
		"semicolons, many commas in a name":  {content: "Id;\"a, b, c\";d,e,f,g,h;Email;City\n1;;;anna@example.com;Oslo\n2;;;bob@example.com;Kraków\n", want: both},
		"commas, semicolons in a name":       {content: "Id,a;b;c;d;e,Email,City\n1,,anna@example.com,Oslo\n2,,bob@example.com,Kraków\n", want: both},
		"bars":                               {content: strings.ReplaceAll(plain, ",", "|"), want: both},
		"tabs, commas in values":             {content: "Id\tEmail\tCity\n1\tanna@example.com\tOslo, Norge\n", want: []segmenttest.Row{person(2, "1", "anna@example.com", "Oslo, Norge")}},
		"an odd separator, told":             {content: strings.ReplaceAll(plain, ",", "~"), config: Config{Delimiter: "~"}, want: both},
		"unnamed columns at the end":         {content: "Id,Email,City,,\n1,anna@example.com,Oslo,,\n2,bob@example.com,Kraków,,\n", want: both},
		"an unnamed column before":           {content: ",Id,Email,City\n0,1,anna@example.com,Oslo\n1,2,bob@example.com,Kraków\n", want: both},
		"columns repeated that nothing maps": {content: "Id,Notes,Email,City,Notes\n1,a,anna@example.com,Oslo,b\n2,a,bob@example.com,Kraków,b\n", want: both},
		"a column that is not UTF-8":         {content: "Id,Stra\xdfe,Email,City\n1,,anna@example.com,Oslo\n2,,bob@example.com,Kraków\n", want: both},
		"two marks":                          {content: "\ufeff\ufeff" + plain, want: both},
		"a mark in quotes":                   {content: "\ufeff\"\ufeffId\",\"Email\",\"City\"\n1,anna@example.com,Oslo\n2,bob@example.com,Kraków\n", want: both},
		"a mark before a row":                {content: "Id,Email,City\n\ufeff1,anna@example.com,Oslo\n2,bob@example.com,Kraków\n", want: both},
		"odd spaces around names":            {content: "Id\u00a0,\u200bEmail, City \n1,anna@example.com,Oslo\n2,bob@example.com,Kraków\n", want: both},

		"cells left out at the end":    {content: "Id,Email,City,A,B\n1,anna@example.com,Oslo\n2,bob@example.com,Kraków,x\n3,c@example.com\n", want: []segmenttest.Row{anna, bob, person(4, "3", "c@example.com", "")}},
		"surplus cells, empty":         {content: "Id,Email,City\n1,anna@example.com,Oslo,,,\n2,bob@example.com,Kraków,\" \"\n", want: both},
		"a surplus value":              {content: "Id,Email,City\n1,anna@example.com,Oslo,,x\n2,bob@example.com,Kraków\n", want: []segmenttest.Row{badRow(2, segment.ProblemColumns), bob}},
		"a row cut off":                {content: plain + "3,c@exam", want: []segmenttest.Row{anna, bob, badRow(4, segment.ProblemColumns)}},
		"blank rows above":             {content: ",,\n , ,\n" + plain, want: down(2), notes: blank(2)},
		"blank rows above, semicolons": {content: ";;\r\n\r\n;;\r\n" + strings.ReplaceAll(crlf, ",", ";"), want: down(3), notes: blank(2)},
		"blank rows above, tabs":       {content: "\t\t\n" + tabs, want: down(1), notes: blank(1)},
		"blank rows, a mark":           {content: "\ufeff,,\n" + plain, want: down(1), notes: blank(1)},
		"rows of commas below":         {content: plain + ",,\n,,,,\n\"\",,\n", want: both, notes: blank(3)},
		"thousands of blank rows":      {content: plain + strings.Repeat(" , ,\n", 2_000) + strings.Repeat("\n", 2_000) + strings.Repeat(",,\n", 2_000), want: both, notes: blank(4_000)},
		"rows of commas between":       {content: "Id,Email,City\n1,anna@example.com,Oslo\n,,\n2,bob@example.com,Kraków\n", want: []segmenttest.Row{anna, person(4, bob.Values...)}, notes: blank(1)},

		"a backslash, untold":         {content: "Id,Email,City\n1,anna@example.com,\"Oslo \\\"x\\\" y\"\n2,bob@example.com,Kraków\n", want: []segmenttest.Row{badRow(2, ProblemQuote), bob}},
		"a backslash, told":           {content: "Id,Email,City\n1,anna@example.com,\"5\\\" \\\\ C:\\\\\"\n2,bob@example.com,Kraków\n", config: Config{QuoteEscape: "backslash"}, want: []segmenttest.Row{person(2, "1", "anna@example.com", `5" \ C:\`), bob}},
		"backslashes at the end":      {content: "Id,Email,City\n1,anna@example.com,\"x\\\\\"\n2,bob@example.com,\"\\\"\"\n", config: Config{QuoteEscape: "backslash"}, want: []segmenttest.Row{person(2, "1", "anna@example.com", `x\`), person(3, "2", "bob@example.com", `"`)}},
		"a backslash, last":           {content: "Id,Email,City\n1,anna@example.com,Oslo\n2,bob@example.com,\"a \\\"b\\\" c\"\n", want: []segmenttest.Row{anna, badRow(3, ProblemQuote)}},
		"several, one after another":  {content: "Id,Email,City\n1,a@example.com,\"a\"b\"\n2,b@example.com,\"\"c\"\n3,c@example.com,\"d\" e\n2,bob@example.com,Kraków\n", want: []segmenttest.Row{badRow(2, ProblemQuote), badRow(3, ProblemQuote), badRow(4, ProblemQuote), person(5, bob.Values...)}},
		"a quote never closed":        {content: "Id,Email,City\n1,a@example.com,\"a\n2,bob@example.com,Kraków\n3,c@example.com,x\n", want: []segmenttest.Row{badRow(2, ProblemQuote), bob, person(4, "3", "c@example.com", "x")}},
		"never closed, then a proper": {content: "Id,Email,City\n1,a@example.com,\"a\n2,bob@example.com,\"Kraków\"\n", want: []segmenttest.Row{badRow(2, ProblemQuote), bob}},
		"odd in a row of two lines":   {content: "Id,Email,City\n1,a@example.com,\"a\"b\nc\"\n2,bob@example.com,Kraków\n", want: []segmenttest.Row{badRow(2, ProblemQuote), badRow(3, ProblemQuote), person(4, bob.Values...)}},
		"a quote within":              {content: "Id,Email,City\n1,anna@example.com,5\" pipe\n2,bob@example.com,Kraków\n", want: []segmenttest.Row{badRow(2, ProblemQuote), bob}},
		"a quote within, more quotes": {content: "Id,City,Email\n1,5\" pipe,\"anna@example.com\"\n2,Kraków,\"bob@example.com\"\n", want: []segmenttest.Row{badRow(2, ProblemQuote), bob}},

		"windows-1250, told": {content: encoded(t, charmap.Windows1250, plain), config: Config{Encoding: "windows-1250"}, want: both},
		"a few not UTF-8":    {content: "Id,Email,City\n" + strings.Repeat("9,x@example.com,Krak\xf3w\n", handful), want: []segmenttest.Row{badRow(2, segment.ProblemEncoding), badRow(3, segment.ProblemEncoding), badRow(4, segment.ProblemEncoding), badRow(5, segment.ProblemEncoding), badRow(6, segment.ProblemEncoding)}},

		"our own list of rejects": {content: "Id,Email,City\n'-7,'-anna@example.com,'=Oslo\n'+47,'@x,'Oslo\n'',''',''=1\n", want: []segmenttest.Row{person(2, "-7", "-anna@example.com", "=Oslo"), person(3, "+47", "@x", "'Oslo"), person(4, "''", "'''", "''=1")}},
	} {
		t.Run(name, func(t *testing.T) {
			for _, file := range []string{"people.csv", "people.csv.gz"} {
				f := newFolder(t)
				content := []byte(test.content)
				if strings.HasSuffix(file, ".gz") {
					content = packed(t, content)
				}
				f.put(t, file, content)
				f.source.config = test.config
				readsAs(t, f.source, test.want, test.notes)
			}
		})
	}
}

// What cannot be read says what to do, and nothing of any row.
func TestWhatArrivesAndCannotBeRead(t *testing.T) {
	const secret = "anna.private"
	row := "1," + secret + "@example.com," + secret + "\n"
	table := "Id,Email,City\n"
	polish := encoded(t, charmap.Windows1250, "Łukasz")
	for name, test := range map[string]struct {
		content string
		config  Config
		says    string
	}{
		"no header":                    {row + row, Config{}, `people.csv: the first line has none of the mapped columns ("Id", "Email", "City"): is the header missing?`},
		"no header, told the UTF-16":   {encoded(t, unicode.UTF16(unicode.BigEndian, unicode.UseBOM), row), Config{Encoding: "utf-16"}, "has none of the mapped columns"},
		"a caret between columns":      {strings.ReplaceAll(table+row, ",", "^"), Config{}, "people.csv: the columns of the header are separated by something other than"},
		"some lines end with CR":       {"Id,Email,City\r1,x,y\n" + row, Config{}, "some lines end with CR alone"},
		"an old workbook":              {"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + secret, Config{}, "the file is a workbook of an older Excel"},
		"Parquet":                      {"PAR1" + secret, Config{}, "the file is Parquet; call it .parquet"},
		"a web page":                   {"\ufeff\n<!DOCTYPE html>" + secret, Config{}, "was a login page saved"},
		"XML":                          {"<?xml version='1.0'?>" + secret, Config{}, "the file is a web page or XML"},
		"JSON, a list":                 {`[{"Id":"` + secret, Config{}, "the file is JSON; write one object a line"},
		"JSON, lines":                  {`{"Id":"` + secret, Config{}, "the file is JSON"},
		"a document":                   {"%PDF-1.7\n" + secret, Config{}, "the file is a PDF document"},
		"a mapped column twice":        {"Id,Email,City,Email\n" + row, Config{}, `the columns 2 and 4 have the same name, and it is mapped`},
		"one mapped column is missing": {"Id,Email," + secret + "\n" + row, Config{}, `"City"`},
		"a mapped column not UTF-8":    {"Id,Email,Stra\xdfe\n" + row, Config{}, "the header is not UTF-8 but windows-1252"},
		"cut off in quotes":            {table + row + "2,\"" + secret, Config{}, "people.csv: line 3: a quote in column"},
		"cut off in quotes, a line":    {table + row + "2,\"" + secret + "\n", Config{}, "people.csv: line 3: a quote in column"},
		"no row follows":               {table + row + "2,\"" + secret + "\n" + secret + "\nx,y", Config{}, "people.csv: line 3: the row that begins here has a quote that is not closed"},
		"header, open quote":           {"Id,\"" + secret, Config{}, "line 1: the header has a quote"},
		"header, odd quote below":      {"sep=,\n,,\nId,a\"" + secret + "\n", Config{}, "the header has a quote"},
		"windows-1250":                 {table + strings.Repeat("1,a@example.com,"+polish+"\n", handful+1), Config{}, "people.csv: line 7: more than 5 rows are not UTF-8, more likely windows-1250; name its encoding: starter source edit NAME --encoding windows-1250"},
		"told another Unicode":         {table + row + strings.Repeat("1,a@example.com,\xff\n", handful+1), Config{Encoding: "utf-8"}, "more than 5 rows are not utf-8"},
		"a workbook":                   {"PK\x03\x04...", Config{}, "an Excel workbook"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFolder(t)
			f.write(t, "people.csv", test.content)
			f.source.config = test.config
			r, err := f.source.Open(t.Context(), "people", asked, nil)
			if err == nil {
				defer r.Close()
				_, err = segmenttest.Drain(r)
			}
			require.ErrorContains(t, err, test.says)
			require.NotContains(t, err.Error(), secret)
			if _, ok := errors.AsType[*segment.MissingFieldsError](err); !ok {
				require.ErrorIs(t, err, segment.ErrMalformed)
			}
			_, err = f.source.Describe(t.Context(), "people")
			if err != nil {
				require.NotContains(t, err.Error(), secret)
			}
		})
	}
}

// Rows that cannot be decoded are counted over a break of the reading.
func TestUndecodedRowsAreCountedOverABreak(t *testing.T) {
	f := newFolder(t)
	f.write(t, "people.csv", "Id,Email,City\n"+strings.Repeat("1,a@example.com,\xb3\n", 2*handful))
	var cursor segment.Cursor
	for n := range handful + 1 {
		r, err := f.source.Open(t.Context(), "people", asked, cursor)
		require.NoError(t, err)
		row, err := r.Next()
		if n == handful {
			require.ErrorIs(t, err, segment.ErrMalformed)
			require.ErrorContains(t, err, "more likely windows-1250")
		} else {
			require.NoError(t, err)
			require.Equal(t, segment.ProblemEncoding, row.Problem)
		}
		cursor = r.Cursor()
		require.NoError(t, r.Close())
	}
}

func TestLikelyEncoding(t *testing.T) {
	for text, want := range map[string]encoding.Encoding{
		"Łukasz": charmap.Windows1250, "Łukasz Kraków Żaneta Świątek": charmap.Windows1250,
		"Jiří Dvořák Tomáš Růžička České": charmap.Windows1250, "Győző Kovács Fűrész": charmap.Windows1250,
		"Jürgen Müller Straße Köln": charmap.Windows1252, "José Élise François": charmap.Windows1252, "Søren Åse Ærø": charmap.Windows1252,
		"Иван Петров Москва Ольга": charmap.Windows1251, "Ιωάννης Παπαδόπουλος": charmap.ISO8859_7,
		"Şükrü Öztürk Güneş": charmap.Windows1254, "Jānis Bērziņš Rīga": charmap.Windows1257, "山田太郎 東京都 佐藤花子": japanese.ShiftJIS,
	} {
		wanted, err := htmlindex.Name(want)
		require.NoError(t, err)
		require.Equal(t, wanted, likelyEncoding([]byte(encoded(t, want, text))), text)
	}
}
