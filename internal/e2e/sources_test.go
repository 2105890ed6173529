package e2e

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/segment-export/segment-export/internal/omnisend/sandbox"
	"github.com/segment-export/segment-export/internal/protocol"
	"github.com/segment-export/segment-export/internal/run"
)

// sourceSize is how many rows the segment of each source has; it is a million
// with `make soak-sources SIZE=1000000`.
const sourceSize = "SEGMENT_EXPORT_TEST_SOURCE_SIZE"

// items keeps a digest of every contact that arrives, as it is written. An
// opt-out without a date is dated when its run first saw it: all times since the
// test began count as the same.
type items struct {
	began time.Time

	mu   sync.Mutex
	seen map[[16]byte]int
}

// note is a hook of the shop.
func (i *items) note(w http.ResponseWriter, r *http.Request, next http.Handler) {
	if isUpload(r) {
		body, _ := io.ReadAll(r.Body)
		r.Body = io.NopCloser(bytes.NewReader(body))
		var batch struct {
			Items []json.RawMessage `json:"items"`
		}
		if json.Unmarshal(body, &batch) == nil { // else the contract's check says so
			i.mu.Lock()
			for _, item := range batch.Items {
				sum := sha256.Sum256(dated.ReplaceAllFunc(item, i.timeless))
				i.seen[[16]byte(sum[:])]++
			}
			i.mu.Unlock()
		}
	}
	next.ServeHTTP(w, r)
}

var dated = regexp.MustCompile(`"statusChangedAt":"[^"]+"`)

// timeless takes the time out of a status that is dated since the test began.
func (i *items) timeless(member []byte) []byte {
	_, text, _ := strings.Cut(string(member), `:`)
	at, err := time.Parse(`"`+time.RFC3339Nano+`"`, text)
	if err != nil || at.Before(i.began) {
		return member
	}
	return []byte(`"statusChangedAt":"since the test began"`)
}

// digest is the same for the same contacts, in any order.
func (i *items) digest() string {
	i.mu.Lock()
	defer i.mu.Unlock()
	h := sha256.New()
	for _, sum := range slices.SortedFunc(maps.Keys(i.seen), func(a, b [16]byte) int { return bytes.Compare(a[:], b[:]) }) {
		h.Write(sum[:])
	}
	return fmt.Sprintf("%d contacts, %x", len(i.seen), h.Sum(nil))
}

var rowsRead = regexp.MustCompile(`(?m)^segment_export_source_rows_total\{export="spring"\} (\S+)$`)

// stored is how many rows the program has read and stored since it started.
func (s *shop) stored() int {
	s.t.Helper()
	_, scraped := s.get(s.metrics)
	m := rowsRead.FindStringSubmatch(scraped)
	if m == nil {
		return 0
	}
	n, err := strconv.ParseFloat(m[1], 64)
	require.NoError(s.t, err)
	return int(n)
}

// usage is what a process takes, as Linux tells it; elsewhere nothing is known.
type usage struct {
	peak string  // the most memory at once
	cpu  float64 // seconds
}

func usageOf(pid int) usage {
	var u usage
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return u
	}
	_, rest, _ := strings.Cut(string(status), "VmHWM:")
	line, _, _ := strings.Cut(rest, "\n")
	u.peak = strings.TrimSpace(line)
	stat, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, rest, _ = strings.Cut(string(stat), ") ") // after the program's name
	if fields := strings.Fields(rest); len(fields) > 13 {
		for _, ticks := range fields[11:13] { // a hundred a second
			n, _ := strconv.ParseFloat(ticks, 64)
			u.cpu += n / 100
		}
	}
	return u
}

// forgetPeak makes Linux count the program's most memory from now on.
func (s *shop) forgetPeak() {
	_ = os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", s.pid), []byte("5"), 0) // elsewhere there is none
}

// From each real source the same segment arrives as the same contacts, to the
// byte, with nothing lost and nothing sent twice, although the program is killed
// in the middle of reading and the connection is reset in the middle of what was
// left.
func TestEverySourceArrivesThroughBreaks(t *testing.T) {
	size := 50_000
	if text := os.Getenv(sourceSize); text != "" {
		var err error
		size, err = strconv.Atoi(text)
		require.NoError(t, err)
	}
	var mu sync.Mutex
	arrived := map[string][]string{} // the sources by the contacts that came from them
	t.Run("from", func(t *testing.T) {
		for _, source := range origins {
			t.Run(source.name, func(t *testing.T) {
				if size <= 50_000 {
					t.Parallel() // most of the time is waiting for the lease of what was killed
				}
				digest := arrivesThroughBreaks(t, size, source.at)
				mu.Lock()
				defer mu.Unlock()
				arrived[digest] = append(arrived[digest], source.name)
				runtime.GC() // before the next one is measured
			})
		}
	})
	require.Len(t, arrived, 1, "all sources give the same contacts: %v", arrived)
}

func arrivesThroughBreaks(t *testing.T, size int, at func(*shop) origin) string {
	s := newShop(t, size, sandbox.Options{Seed: 5})
	o := at(s)
	part := min(size/20, 50_000)
	s.env = append(s.env, withPartRows+"="+strconv.Itoa(part))
	seen := &items{began: time.Now().Truncate(time.Second), seen: map[[16]byte]int{}}
	hook := seen.note
	s.hook.Store(&hook)
	kill := s.process()
	t.Cleanup(func() { kill() })
	whole := s.defineFrom(o)

	// Killed in the middle of reading.
	held := o.holdAt(whole / 2)
	before := s.stored()
	s.must("run", "spring", "--yes", "--detach")
	s.reaches(held, "half of the segment")
	first := 0
	s.eventually("a tenth of the segment is stored", func() bool { first = s.stored() - before; return first >= size/10 })
	kill()
	require.Less(t, first, size, "it was still reading")
	o.count()
	o.release()

	// The rest is interrupted without a kill.
	held = o.holdAt(whole / 10)
	kill = s.process()
	if o.wire != nil {
		s.reaches(held, "a tenth of the segment")
		if o.restarts {
			s.eventually("a part is stored again", func() bool { return s.stored() > 0 })
		}
		o.wire.cut()
	}
	code, out, errs := s.starter("runs", "watch", "spring", "--output", "json")
	require.Equal(t, 3, code, "%s%s", out, errs)
	r := s.show()
	require.NoError(t, r.Check())
	stats := s.arrived(r)
	require.Equal(t, s.expected.Contacts, r.New)
	require.Zero(t, again(stats), "nothing was sent twice")
	rest, bytes := s.stored(), o.count()
	t.Logf("%d of %d rows were stored before the kill; after it %d were read, %d of %d bytes came", first, size, rest, bytes, whole)
	if o.restarts {
		require.NotEmpty(t, r.Notes)
		for _, note := range r.Notes {
			require.Equal(t, `segment "spring_buyers" was read again from the start because the read was interrupted, and its view of the data ended with the transaction in PostgreSQL`, note)
		}
		require.Greater(t, rest, size, "a part, and all of it")
	} else {
		require.Empty(t, r.Notes)
		require.Positive(t, rest, "it was killed while it was reading")
		require.LessOrEqual(t, rest, size-first, "what was stored was not read again")
		require.Less(t, bytes, max(1, whole))
	}
	if o.wire == nil {
		s.arrivedAsMapped(nil)
	}
	digest := seen.digest()

	// The source has not changed: nothing is sent. This read is disturbed by nothing.
	s.forgetPeak()
	before = s.stored()
	program, tests := usageOf(s.pid), usageOf(os.Getpid())
	s.must("run", "spring", "--detach")
	s.eventually("all is read", func() bool { return s.stored()-before == size })
	programAfter, testsAfter := usageOf(s.pid), usageOf(os.Getpid())
	code, out, errs = s.starter("runs", "watch", "spring")
	require.Equal(t, 3, code, "the invalid rows are still invalid: %s%s", out, errs)
	second := s.show()
	require.NoError(t, second.Check())
	require.Empty(t, second.Notes)
	require.Equal(t, []int{size, s.expected.Contacts, 0, 0}, []int{second.Read, second.Unchanged, second.Delivered, second.Calls})
	require.Equal(t, stats.Batches, s.uploads())
	seconds := phase(second, run.PhaseCollect)
	t.Logf("undisturbed, %d rows were read in %.1f s (%.0f rows/s); the program, its Temporal server included, had %s at most and took %.1f s of CPU, this process, the stand-in included, %.1f s",
		size, seconds, float64(size)/seconds, programAfter.peak, programAfter.cpu-program.cpu, testsAfter.cpu-tests.cpu)
	return digest
}

// defineFrom makes source, connection and export, looks at what the source
// shows of itself, and plans. It returns how many bytes came for the whole
// segment.
func (s *shop) defineFrom(o origin) int64 {
	s.t.Helper()
	var shown protocol.SourceAnswer
	s.decode(&shown, append([]string{"source", "add", "crm", "--output", "json"}, o.source...)...)
	require.Len(s.t, shown.SegmentList, 1)
	var tested protocol.SourceTested
	s.decode(&tested, "source", "test", "crm", "--output", "json")
	require.True(s.t, tested.OK, tested)
	require.Greater(s.t, len(tested.Checks), 1)
	s.decode(&shown, "source", "show", "crm", "--output", "json")
	require.Len(s.t, shown.SegmentList, 1)
	fields := slices.Concat(shown.Fields, shown.SegmentList[0].Fields)
	for _, argument := range o.mapping {
		if _, field, ok := strings.Cut(argument, "="); ok {
			require.Contains(s.t, fields, field)
		}
	}
	code, _, errs := s.starter("source", "show", "crm", "--segment", "spring_byers")
	require.Equal(s.t, 1, code, errs)
	require.Contains(s.t, errs, "no such segment")
	require.Contains(s.t, errs, `"spring_buyers"`, "it names what there is")
	s.must("connection", "add", "Spring shop", "--api-key-file", s.path("key.txt"), "--agree", "--calls-per-minute", "0")
	s.must(append([]string{"export", "add", "spring", "--connection", "Spring shop", "--source", "crm", "--segment", "spring_buyers"}, o.mapping...)...)

	o.count()
	var plan struct {
		run.Report
		Samples json.RawMessage `json:"samples"`
	}
	code, out, errs := s.starter("plan", "spring", "--output", "json")
	require.Zero(s.t, code, "%s%s", out, errs)
	require.NoError(s.t, json.Unmarshal([]byte(out), &plan))
	require.NoError(s.t, plan.Check())
	e := s.expected
	require.Equal(s.t, []int{e.Rows, e.Invalid, e.Duplicate, e.Contacts}, []int{plan.Read, plan.Invalid, plan.Duplicate, plan.Contacts})
	require.NotEmpty(s.t, plan.Samples)
	require.Zero(s.t, s.uploads(), "a plan sends nothing")
	return o.count()
}

// decode runs a command line that has to succeed and decodes its answer.
func (s *shop) decode(into any, args ...string) {
	s.t.Helper()
	require.NoError(s.t, json.Unmarshal([]byte(s.must(args...)), into))
}

func (o origin) holdAt(bytes int64) <-chan struct{} {
	if o.wire == nil {
		at := make(chan struct{})
		close(at)
		return at
	}
	return o.wire.hold(bytes)
}

func (o origin) release() {
	if o.wire != nil {
		o.wire.release()
	}
}

func (o origin) count() int64 {
	if o.wire == nil {
		return 0
	}
	return o.wire.count()
}

// reaches waits for something to be reached.
func (s *shop) reaches(at <-chan struct{}, what string) {
	s.t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	select {
	case <-at:
	case <-deadline.C:
		_, out, errs := s.starter("runs", "show", "spring")
		require.FailNow(s.t, "never reached: "+what, "%s%s", out, errs)
	}
}

// phase is how many seconds a phase of a run took.
func phase(r run.Report, wanted run.Phase) float64 {
	for _, p := range r.Phases {
		if p.Phase == wanted {
			return p.Seconds
		}
	}
	return 0
}
