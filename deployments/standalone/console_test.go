package main

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

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"github.com/segment-export/segment-export/activities"
	"github.com/segment-export/segment-export/internal/omnisend/omnisendtest"
	"github.com/segment-export/segment-export/internal/omnisend/sandbox"
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

// tab is a browser's tab with the console in it.
type tab struct {
	t    *testing.T
	ctx  context.Context
	base string
}

func act[T any](b *tab, what string, a chromedp.Action[T]) T {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	v, err := chromedp.Run(ctx, a)
	if err != nil {
		text, _ := chromedp.Run(b.ctx, chromedp.Evaluate[string]("document.body.innerText"))
		require.NoError(b.t, err, "%s; the page says:\n%s", what, text)
	}
	return v
}

func (b *tab) open(path string) { act(b, path, chromedp.Navigate(b.base+path)) }

func (b *tab) click(selector string) { act(b, "click "+selector, chromedp.Click(selector)) }

func (b *tab) enter(selector, text string) {
	act(b, "type into "+selector, chromedp.SendKeys(selector, text))
}

// see waits until the page shows a text.
func (b *tab) see(texts ...string) {
	b.t.Helper()
	for _, text := range texts {
		quoted, err := json.Marshal(text)
		require.NoError(b.t, err)
		deadline := time.Now().Add(patience)
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for shown := false; !shown; <-tick.C {
			shown, _ = chromedp.Run(b.ctx, chromedp.Evaluate[bool]("document.body.innerText.includes("+string(quoted)+")"))
			if !shown && time.Now().After(deadline) {
				all, _ := chromedp.Run(b.ctx, chromedp.Evaluate[string]("document.body.innerText"))
				require.Fail(b.t, "never shown: "+text, all)
			}
		}
	}
}

// colours chooses the scheme that the page is shown in.
func (b *tab) colours(scheme string) {
	b.t.Helper()
	act(b, "colours", chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
		_, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}})
		return err
	}))
}

// accessible checks the page against the rules of axe in both colour schemes,
// and that it fits the width of a phone, a tablet and a desktop.
func (b *tab) accessible(axe, name string) {
	b.t.Helper()
	act(b, "axe", chromedp.Evaluate[any](axe+";0"))
	for _, scheme := range []string{"light", "dark"} {
		b.colours(scheme)
		found := act(b, "axe", chromedp.Evaluate[string](
			`axe.run().then(r => JSON.stringify(r.violations.map(v => v.id + ": " + v.nodes.map(n => n.target.join(" ")).join(" | "))))`, chromedp.EvalAwaitPromise))
		require.Equal(b.t, "[]", found, "%s, %s", name, scheme)
	}
	for _, width := range []int64{360, 800, 1400} {
		act(b, "size", chromedp.EmulateViewport(width, 900))
		wide := act(b, "width", chromedp.Evaluate[bool]("document.documentElement.scrollWidth > document.documentElement.clientWidth"))
		require.False(b.t, wide, "%s scrolls sideways at %d px", name, width)
	}
	if folder := os.Getenv("SEGMENT_EXPORT_SCREENSHOTS"); folder != "" {
		act(b, "size", chromedp.EmulateViewport(1280, 900))
		b.colours("light")
		picture := act(b, "screenshot", chromedp.FullScreenshot(100))
		require.NoError(b.t, os.WriteFile(filepath.Join(folder, "console-"+name+".png"), picture, 0o600))
	}
}

// axeSource is the script of axe-core, which `make tools` installs.
func axeSource(t *testing.T) string {
	t.Helper()
	source, err := os.ReadFile(filepath.Join("..", "..", ".tools", "axe", "node_modules", "axe-core", "axe.min.js"))
	require.NoError(t, err, "this test needs axe-core: install Node.js and run `make tools`")
	return string(source)
}

// A person who has never seen the product sends a segment with a browser alone.
func TestConsoleFromNothingToAFinishedRun(t *testing.T) {
	t.Parallel()
	axe := axeSource(t)
	browser := newBrowser(t)
	s := newShop(t, 400, sandbox.Options{Seed: 8})
	s.open(activities.Tuning{})
	base, login := s.consoleAt()
	b := &tab{t: t, ctx: browser, base: base}

	act(b, "log in", chromedp.Navigate(login))
	b.see("Send your first segment to Omnisend")
	b.accessible(axe, "first")

	b.click(`a[href="/sources/new"]`)
	b.enter(`input[name="name"]`, "crm")
	b.enter(`input[name="path"]`, "segments")
	b.accessible(axe, "source-new")
	b.click(`main form.panel button`)
	b.see("Tested and saved.", "spring_buyers")
	b.accessible(axe, "source")

	b.open("/connections/new")
	b.enter(`input[name="name"]`, "Spring shop")
	b.enter(`input[name="key"]`, omnisendtest.Key)
	b.accessible(axe, "connection-new")
	b.click(`input[name="agree"]`)
	b.click(`main form.panel button`)
	b.see("Connected and saved.", "ready")
	b.accessible(axe, "connection")

	b.open("/exports/new")
	b.enter(`input[name="name"]`, "spring")
	b.click(`main form.panel button`)
	b.see("Segments to export", "suggested")
	b.accessible(axe, "export-new")
	b.click(`input[name="segment"]`)
	b.click(`button[value="plan"]`)
	b.see("completed", "Calls needed", "Show samples")
	b.accessible(axe, "plan")
	b.click(`a[href$="/samples"]`)
	b.see("New contacts")
	b.accessible(axe, "samples")

	b.open("/exports/spring")
	b.accessible(axe, "export")
	b.click(`button[value="run"]`)
	b.see("This run waits for your answer", "Approve")
	b.accessible(axe, "parked")
	b.click(`button[value="approve"]`)
	b.see("completed with rejects") // without loading the page again
	b.see(fmt.Sprintf("%d", s.expected.Contacts))
	b.accessible(axe, "run")
	require.Equal(t, s.expected.Contacts, s.show().New)

	b.open("/")
	b.see("Nothing needs your attention")
	for name, path := range map[string]string{"home": "/", "exports": "/exports", "runs": "/runs", "schedules": "/schedules", "connections": "/connections",
		"sources": "/sources", "people": "/records/people", "audit": "/records", "person": "/records/person", "alerts": "/records/alerts", "missing": "/nowhere"} {
		b.open(path)
		b.accessible(axe, name)
	}
}

// A run that is watched shows that no worker answers, and continues when one
// is back.
func TestConsoleWatchesARunWhoseWorkerIsKilled(t *testing.T) {
	t.Parallel()
	browser := newBrowser(t)
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
	b := &tab{t: t, ctx: browser, base: base}
	act(b, "log in", chromedp.Navigate(login))
	b.open("/runs/" + started.RunID)
	b.see("Sending contacts")
	<-reached
	kill()
	s.hook.Store(nil)
	b.see("No worker has answered for")
	t.Cleanup(s.process())
}
