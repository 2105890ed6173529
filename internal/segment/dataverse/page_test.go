package dataverse

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/iotest"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/segment-export/segment-export/internal/segment"
)

func TestText(t *testing.T) {
	for in, want := range map[string]string{
		``: "", `null`: "", `""`: "", `"a b"`: "a b", `true`: "true", `false`: "false", `0`: "0", `-1.50`: "-1.50", `12345678901234567890`: "12345678901234567890",
		`1e3`: "1000", `7E+2`: "700", `0e1`: "0", `1.25E-3`: "0.00125", `"\u0141\ud83c\udf89"`: "Ł🎉", `"\ufffd"`: "\ufffd", `"2026-03-15T00:00:00Z"`: "2026-03-15T00:00:00Z",
	} {
		got, ok := text([]byte(in))
		require.True(t, ok, in)
		require.Equal(t, want, got, in)
	}
	for _, in := range []string{`{"a":1}`, `[1]`, `"\ud83c"`, "\"\xff\"", `1e999999999`, `1e-999999999`, strings.Repeat("1", 401) + "e1"} {
		_, ok := text([]byte(in))
		require.False(t, ok, in)
	}
}

func TestPagesThatAreNone(t *testing.T) {
	read := func(body string) error {
		_, err := readPage(strings.NewReader(body), []string{"a"}, func([]string, segment.Problem) error { return nil })
		return err
	}
	for _, body := range []string{`[]`, `{}`, `{"value":{}}`, `{"value":[1]}`, `{"value":[],"@odata.nextLink":7}`, `"x"`} {
		require.ErrorIs(t, read(body), segment.ErrMalformed, body)
	}
	whole := `{"@odata.context":"c","value":[{"a":"1"},{"a":null,"b":[1]}],"@odata.nextLink":"https://x/y"}`
	require.NoError(t, read(whole))
	require.NoError(t, read(`{"value":[],"\ud800":"\ud800","@odata.nextLink":"x","@odata.nextLink":"y"}`))
	for i := range whole {
		require.ErrorIs(t, read(whole[:i]), io.ErrUnexpectedEOF, whole[:i])
	}
}

// What stands in for an answer, and an answer that ends early, pass; both say
// what came, and nothing of its content.
func TestFaultsOfABody(t *testing.T) {
	cut := &net.OpError{Op: "read", Net: "tcp", Err: syscall.ECONNRESET}
	for want, body := range map[string]io.Reader{
		"the answer for rows is not JSON":                                strings.NewReader("<html>anna@example.com</html>"),
		"the answer for rows ended early: the connection was cut":        strings.NewReader(`{"value":[{"a":"anna@exam`),
		"the answer for rows ended early: " + syscall.ECONNRESET.Error(): io.MultiReader(strings.NewReader(`{"value":[{"a":"anna@exam`), iotest.ErrReader(cut)),
		"the answer for rows ended early: no answer in time":             iotest.ErrReader(context.DeadlineExceeded),
	} {
		_, err := readPage(body, []string{"a"}, func([]string, segment.Problem) error { return nil })
		err = bodyFault(request{table: "rows"}, err)
		_, isPassing := errors.AsType[*passingError](err)
		require.True(t, isPassing, "%v", err)
		require.EqualError(t, err, want)
	}
}

func TestRowsOfAPage(t *testing.T) {
	var rows [][]string
	var problems []segment.Problem
	next, err := readPage(strings.NewReader(`{"value":[{"x":{"a":1},"\u0061":"\u00eb","b":2e3},{"b":[1],"a":"1","a":"2"},{}],"@odata.nextLink":"https:\/\/x\/y?\u0026"}`),
		[]string{"b", "a", "b"}, func(values []string, p segment.Problem) error {
			rows, problems = append(rows, slices.Clone(values)), append(problems, p)
			return nil
		})
	require.NoError(t, err)
	require.Equal(t, "https://x/y?&", next)
	require.Equal(t, [][]string{{"2000", "ë", "2000"}, {"", "2", ""}, {"", "", ""}}, rows)
	require.Equal(t, []segment.Problem{"", segment.ProblemEncoding, ""}, problems)
}

func TestPayloadsOfThePrivateTable(t *testing.T) {
	at := time.Date(2026, 3, 15, 1, 2, 3, 0, time.UTC)
	for _, payload := range [][2]string{
		{`{"name":"Seg","friendlyName":"A segment","evaluationStatus":{"jobStatus":"Running","evaluationDate":"2026-03-15T01:02:03Z","entityCount":7}}`, ""},
		{`{"Name":"Seg","FriendlyName":"A segment","EvaluationStatus":{"JobStatus":2,"EvaluationDate":"2026-03-15T02:02:03+01:00","EntityCount":7}}`, ""},
		{`{"name":"Seg","friendlyName":"A segment","evaluationSta`, `tus":{"jobStatus":"queued","evaluationDate":"2026-03-15T01:02:03Z","entityCount":7}}`},
	} {
		m := parseMetadata("other", payload[0], payload[1])
		info := m.info()
		require.Equal(t, int64(7), *info.Members)
		require.Equal(t, []any{"Seg", "A segment", at}, []any{info.Name, info.Title, info.RefreshedAt})
		require.True(t, m.running())
	}
	for _, payload := range []string{"", "null", "{}", "no JSON", `{"evaluationStatus":{"jobStatus":"CompletedSuccess"}}`, `[1,2]`} {
		m := parseMetadata("Seg", payload, "")
		require.Equal(t, segment.Info{Name: "Seg"}, m.info(), payload)
		require.False(t, m.running(), payload)
	}
}

func TestRetryAfter(t *testing.T) {
	ours := time.Date(2026, 11, 26, 8, 0, 0, 0, time.UTC)
	theirs := ours.Add(-time.Hour) // our clock is wrong
	for header, want := range map[string]time.Duration{"": unknownPause, "x": unknownPause, "-1": unknownPause, "0": time.Second, "7": 7 * time.Second, "2.5": 2500 * time.Millisecond,
		"1e9": unknownPause, theirs.Add(90 * time.Second).Format(http.TimeFormat): 90 * time.Second, theirs.Add(-time.Minute).Format(http.TimeFormat): time.Second,
		theirs.Add(48 * time.Hour).Format(http.TimeFormat): unknownPause} {
		answer := http.Header{"Retry-After": {header}, "Date": {theirs.Format(http.TimeFormat)}}
		require.Equal(t, want, retryAfter(answer, ours), header)
	}
	undated := http.Header{"Retry-After": {ours.Add(90 * time.Second).Format(http.TimeFormat)}}
	require.Equal(t, 90*time.Second, retryAfter(undated, ours))
}

// After a 429 one request is made at a time, and one more with each few answers
// that are no fault.
func TestTheGateOpensWithGoodAnswers(t *testing.T) {
	g := &gate{allowed: mostParallel, freed: make(chan struct{})}
	g.pause(time.Now(), time.Second)
	require.Equal(t, 1, g.allowed)
	for range 3 * calm {
		g.leave(false)
	}
	require.Equal(t, 1, g.allowed, "faults open nothing")
	for range calm - 1 {
		g.leave(true)
	}
	require.Equal(t, 1, g.allowed)
	g.leave(false)
	require.Equal(t, 1, g.allowed)
	g.leave(true)
	require.Equal(t, 2, g.allowed)
}

// FuzzPage reads any bytes: without a panic, the same each time, never more
// than is there, and text is always text.
func FuzzPage(f *testing.F) {
	for _, seed := range []string{
		`{"@odata.context":"c","value":[{"a":"1","b":2e3},{"a":null,"b":[1]}],"@odata.nextLink":"https://x/y"}`,
		`{"value":[{"a":"\ud800","b":true}]}`, `{"value":[],"value":[{}]}`, `{"value":[{"a":1e400000}]}`, `[`, `{"value":[{"a":"` + "\xff" + `"}]}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		read := func() (rows []string, next string, err error) {
			next, err = readPage(bytes.NewReader(data), []string{"a", "b"}, func(values []string, p segment.Problem) error {
				require.Len(t, values, 2)
				if p == "" {
					require.True(t, utf8.ValidString(values[0]) && utf8.ValidString(values[1]))
				}
				rows = append(rows, values[0], values[1], string(p))
				return nil
			})
			return rows, next, err
		}
		rows, next, err := read()
		again, nextAgain, errAgain := read()
		require.Equal(t, rows, again)
		require.Equal(t, next, nextAgain)
		require.Equal(t, err == nil, errAgain == nil)
		if err != nil {
			require.NotErrorIs(t, err, io.EOF, "an end in the middle is no end")
		}
	})
}

// FuzzCursor takes any bytes for a cursor, and what is one comes back as it was.
func FuzzCursor(f *testing.F) {
	f.Add([]byte(position{stamp: stamp{1, 2}, number: 7, id: "abc"}.cursor("s")), "s")
	f.Add([]byte(position{}.cursor("")), "")
	f.Fuzz(func(t *testing.T, data []byte, name string) {
		if p, ok := parseCursor(data, name); ok {
			again, ok := parseCursor(p.cursor(name), name)
			require.True(t, ok)
			require.Equal(t, p, again)
		}
	})
}

// FuzzMetadata reads any payload without a panic.
func FuzzMetadata(f *testing.F) {
	f.Add("n", `{"name":"Seg","evaluationStatus":{"jobStatus":"Running"}}`, "")
	f.Fuzz(func(t *testing.T, name, payload1, payload2 string) {
		m := parseMetadata(name, payload1, payload2)
		_ = m.running()
		require.Equal(t, m.Name, m.info().Name)
	})
}

func TestOneGateForALogin(t *testing.T) {
	a := Config{URL: "https://a.example", Auth: AuthSecret, Tenant: "t", ClientID: "c"}
	b := a
	b.URL, b.OnChange = "https://A.example/", OnChangeWarn
	require.Same(t, gateOf(a), gateOf(b))
	b.Auth = AuthCertificate
	require.Same(t, gateOf(a), gateOf(b), "another proof of the same identity")
	b.ClientID = "d"
	require.NotSame(t, gateOf(a), gateOf(b))
	require.True(t, errors.Is(&segment.BusyError{}, segment.ErrBusy))
}

func BenchmarkReadPage(b *testing.B) {
	const rows = 1_000
	row := `{"@odata.etag":"W/\"1\"","msdynci_customerid":"0123456789abcdef0123456789abcdef","msdynci_email":"someone@example.com",` +
		`"msdynci_firstname":"Zo\u00eb","msdynci_lastname":"Łukasz","msdynci_street":"1 High \"Street\"","msdynci_city":"Springfield",` +
		`"msdynci_consent":true,"msdynci_consentdate":"2026-03-15T00:00:00Z","msdynci_phone":null,"msdynci_customerprofileid":"01234567-89ab-cdef-0123-456789abcdef"}`
	page := `{"@odata.context":"c","value":[` + strings.Repeat(row+",", rows-1) + row + `],"@odata.nextLink":"https://x/y"}`
	columns := []string{"msdynci_customerid", "msdynci_email", "msdynci_firstname", "msdynci_lastname", "msdynci_street", "msdynci_city",
		"msdynci_consent", "msdynci_consentdate", "msdynci_phone"}
	b.SetBytes(int64(len(page)))
	b.ReportAllocs()
	for b.Loop() {
		n := 0
		_, err := readPage(strings.NewReader(page), columns, func([]string, segment.Problem) error { n++; return nil })
		require.NoError(b, err)
		require.Equal(b, rows, n)
	}
	b.ReportMetric(float64(rows)*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
}

// The decoder makes room for a value of any length, so a body may have none that
// no column can hold.
func TestAValueWithoutEnd(t *testing.T) {
	before := allocated()
	endless := io.MultiReader(strings.NewReader(`{"value":[{"a":"x"},{"a":"`), io.LimitReader(letters{}, 1<<30))
	rows := 0
	_, err := readPage(endless, []string{"a"}, func([]string, segment.Problem) error { rows++; return nil })
	require.ErrorIs(t, err, segment.ErrMalformed)
	require.ErrorContains(t, err, "a value of more than 16 MiB")
	require.Equal(t, 1, rows)
	require.Less(t, allocated()-before, uint64(8*mostValue))
}

// letters is a text without an end.
type letters struct{}

func (letters) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
	}
	return len(p), nil
}

func allocated() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.TotalAlloc
}
