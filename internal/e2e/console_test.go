package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/segment-export/segment-export/activities"
	"github.com/segment-export/segment-export/internal/browsertest"
	"github.com/segment-export/segment-export/internal/omnisend/omnisendtest"
	"github.com/segment-export/segment-export/internal/omnisend/sandbox"
	"github.com/segment-export/segment-export/internal/run"
	"github.com/segment-export/segment-export/starter/cli"
)

// consoleAt serves the console until the test ends and returns its base URL and
// a login address.
func (s *shop) consoleAt() (base, login string) {
	s.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	in, out := io.Pipe()
	o := cli.FromSystem([]string{"console", "--port", "0", "--sandbox"}, environment{"TEMPORAL_ADDRESS": s.temporal, "SEGMENT_EXPORT_DATA_DIR": s.path("data")})
	o.Out, o.Err = out, out
	ended := make(chan int, 1)
	go func() { ended <- cli.Run(ctx, o) }()
	lines := make(chan string, 10)
	go func() {
		for read := bufio.NewScanner(in); read.Scan(); {
			lines <- read.Text()
		}
	}()
	s.t.Cleanup(func() {
		cancel()
		require.Contains(s.t, []int{0, 130}, <-ended)
		_ = out.Close()
	})
	deadline := time.After(patience)
	for login == "" {
		select {
		case line := <-lines:
			if at, ok := strings.CutPrefix(line, "Console: "); ok {
				base = at
			}
			if at, ok := strings.CutPrefix(line, "Log in: "); ok {
				login = at
			}
		case <-deadline:
			require.Fail(s.t, "the console did not start")
		}
	}
	return base, login
}

// accessible checks the page against the rules of axe, and that it fits every
// width.
func accessible(b *browsertest.Tab, axe, name string) {
	b.Accessible(axe, name)
	b.Fits(name)
	if folder := os.Getenv("SEGMENT_EXPORT_SCREENSHOTS"); folder != "" {
		b.Resize(1280)
		b.Colours("light")
		b.Picture(folder, "console-"+name)
	}
}

// A person who has never seen the product sends a segment with a browser alone.
func TestConsoleFromNothingToAFinishedRun(t *testing.T) {
	t.Parallel()
	axe := browsertest.Axe(t, filepath.Join("..", ".."))
	browser := browsertest.Start(t)
	s := newShop(t, 400, sandbox.Options{Seed: 8})
	s.open(activities.Tuning{})
	base, login := s.consoleAt()
	b := browsertest.NewTab(t, browser, base)

	b.Open(strings.TrimPrefix(login, base))
	b.See("Send your first segment to Omnisend")
	accessible(b, axe, "first")

	b.Click(`a[href="/sources/new"]`)
	b.Enter(`input[name="name"]`, "crm")
	b.Enter(`input[name="path"]`, "segments")
	accessible(b, axe, "source-new")
	b.Click(`main form.panel button`)
	b.See("Tested and saved.", "spring_buyers")
	accessible(b, axe, "source")

	b.Open("/connections/new")
	b.Enter(`input[name="name"]`, "Spring shop")
	b.Enter(`input[name="key"]`, omnisendtest.Key)
	accessible(b, axe, "connection-new")
	b.Click(`input[name="agree"]`)
	b.Click(`main form.panel button`)
	b.See("Connected and saved.", "ready")
	accessible(b, axe, "connection")

	b.Open("/exports/new")
	b.Enter(`input[name="name"]`, "spring")
	b.Click(`main form.panel button`)
	b.See("Segments to export", "suggested")
	accessible(b, axe, "export-new")
	b.See("Values found in EmailConsent", "not declared: no consent")
	b.Click(`button[value="preview"]`) // the only segment is chosen already
	b.See("all 400 rows become", "Nothing is saved or sent.")
	accessible(b, axe, "export-preview")
	b.Click(`button[value="plan"]`)
	b.See("completed", "Calls needed", "Show samples")
	accessible(b, axe, "plan")
	b.Click(`a[href$="/samples"]`)
	b.See("New contacts")
	accessible(b, axe, "samples")

	b.Open("/exports/spring")
	accessible(b, axe, "export")
	b.Click(`button[value="run"]`)
	b.See("This run needs your answer", "Approve")
	b.Click(`button[value="cancel"]`)
	b.See("canceled") // without loading the page again
	require.Equal(t, run.Canceled, s.show().Status)

	b.Open("/exports/spring")
	b.Click(`button[value="run"]`)
	b.See("This run needs your answer", "Approve")
	accessible(b, axe, "parked")
	b.Click(`button[value="approve"]`)
	b.See("completed with rejects") // without loading the page again
	b.See(fmt.Sprintf("%d", s.expected.Contacts))
	accessible(b, axe, "run")
	require.Equal(t, s.expected.Contacts, s.show().New)

	b.Open("/")
	b.See("Nothing needs your attention")
	for name, path := range map[string]string{"home": "/", "exports": "/exports", "runs": "/runs", "schedules": "/schedules", "connections": "/connections",
		"sources": "/sources", "people": "/records/people", "audit": "/records", "person": "/records/person", "alerts": "/records/alerts", "missing": "/nowhere"} {
		b.Open(path)
		accessible(b, axe, name)
	}
	require.Empty(t, b.Elsewhere(), "no page loads anything from elsewhere")
}

// A run that is watched shows that no worker answers, and continues when one
// is back.
func TestConsoleWatchesARunWhoseWorkerIsKilled(t *testing.T) {
	t.Parallel()
	browser := browsertest.Start(t)
	s := newShop(t, 3000, sandbox.Options{Seed: 9})
	kill := s.process()
	s.define()
	reached := s.moment(3, false, isUpload)
	_, out, errs := s.starter("run", "spring", "--yes", "--detach", "--output", "json")
	var started struct {
		RunID string `json:"run_id"`
	}
	require.NoError(t, json.Unmarshal([]byte(out), &started), "%s%s", out, errs)
	base, login := s.consoleAt()
	b := browsertest.NewTab(t, browser, base)
	b.Open(strings.TrimPrefix(login, base))
	b.Open("/runs/" + started.RunID)
	b.See("Sending contacts")
	<-reached
	kill()
	s.hook.Store(nil)
	b.See("No worker has answered for")
	t.Cleanup(s.process())
}
