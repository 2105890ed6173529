package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime"

	"github.com/jedib0t/go-pretty/v6/table"
)

func show(out io.Writer, s setup, all []figures) {
	t := table.NewWriter()
	t.SetStyle(table.StyleLight)
	t.SetOutputMirror(out)
	t.AppendHeader(table.Row{"run", "profiles", "seconds", "profiles/s", "bare loop s", "of its speed", "worker CPU µs/profile", "bare µs", "worker MiB", "upload calls", "other calls",
		"429", "peak/60 s", "MB sent", "events", "CPU s worker", "server", "sandbox", "store MB", "peak MB"})
	one := func(v float64) string { return fmt.Sprintf("%.1f", v) }
	for _, f := range all {
		loop, share, micros := "", "", ""
		if f.BareSeconds > 0 {
			loop, share, micros = one(f.BareSeconds), fmt.Sprintf("%.2f", f.ofBare()), one(1e6*f.BareCPU/float64(max(f.Report.Read, 1)))
		}
		t.AppendRow(table.Row{f.Run, f.Report.Read, one(f.Seconds), fmt.Sprintf("%.0f", f.PerSecond), loop, share, one(f.micros()), micros, fmt.Sprintf("%.0f", f.PeakMiB),
			f.Uploads, f.OtherCalls, f.Refused, f.PeakWindow, f.Bytes / 1_000_000, f.Events, one(f.WorkerCPU), one(f.ServerCPU), one(f.SandboxCPU),
			f.StoreBytes / 1_000_000, f.PeakStore / 1_000_000})
	}
	t.Render()
	fmt.Fprintf(out, "%d profiles, %d calls a minute (0: no limit), store %s, workers %d, %s/%s, %d CPUs, %s\n", s.size, s.rpm, s.store, s.workers,
		runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), runtime.Version())
}

func save(path string, all []figures) error {
	data, err := json.MarshalIndent(all, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(data, '\n'), 0o600)
}
