// Command bench measures whole exports: an embedded Temporal server, workers
// and the sandbox as processes of their own on this machine, a segment of any
// size, a first run and then refreshes. Beside each run it measures a bare loop
// over the same rows. It prints a table and writes it as JSON.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/urfave/cli/v2"

	"github.com/segment-export/segment-export/internal/segment/synthetic"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	app := &cli.App{
		Name:        "bench",
		Usage:       "measures whole exports against the sandbox",
		Description: "Example:\n  bench --size 1000000 --rpm 400",
		Flags: []cli.Flag{
			&cli.IntFlag{Name: "size", Value: 50_000, Usage: "profiles of the segment"},
			&cli.IntFlag{Name: "rpm", Value: 0, Usage: "calls a minute that the sandbox takes; 0 is no limit"},
			&cli.StringFlag{Name: "store", Value: "sqlite", Usage: "sqlite, or postgres: a cluster in a temporary directory"},
			&cli.IntFlag{Name: "workers", Value: 1, Usage: "worker processes; more than one need --store postgres"},
			&cli.StringFlag{Name: "bin", Value: "bin", Usage: "folder of the built programs"},
			&cli.StringSliceFlag{Name: "fault", Usage: "a fault of the sandbox, NAME=PROBABILITY; with any, contacts are checked and stored"},
			&cli.StringFlag{Name: "json", Value: "bench/result.json", Usage: "file that the figures are written to"},
			&cli.BoolFlag{Name: "first-only", Usage: "no refreshes after the first run"},
		},
		Action: func(c *cli.Context) error { return bench(c.Context, c) },
	}
	if err := app.RunContext(ctx, os.Args); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1) //nolint:gocritic // nothing is left to stop
	}
}

func bench(ctx context.Context, c *cli.Context) (err error) {
	s := setup{bin: c.String("bin"), size: c.Int("size"), rpm: c.Int("rpm"), faults: c.StringSlice("fault"), store: c.String("store"), workers: c.Int("workers")}
	if err := s.check(); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "segment-export-bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if err := enoughDisk(dir, s.size); err != nil {
		return err
	}
	b := &bed{setup: s, dir: dir}
	defer b.stop()
	if err := b.start(ctx); err != nil {
		return err
	}
	var all []figures
	variants := []struct {
		name    string
		variant synthetic.Variant
	}{{"first run", synthetic.Variant{}}, {"nothing changed", synthetic.Variant{}}, {"1 % changed", synthetic.Variant{Change: 0.01}}}
	if c.Bool("first-only") {
		variants = variants[:1]
	}
	for _, v := range variants {
		if err := b.generate(v.variant); err != nil {
			return err
		}
		f, err := b.measure(ctx, v.name)
		if err != nil {
			return err
		}
		all = append(all, f)
	}
	show(os.Stdout, s, all)
	return save(c.String("json"), all)
}
