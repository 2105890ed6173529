package files

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/text/encoding/unicode"

	"github.com/segment-export/segment-export/internal/segment"
	"github.com/segment-export/segment-export/internal/segment/segmenttest"
)

func TestLinesOfJSON(t *testing.T) {
	anna, bob := person(1, "1", "anna@example.com", "Oslo"), person(2, "2", "bob@example.com", "Kraków")
	const plain = `{"Id":"1","Email":"anna@example.com","City":"Oslo"}` + "\n" + `{"Id":"2","Email":"bob@example.com","City":"Kraków"}` + "\n"
	rest := strings.Repeat(`{"Id":"9","Email":"x@example.com","City":"y"}`+"\n", 3)
	for name, test := range map[string]struct {
		content string
		want    []segmenttest.Row
		notes   []string
	}{
		"plain":           {plain, []segmenttest.Row{anna, bob}, nil},
		"CRLF, a mark":    {"\ufeff" + strings.ReplaceAll(plain, "\n", "\r\n"), []segmenttest.Row{anna, bob}, nil},
		"UTF-16":          {encoded(t, unicode.UTF16(unicode.BigEndian, unicode.UseBOM), plain), []segmenttest.Row{anna, bob}, nil},
		"blank lines":     {"\n" + strings.ReplaceAll(plain, "\n", "\n \n"), []segmenttest.Row{person(2, anna.Values...), person(4, bob.Values...)}, nil},
		"no last break":   {strings.TrimSuffix(plain, "\n"), []segmenttest.Row{anna, bob}, nil},
		"kinds of values": {`{"Id":4712345678,"Email":null,"City":true}` + "\n" + `{"Id":4.712345678e9,"City":"a\"\u00e9\n"}` + "\n" + `{"Email":"x@example.com"}`, []segmenttest.Row{person(1, "4712345678", "", "true"), person(2, "4712345678", "", "a\"é\n"), person(3, "", "x@example.com", "")}, nil},
		"nothing in it":   {plain + "{}\n", []segmenttest.Row{anna, bob}, []string{`segment "people": blank rows skipped: 1`}},
		"a bad line":      {plain + `{"Id":"3","Email":` + "\n" + rest[:46], []segmenttest.Row{anna, bob, badRow(3, ProblemJSON), person(4, "9", "x@example.com", "y")}, nil},
		"two in a line":   {plain + `{"Id":"3"}{"Id":"4"}` + "\n", []segmenttest.Row{anna, bob, badRow(3, ProblemJSON)}, nil},
		"a name twice":    {plain + `{"Id":"3","Id":"4"}` + "\n", []segmenttest.Row{anna, bob, badRow(3, ProblemJSON)}, nil},
		"a nested value":  {plain + `{"Id":"3","Email":{"a":"x@example.com"}}` + "\n", []segmenttest.Row{anna, bob, badRow(3, ProblemNested)}, nil},
		"nested, unread":  {`{"Address":{"City":["x"]},"Id":"1","Email":"anna@example.com","City":"Oslo","Tags":[]}`, []segmenttest.Row{anna}, nil},
		"not UTF-8":       {plain + `{"Id":"3","City":"` + "Krak\xf3w\"}\n", []segmenttest.Row{anna, bob, badRow(3, segment.ProblemEncoding)}, nil},
		"cut off":         {plain + `{"Id":"3","Em`, []segmenttest.Row{anna, bob, badRow(3, ProblemJSON)}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			for _, file := range []string{"people.ndjson", "people.JSONL", "people.ndjson.gz"} {
				content := []byte(test.content)
				if strings.HasSuffix(file, ".gz") {
					content = packed(t, content)
				}
				f := newFolder(t)
				f.put(t, file, content)
				readsAs(t, f.source, test.want, test.notes)
			}
		})
	}
}

func TestLinesThatCannotBeRead(t *testing.T) {
	const secret = "anna.private"
	line := `{"Id":"1","Email":"` + secret + `@example.com","City":"` + secret + `"}` + "\n"
	for name, test := range map[string]struct {
		content string
		is      error
		says    string
	}{
		"empty":             {"", segment.ErrEmpty, "people.ndjson is empty"},
		"blank":             {"\n \n", segment.ErrEmpty, "people.ndjson is empty"},
		"a list":            {"[" + line + "," + line + "]", segment.ErrMalformed, "people.ndjson: the first line is not a JSON object"},
		"written over many": {"{\n\"Id\": \"" + secret + "\"\n}\n", segment.ErrMalformed, "the first line is not a JSON object"},
		"CSV":               {"Id,Email,City\n1," + secret + ",x\n", segment.ErrMalformed, "the first line is not a JSON object"},
		"no such column":    {`{"Id":"1","` + secret + `":1}`, nil, `has no column "Email", "City"`},
		"a long first line": {`{"Id":"` + strings.Repeat("x", 2*maxRecord), segment.ErrMalformed, "line 1: the row does not end within"},
		"many not UTF-8":    {line + strings.Repeat("{\"City\":\"\xa3ukasz\"}\n", handful+1), segment.ErrMalformed, "more than 5 rows are not UTF-8, more likely windows-1250"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFolder(t)
			f.write(t, "people.ndjson", test.content)
			r, err := f.source.Open(t.Context(), "people", asked, nil)
			if err == nil {
				defer r.Close()
				_, err = segmenttest.Drain(r)
			}
			require.ErrorContains(t, err, test.says)
			require.NotContains(t, err.Error(), secret)
			if test.is != nil {
				require.ErrorIs(t, err, test.is)
			}
		})
	}
}
