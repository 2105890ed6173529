// Package browsertest drives a real browser in tests.
package browsertest

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"
)

// patience is how long a page may take to show what a test waits for.
const patience = 2 * time.Minute

// Start starts a browser that reaches this machine only, until the test ends.
func Start(t *testing.T) context.Context {
	t.Helper()
	path, err := exec.LookPath("chromium")
	require.NoError(t, err, "this test needs a browser: install Debian's package chromium")
	ctx, stop := chromedp.NewExecAllocator(t.Context(), chromedp.ExecPath(path), chromedp.Headless, chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.NoFirstRun, chromedp.Flag("host-resolver-rules", "MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"), chromedp.Flag("disable-quic", true),
		chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true),
		chromedp.Flag("disable-dev-shm-usage", true), chromedp.WindowSize(1400, 1800), chromedp.WSURLReadTimeout(patience))
	t.Cleanup(stop)
	ctx, stop = chromedp.NewContext(ctx)
	t.Cleanup(stop)
	_, err = chromedp.Run(ctx, chromedp.Navigate("about:blank"))
	require.NoError(t, err)
	return ctx
}

// Tab is one tab of a browser with a site in it.
type Tab struct {
	Base string // of the site, without a path

	t   *testing.T
	ctx context.Context

	mu       sync.Mutex
	requests []string
}

// NewTab takes the tab of a context that Start or Another returned.
func NewTab(t *testing.T, ctx context.Context, base string) *Tab {
	t.Helper()
	b := &Tab{Base: base, t: t, ctx: ctx}
	require.NoError(t, chromedp.Listen(ctx, func(event any) {
		if sent, ok := event.(*network.EventRequestWillBeSent); ok {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.requests = append(b.requests, sent.Request.URL)
		}
	}))
	return b
}

// Another opens a second tab of the same browser: it has the same session.
func (b *Tab) Another() *Tab {
	b.t.Helper()
	ctx, stop := chromedp.NewContext(b.ctx)
	b.t.Cleanup(stop)
	_, err := chromedp.Run(ctx, chromedp.Navigate("about:blank"))
	require.NoError(b.t, err)
	return NewTab(b.t, ctx, b.Base)
}

// Requests are the addresses that the tab has asked for.
func (b *Tab) Requests() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]string(nil), b.requests...)
}

// do runs an action and fails the test, with the page's text, when it cannot.
func do[T any](b *Tab, what string, a chromedp.Action[T]) T {
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

// Open loads a path of the site.
func (b *Tab) Open(path string) {
	b.t.Helper()
	do(b, path, chromedp.Navigate(b.Base+path))
}

// Back goes to the page before.
func (b *Tab) Back() {
	b.t.Helper()
	do(b, "back", chromedp.NavigateBack())
}

// Click clicks on the first element that matches.
func (b *Tab) Click(selector string) {
	b.t.Helper()
	do(b, "click "+selector, chromedp.Click(selector))
}

// Enter types a text into the first element that matches.
func (b *Tab) Enter(selector, text string) {
	b.t.Helper()
	do(b, "type into "+selector, chromedp.SendKeys(selector, text))
}

// Replace replaces the text of an input.
func (b *Tab) Replace(selector, text string) {
	b.t.Helper()
	do(b, "clear "+selector, chromedp.Clear(selector))
	b.Enter(selector, text)
}

// Choose chooses an option of a list by its value.
func (b *Tab) Choose(selector, value string) {
	b.t.Helper()
	do(b, "choose in "+selector, chromedp.SetValue(selector, value))
}

// Keys presses keys, wherever the focus is.
func (b *Tab) Keys(keys string) {
	b.t.Helper()
	do(b, "press keys", chromedp.KeyEvent(keys))
}

// Value returns the value of an input.
func (b *Tab) Value(selector string) string {
	b.t.Helper()
	return do(b, "value of "+selector, chromedp.Value(selector))
}

// Text is what the page shows.
func (b *Tab) Text() string {
	b.t.Helper()
	return do(b, "text", chromedp.Evaluate[string]("document.body.innerText"))
}

// Evaluate returns the value of a JavaScript expression, or of its promise.
func Evaluate[T any](b *Tab, expression string) T {
	b.t.Helper()
	return do(b, expression, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
}

// See waits until the page shows all of these texts.
func (b *Tab) See(texts ...string) {
	b.t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for _, text := range texts {
		quoted, err := json.Marshal(text)
		require.NoError(b.t, err)
		deadline := time.Now().Add(patience)
		for shown := false; !shown; <-tick.C {
			shown, _ = chromedp.Run(b.ctx, chromedp.Evaluate[bool]("document.body.innerText.includes("+string(quoted)+")"))
			if !shown && time.Now().After(deadline) {
				all, _ := chromedp.Run(b.ctx, chromedp.Evaluate[string]("document.body.innerText"))
				require.Fail(b.t, "never shown: "+text, all)
			}
		}
	}
}

// Colours chooses the scheme that the page is shown in: light or dark.
func (b *Tab) Colours(scheme string) {
	b.t.Helper()
	do(b, "colours", chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
		_, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}})
		return err
	}))
}

// Accessible checks the page against the rules of axe in both colour schemes.
func (b *Tab) Accessible(axe, name string) {
	b.t.Helper()
	do(b, "axe", chromedp.Evaluate[any](axe+";0"))
	for _, scheme := range []string{"light", "dark"} {
		b.Colours(scheme)
		found := Evaluate[string](b, `axe.run().then(r => JSON.stringify(r.violations.map(v => v.id + ": " + v.nodes.map(n => n.target.join(" ")).join(" | "))))`)
		require.Equal(b.t, "[]", found, "%s, %s", name, scheme)
	}
}

// Widths are those of a phone, a tablet and a desktop, in pixels.
var Widths = []int64{360, 800, 1400}

// Fits checks that the page fits each of the Widths without scrolling sideways.
func (b *Tab) Fits(name string) {
	b.t.Helper()
	for _, width := range Widths {
		b.Resize(width)
		wide := Evaluate[string](b, `(function () {
			var room = document.documentElement.clientWidth;
			if (document.documentElement.scrollWidth <= room) return "";
			return "wider than " + room + ": " + [...document.querySelectorAll("body *")].filter(e => e.getBoundingClientRect().right > room + 1 && !e.closest(".scroll, pre, .hidden, .skip"))
				.slice(0, 5).map(e => e.tagName + "." + e.className + " " + e.textContent.slice(0, 40)).join(" | ");
		})()`)
		require.Empty(b.t, wide, "%s scrolls sideways at %d px", name, width)
	}
}

// Resize makes the page that many pixels wide.
func (b *Tab) Resize(width int64) {
	b.t.Helper()
	do(b, "size", chromedp.EmulateViewport(width, 900))
}

// Picture writes a picture of the whole page, as it is now, into a folder.
func (b *Tab) Picture(folder, name string) {
	b.t.Helper()
	picture := do(b, "screenshot", chromedp.FullScreenshot(100))
	require.NoError(b.t, os.WriteFile(filepath.Join(folder, name+".png"), picture, 0o600))
}

// Axe is the script of axe-core, which `make tools` installs. root is the
// repository's folder as seen from the test.
func Axe(t *testing.T, root string) string {
	t.Helper()
	source, err := os.ReadFile(filepath.Join(root, ".tools", "axe", "node_modules", "axe-core", "axe.min.js"))
	require.NoError(t, err, "this test needs axe-core: install Node.js and run `make tools`")
	return string(source)
}

// Elsewhere are the requests that did not go to the site. Pages of the browser
// and inline data are nowhere.
func (b *Tab) Elsewhere() (list []string) {
	for _, address := range b.Requests() {
		if !strings.HasPrefix(address, b.Base+"/") && !strings.HasPrefix(address, "data:") && !strings.HasPrefix(address, "about:") {
			list = append(list, address)
		}
	}
	return list
}
