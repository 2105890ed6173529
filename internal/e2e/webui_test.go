package e2e

import (
	"context"
	"encoding/csv"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"github.com/segment-export/segment-export/activities"
	"github.com/segment-export/segment-export/internal/browsertest"
	"github.com/segment-export/segment-export/internal/omnisend/omnisendtest"
	"github.com/segment-export/segment-export/internal/omnisend/sandbox"
	"github.com/segment-export/segment-export/internal/protocol"
	"github.com/segment-export/segment-export/internal/run"
)

// What the pages of a run show, in a real browser.
func TestWebUIShowsRuns(t *testing.T) {
	t.Parallel()
	browser := browsertest.Start(t)
	s := newShop(t, 300, sandbox.Options{Seed: 6})
	s.uiPort = 0
	s.open(activities.Tuning{})
	s.define()
	private := s.private()
	look := func(execution, tab string, shown ...string) {
		t.Helper()
		text, html := s.page(browser, s.ui+"/namespaces/default/workflows"+execution+tab, shown...)
		all := strings.ToLower(text + html)
		for _, p := range private {
			require.False(t, strings.Contains(all, p), "%s%s shows %q", execution, tab, p)
		}
	}

	code, r := s.run()
	require.Equal(t, 4, code)
	require.Equal(t, run.Parked, r.Status)
	execution := s.execution()
	look(execution, "/user-metadata", "RUNNING", "Export spring over Spring shop", "parked (decide)",
		"starter runs approve "+r.RunID+" --guard first-run", fmt.Sprintf("unsent\t%d\n", r.Contacts))
	look(execution, "/search-attributes", `"ExportStatus": "parked"`)

	s.must("runs", "approve", r.RunID, "--guard", "first-run")
	code, out, errs := s.starter("runs", "watch", "spring")
	require.Equal(t, 3, code, "%s%s", out, errs)
	r = s.show()
	require.Equal(t, s.expected.Contacts, r.New)
	look("", "", "export/spring", "command/run/")
	look(execution, "/timeline", "COMPLETED", "export/spring", "read spring_buyers", "upload batch 0",
		`"status": "completed with rejects"`, fmt.Sprintf(`"contacts": %d`, r.Contacts), fmt.Sprintf(`"delivered": %d`, r.Delivered), fmt.Sprintf(`"calls": %d`, r.Calls))
	look(execution, "/history", "Workflow Execution Completed", "read spring_buyers")
	look(execution, "/user-metadata", "COMPLETED", "Export spring over Spring shop", "completed with rejects",
		fmt.Sprintf("contacts\t%d\n", r.Contacts), fmt.Sprintf("new\t%d\n", r.New), fmt.Sprintf("Calls: %d. Leavers: 0.", r.Calls),
		fmt.Sprintf("spring_buyers\t%d\t%d\t%d\t%d\n", r.Read, r.Segments[0].Members, r.Duplicate, r.Invalid), "segment_spring_buyers")
	look(execution, "/search-attributes", `"ExportName": "spring"`, `"ExportConnection": "Spring shop"`, `"ExportStatus": "completed with rejects"`)
}

// execution is the path of the export's newest run in the Web UI.
func (s *shop) execution() string {
	s.t.Helper()
	id := protocol.WorkflowID("spring", false)
	d, err := s.client.DescribeWorkflowExecution(s.t.Context(), id, "")
	require.NoError(s.t, err)
	return "/" + strings.ReplaceAll(id, "/", "%2F") + "/" + d.GetWorkflowExecutionInfo().GetExecution().GetRunId()
}

// private is the API key and the addresses of the segment, in lower case.
func (s *shop) private() []string {
	s.t.Helper()
	f, err := os.Open(s.path("segments", "spring_buyers.csv"))
	require.NoError(s.t, err)
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	require.NoError(s.t, err)
	all := []string{strings.ToLower(omnisendtest.Key)}
	for _, row := range rows {
		for _, cell := range row {
			if cell = strings.ToLower(strings.TrimSpace(cell)); len(cell) > 5 && strings.Contains(cell, "@") {
				all = append(all, cell)
			}
		}
	}
	require.Greater(s.t, len(all), s.expected.Contacts)
	return all
}

// Summary and live details are in frames of their own.
const (
	pageText = `(function all(d) { return d && d.body ? d.body.innerText + [...d.querySelectorAll("iframe")].map(f => "\n" + all(f.contentDocument)).join("") : "" })(document)`
	pageHTML = `(function all(d) { return d && d.body ? d.documentElement.outerHTML + [...d.querySelectorAll("iframe")].map(f => all(f.contentDocument)).join("") : "" })(document)`
)

// page opens a page and returns its text and source as soon as it shows all
// that it should. The page fills itself after it has been loaded.
func (s *shop) page(browser context.Context, url string, shown ...string) (text, html string) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(browser, 2*time.Minute)
	defer cancel()
	_, err := chromedp.Run(ctx, chromedp.Navigate(url))
	require.NoError(s.t, err, url)
	var missing []string
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		// It fails while the page moves on to another one.
		if now, err := chromedp.Run(ctx, chromedp.Evaluate[string](pageText)); err == nil {
			text, missing = now, missing[:0]
			for _, w := range shown {
				if !strings.Contains(text, w) {
					missing = append(missing, w)
				}
			}
			if len(missing) == 0 {
				html, err = chromedp.Run(ctx, chromedp.Evaluate[string](pageHTML))
				require.NoError(s.t, err)
				return text, html
			}
		}
		select {
		case <-ctx.Done():
			require.FailNow(s.t, "the page does not show what it should", "%s: missing %q in:\n%s", url, missing, text)
		case <-tick.C:
		}
	}
}
