package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"time"

	"go.temporal.io/api/workflowservice/v1"

	"github.com/segment-export/segment-export/internal/omnisend/sandbox"
	"github.com/segment-export/segment-export/internal/run"
)

// figures are what one run took.
type figures struct {
	Run        string     `json:"run"`
	Seconds    float64    `json:"seconds"`
	PerSecond  float64    `json:"profiles_per_second"`
	Report     run.Report `json:"report"`
	Uploads    int        `json:"upload_calls"`
	OtherCalls int        `json:"other_calls"` // lists, items, brand: everything that is no upload
	Refused    int        `json:"calls_429"`
	Bytes      int64      `json:"bytes"`
	PeakWindow int        `json:"peak_calls_in_60_s"`
	Events     int64      `json:"history_events"`
	PeakMiB    float64    `json:"worker_peak_mib"` // of the worker that had most
	WorkerCPU  float64    `json:"worker_cpu_seconds"`
	ServerCPU  float64    `json:"server_cpu_seconds"`
	SandboxCPU float64    `json:"sandbox_cpu_seconds"`
	StoreBytes int64      `json:"store_bytes"`
	PeakStore  int64      `json:"store_peak_bytes"` // while it ran
	// Of the bare loop over the same rows, right before; zero with a limit of calls.
	BareSeconds float64 `json:"bare_seconds"`
	BareCPU     float64 `json:"bare_cpu_seconds"`
}

// micros is the worker's processor time for each profile in microseconds.
func (f figures) micros() float64 { return 1e6 * f.WorkerCPU / float64(max(f.Report.Read, 1)) }

// ofBare is the run's speed as a share of the bare loop's; zero without one.
func (f figures) ofBare() float64 { return f.BareSeconds / f.Seconds }

func (b *bed) measure(ctx context.Context, name string) (figures, error) {
	f := figures{Run: name}
	if b.rpm == 0 && len(b.faults) == 0 {
		before, from := cpu(os.Getpid()), time.Now()
		if err := bare(ctx, b.rows(), b.api); err != nil {
			return f, err
		}
		f.BareSeconds, f.BareCPU = time.Since(from).Seconds(), cpu(os.Getpid())-before
		var err error
		if b.last, err = b.stats(ctx); err != nil {
			return f, err
		}
	}
	worker, server, box := b.workerCPU(), cpu(os.Getpid()), cpu(b.sandbox.Process.Pid)
	watched, peak := context.WithCancel(ctx)
	most := make(chan int64, 1)
	go func() { most <- b.mostStored(watched) }()
	err := b.starter(ctx, &f.Report, "run", "bench", "--yes")
	peak()
	f.PeakStore = <-most
	if err != nil {
		return f, err
	}
	f.WorkerCPU, f.ServerCPU, f.SandboxCPU = b.workerCPU()-worker, cpu(os.Getpid())-server, cpu(b.sandbox.Process.Pid)-box
	if err := f.Report.Check(); err != nil {
		return f, err
	}
	if f.Report.Status != run.Completed && f.Report.Status != run.CompletedWithRejects {
		return f, fmt.Errorf("%s ended as %s: %s", name, f.Report.Status, f.Report.Reason)
	}
	f.Seconds = f.Report.EndedAt.Sub(f.Report.StartedAt).Seconds()
	f.PerSecond = float64(f.Report.Read) / f.Seconds
	stats, err := b.stats(ctx)
	if err != nil {
		return f, err
	}
	f.Uploads = stats.Route("POST /batches") - b.last.Route("POST /batches")
	f.OtherCalls = stats.Total() - b.last.Total() - f.Uploads
	f.Refused, f.Bytes, f.PeakWindow = stats.TooMany-b.last.TooMany, stats.Bytes-b.last.Bytes, stats.Peak
	b.last = stats
	each(b.running, func(pid int) { f.PeakMiB = max(f.PeakMiB, peakMiB(pid)) })
	if f.StoreBytes, err = b.stored(ctx); err != nil {
		return f, err
	}
	f.PeakStore = max(f.PeakStore, f.StoreBytes)
	f.Events, err = b.events(ctx, f.Report.StartedAt)
	return f, err
}

func each(processes []*exec.Cmd, do func(pid int)) {
	for _, p := range processes {
		do(p.Process.Pid)
	}
}

func (b *bed) workerCPU() (sum float64) {
	each(b.running, func(pid int) { sum += cpu(pid) })
	return sum
}

func (b *bed) stats(ctx context.Context) (sandbox.Stats, error) {
	var s sandbox.Stats
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(b.api, "/api")+"/sandbox/stats?brand=sandbox", nil)
	if err != nil {
		return s, err
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return s, err
	}
	defer answer.Body.Close()
	return s, json.NewDecoder(answer.Body).Decode(&s)
}

// events counts the history of the run's workflow, continued runs included.
func (b *bed) events(ctx context.Context, since time.Time) (int64, error) {
	var sum int64
	list, err := b.client.ListWorkflow(ctx, &workflowservice.ListWorkflowExecutionsRequest{
		Query: fmt.Sprintf("WorkflowId = 'export/bench' AND StartTime >= '%s'", since.Add(-2*time.Second).Format(time.RFC3339)),
	})
	if err != nil {
		return 0, err
	}
	for _, e := range list.GetExecutions() {
		d, err := b.client.DescribeWorkflowExecution(ctx, e.GetExecution().GetWorkflowId(), e.GetExecution().GetRunId())
		if err != nil {
			return 0, err
		}
		sum += d.GetWorkflowExecutionInfo().GetHistoryLength()
	}
	return sum, nil
}
