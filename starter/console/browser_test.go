package console_test

import (
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp/kb"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/segment-export/segment-export/internal/browsertest"
	"github.com/segment-export/segment-export/internal/protocol"
	"github.com/segment-export/segment-export/internal/run"
	"github.com/segment-export/segment-export/starter/console"
)

// browse logs a real browser in to a console in front of a worker.
func browse(t *testing.T, w *worker) (*browsertest.Tab, *console.Console) {
	t.Helper()
	if testing.Short() {
		t.Skip("needs Chromium")
	}
	server := httptest.NewUnstartedServer(nil)
	server.Listener, _ = net.Listen("tcp", "127.0.0.1:0")
	c := serve(t, w, server.Listener.Addr().String())
	server.Config.Handler = c
	server.Start()
	t.Cleanup(server.Close)
	b := browsertest.NewTab(t, browsertest.Start(t), server.URL)
	b.Open(c.LoginPath())
	return b, c
}

// Names with HTML, marks that turn the direction and 200 characters break no
// page, and no page asks another host for anything.
func TestEveryPageBearsHostileNamesAndLoadsNothingFromElsewhere(t *testing.T) {
	w := full("admin")
	b, _ := browse(t, w)
	axe := browsertest.Axe(t, filepath.Join("..", ".."))
	for _, page := range pages {
		b.Open(page)
		assert.Equal(t, "object", browsertest.Evaluate[string](b, `typeof htmx`), "%s ran its scripts", page)
		b.Fits(page)
		b.Accessible(axe, page)
	}
	assert.Empty(t, b.Elsewhere())
	assert.Greater(t, len(b.Requests()), len(pages), "requests were seen")
}

func TestParkedRunsAreApprovedAndCancelledInTheBrowser(t *testing.T) {
	for button, want := range map[string]struct{ command, says string }{
		"approve": {protocol.RunsApprove, "Approved."}, "cancel": {protocol.RunsCancel, "The run is being canceled."}} {
		w := full("contributor")
		b, _ := browse(t, w)
		b.Open("/runs/r-1")
		b.See("This run needs your answer", "the first run would send 8 contacts", "If you approve, the run sends 8 contacts", "If you cancel, nothing more is sent")
		b.Click(`button[value="` + button + `"]`)
		b.See(want.says)
		assert.Contains(t, w.given(), want.command)
	}
}

// The second of two tabs that edit an export is refused, sees what was changed,
// keeps what was typed, and can save it then.
func TestTwoTabsEditOneExport(t *testing.T) {
	w := full("contributor")
	one, _ := browse(t, w)
	two := one.Another()
	one.Open("/exports/x/edit")
	two.Open("/exports/x/edit")
	one.Choose(`select[name="map.first-name"]`, "FirstName")
	one.Click(`button[value="save"]`)
	one.See("Saved.")
	two.Enter(`input[name="consent"]`, "ja")
	two.Click(`button[value="save"]`)
	two.See("Not saved.", "Grace changed this export", "mapping.first-name", "FirstName")
	assert.Equal(t, "ja", two.Value(`input[name="consent"]`))
	assert.Empty(t, w.export().Consent.Consent, "nothing was saved")
	two.Click(`button[value="save"]`)
	two.See("Saved.")
	assert.Equal(t, []string{"ja"}, w.export().Consent.Consent)
}

// What is sent after the session has ended is not carried out, and can be sent
// from the same page after a login.
func TestNothingIsLostWhenTheSessionEnds(t *testing.T) {
	w := full("contributor")
	b, c := browse(t, w)
	other := b.Another()
	b.Open("/exports/x/edit")
	b.See("Values found in")
	b.Enter(`input[name="consent"]`, "ja")
	other.Open("/")
	other.Click(`.me button`)
	other.See("Logged out")
	b.Click(`button[value="save"]`)
	b.See("Your session has ended", "were not sent", "Log in again")
	assert.Empty(t, w.export().Consent.Consent)
	b.Click(`main button`)
	b.See("Your session has ended")
	other.Open(c.LoginPath())
	b.Click(`main button`)
	b.See("Saved.")
	assert.Equal(t, []string{"ja"}, w.export().Consent.Consent)

	other.Click(`.me button`)
	other.See("Logged out")
	b.Open("/exports/x")
	b.See("Log in")
	other.Open(c.LoginPath())
}

// A connection is made with the keyboard alone: Tab reaches everything, in the
// order in which it is read, and the focus is seen.
func TestTheConnectionPageWorksWithTheKeyboardAlone(t *testing.T) {
	w := full("admin")
	b, _ := browse(t, w)
	b.Open("/connections/new")
	focused := func() string {
		return browsertest.Evaluate[string](b, `(function (e) { return e.name || e.textContent.trim() })(document.activeElement)`)
	}
	reach := func(name string) {
		t.Helper()
		for range 40 {
			b.Keys(kb.Tab)
			if focused() == name {
				assert.NotEqual(t, "none", browsertest.Evaluate[string](b, `getComputedStyle(document.activeElement).outlineStyle`), "the focus on %s is seen", name)
				return
			}
		}
		require.Fail(t, "the keyboard does not reach "+name, b.Text())
	}
	b.Keys(kb.Tab)
	assert.Equal(t, "Skip to content", focused())
	b.Keys(kb.Enter)
	reach("name")
	b.Keys("Spring shop")
	reach("shared")
	b.Keys(kb.ArrowDown)
	reach("key")
	b.Keys("a-key")
	reach("agree")
	b.Keys(" ")
	reach("Connect and save")
	b.Keys(kb.Enter)
	b.See("Connected and saved.")
	var added protocol.ConnectionAddArgs
	for _, o := range w.orders {
		if o.Name == protocol.ConnectionAdd {
			added = o.Args.(protocol.ConnectionAddArgs)
			assert.Equal(t, protocol.ConnectionSecret{Key: "a-key"}, o.Secret)
		}
	}
	assert.Equal(t, "Spring shop", added.Name)
	assert.True(t, added.Agree)
	assert.Equal(t, "admins-and-contributors", added.Shared.String())
}

// Without JavaScript every button works, and an open run is loaded again.
func TestPagesWorkWithoutJavaScript(t *testing.T) {
	w := full("contributor")
	answer := w.answers[protocol.RunsShow].(protocol.RunAnswer)
	answer.Status, answer.Guards, answer.Reason = run.Running, nil, ""
	w.answers[protocol.RunsShow] = answer
	body := open(t, w).get("/runs/r-1").Body.String()
	assert.Contains(t, body, `<noscript><meta http-equiv="refresh" content="5"></noscript>`)
	for _, page := range pages {
		for _, press := range buttons(t, page, open(t, full("admin")).get(page).Body.String()) {
			got := open(t, full("admin")).post(press.action, press.form)
			assert.Contains(t, []int{http.StatusOK, http.StatusSeeOther}, got.Code, "%s %v: %s", press.action, strings.Join(press.form["do"], ""), alert(got))
		}
	}
}
