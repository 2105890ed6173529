package e2e

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"
	sdkworker "go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/segment-export/segment-export/internal/catalogue"
	"github.com/segment-export/segment-export/internal/metrics"
	"github.com/segment-export/segment-export/internal/omnisend/sandbox"
	"github.com/segment-export/segment-export/internal/run"
	"github.com/segment-export/segment-export/internal/segment/synthetic"
	"github.com/segment-export/segment-export/internal/store"
	"github.com/segment-export/segment-export/internal/store/sqlstore"
)

// prometheus runs Debian's Prometheus over one target, with the project's
// rules, and returns its URL.
func (s *shop) prometheus(target string) string {
	s.t.Helper()
	rules, err := os.ReadFile("../../deployments/prometheus/alerts.yml")
	require.NoError(s.t, err)
	require.NoError(s.t, os.WriteFile(s.path("alerts.yml"), rules, 0o600))
	config := fmt.Sprintf("global: {scrape_interval: 1s, evaluation_interval: 1s}\nrule_files: [alerts.yml]\n"+
		"scrape_configs:\n  - job_name: segment-export\n    static_configs: [{targets: [%q]}]\n", strings.TrimPrefix(target, "http://"))
	require.NoError(s.t, os.WriteFile(s.path("prometheus.yml"), []byte(config), 0o600))
	listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // of a test
	require.NoError(s.t, err)
	address := listener.Addr().String()
	require.NoError(s.t, listener.Close())
	c := exec.CommandContext(s.t.Context(), "prometheus", "--config.file="+s.path("prometheus.yml"), "--storage.tsdb.path="+s.path("tsdb"),
		"--web.listen-address="+address, "--log.level=error")
	c.Stderr = os.Stderr
	require.NoError(s.t, c.Start())
	s.t.Cleanup(func() {
		_ = c.Process.Kill()
		_ = c.Wait()
	})
	return "http://" + address
}

// query asks Prometheus and returns how many series answer.
func (s *shop) query(prometheus, expr string) (int, string) {
	s.t.Helper()
	code, body := s.get(prometheus + "/api/v1/query?query=" + url.QueryEscape(expr))
	var answer struct {
		Status string `json:"status"`
		Data   struct {
			Result []struct {
				Metric map[string]string `json:"metric"`
				Value  [2]any            `json:"value"`
			} `json:"result"`
		} `json:"data"`
	}
	require.NoError(s.t, json.Unmarshal([]byte(body), &answer), "%s: %s", expr, body)
	require.Equal(s.t, 200, code, "%s: %s", expr, body)
	require.Equal(s.t, "success", answer.Status)
	return len(answer.Data.Result), fmt.Sprint(answer.Data.Result)
}

// panels returns the queries of the dashboard by panel, with Grafana's
// variables filled in as it would.
func panels(t *testing.T) map[string][]string {
	t.Helper()
	raw, err := os.ReadFile("../../deployments/grafana/dashboard.json")
	require.NoError(t, err)
	var dashboard struct {
		Panels []struct {
			Title   string `json:"title"`
			Targets []struct {
				Expr string `json:"expr"`
			} `json:"targets"`
		} `json:"panels"`
	}
	require.NoError(t, json.Unmarshal(raw, &dashboard))
	fill := strings.NewReplacer("$__rate_interval", "1m", "$export", ".*", "$job", ".*")
	all := map[string][]string{}
	for _, p := range dashboard.Panels {
		for _, target := range p.Targets {
			all[p.Title] = append(all[p.Title], fill.Replace(target.Expr))
		}
	}
	return all
}

// Every panel of the dashboard shows data of a real run that a schedule began
// and a real Prometheus has scraped, no alert fires that should not, and there
// is no metric in dashboard and rules that a worker does not have.
func TestDashboardShowsARealRun(t *testing.T) {
	t.Parallel()
	s := newShop(t, 3000, sandbox.Options{Seed: 5, BatchDelay: 300 * time.Millisecond})
	w := s.worker()
	s.define("--share", "1")
	_, _ = s.run("--yes")
	s.stopWorker(w)
	s.write(3000, synthetic.Variant{Change: 0.5})
	s.ticking(20 * time.Second)
	target := s.openObserved()
	prometheus := s.prometheus(target)
	s.eventually("Prometheus is ready", func() bool {
		r, err := http.Get(prometheus + "/-/ready") //nolint:noctx // of a test, on this machine
		return err == nil && r.Body.Close() == nil && r.StatusCode == http.StatusOK
	})
	s.eventually("Prometheus has scraped a run that a schedule began", func() bool {
		n, _ := s.query(prometheus, `segment_export_runs_ended_total{status=~"completed.*"} > 0`)
		return n == 1
	})
	require.Equal(t, run.BySchedule, s.runs()[1].Trigger)
	all := panels(t)
	require.Greater(t, len(all), 15)
	for title, queries := range all {
		for _, expr := range queries {
			s.eventually("the panel "+title+" shows something: "+expr, func() bool {
				n, _ := s.query(prometheus, expr)
				return n > 0
			})
			n, values := s.query(prometheus, expr)
			t.Logf("%s: %d series %.300s", title, n, values)
		}
	}
	n, firing := s.query(prometheus, `ALERTS{alertstate="firing",alertname!="SegmentExportManyRejects"}`)
	require.Zero(t, n, firing)

	there := s.exposed(target)
	for _, file := range []string{"../../deployments/prometheus/alerts.yml", "../../deployments/grafana/dashboard.json"} {
		content, err := os.ReadFile(file)
		require.NoError(t, err)
		names := regexp.MustCompile(`\b(?:segment_export|temporal|process)_[a-z_]+`).FindAllString(string(content), -1)
		require.NotEmpty(t, names)
		for _, name := range names {
			require.Contains(t, there, name, file)
		}
	}
}

// exposed returns the names that the metrics of a worker have that has met
// everything: those of one that has finished runs, and those of faults and
// of open runs.
func (s *shop) exposed(target string) map[string]bool {
	s.t.Helper()
	troubled := prometheus.NewRegistry()
	metrics.NewWork(troubled).Alert("ops", nil)
	open, err := sqlstore.OpenSQLite(s.t.Context(), s.path("open.db"), sqlstore.Options{})
	require.NoError(s.t, err)
	defer open.Close()
	require.NoError(s.t, open.CreateObject(s.t.Context(), store.Object{Kind: string(catalogue.KindExport), Name: "open", Body: []byte(`{"name":"open"}`)}))
	require.NoError(s.t, open.CreateRun(s.t.Context(), store.Run{ID: "open", Export: "open", Status: string(run.Running), Report: []byte("{}")}))
	troubled.MustRegister(&metrics.State{Store: open, Log: slog.New(slog.DiscardHandler)})
	families, err := troubled.Gather()
	require.NoError(s.t, err)
	there := map[string]bool{}
	for _, f := range families {
		there[f.GetName()] = true
	}
	faulty := sdkworker.New(s.client, "faulty", sdkworker.Options{})
	faulty.RegisterWorkflowWithOptions(func(workflow.Context) error { panic("a fault") }, workflow.RegisterOptions{Name: "Faulty"})
	require.NoError(s.t, faulty.Start())
	defer faulty.Stop()
	_, err = s.client.ExecuteWorkflow(s.t.Context(), client.StartWorkflowOptions{TaskQueue: "faulty", WorkflowExecutionTimeout: time.Minute}, "Faulty")
	require.NoError(s.t, err)
	s.eventually("the fault is counted", func() bool {
		_, scraped := s.get(target + "/metrics")
		for line := range strings.Lines(scraped) {
			there[regexp.MustCompile(`^\w*`).FindString(line)] = true
		}
		return there["temporal_workflow_task_execution_failed_total"]
	})
	return there
}

// Each alert rule fires, and clears, where the cases say so.
func TestAlertRulesFireAndClear(t *testing.T) {
	t.Parallel()
	output, err := exec.CommandContext(t.Context(), "promtool", "test", "rules", "../../deployments/prometheus/alerts_test.yml").CombinedOutput()
	require.NoError(t, err, "%s", output)
	rules, err := os.ReadFile("../../deployments/prometheus/alerts.yml")
	require.NoError(t, err)
	cases, err := os.ReadFile("../../deployments/prometheus/alerts_test.yml")
	require.NoError(t, err)
	names := regexp.MustCompile(`(?m)^      - alert: (\w+)$`).FindAllStringSubmatch(string(rules), -1)
	require.Greater(t, len(names), 10)
	for _, name := range names {
		_, block, found := strings.Cut(string(cases), "  - name: "+name[1]+"\n")
		require.True(t, found, "%s has no case", name[1])
		block, _, _ = strings.Cut(block, "  - name: ")
		fires, clears := strings.LastIndex(block, "exp_alerts: [{"), strings.LastIndex(block, "exp_alerts: []")
		require.Positive(t, fires, "%s never fires", name[1])
		require.Greater(t, clears, fires, "%s never clears", name[1])
	}
}
