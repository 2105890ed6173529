// Starter is the command line of Segment Export: it plans, starts, watches and
// repairs exports through a Temporal namespace, and needs nothing but its
// address and who you are.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"go.temporal.io/sdk/contrib/envconfig"

	"github.com/segment-export/segment-export/starter/cli"
)

func main() {
	os.Exit(run())
}

func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	// A second signal ends the program at once.
	context.AfterFunc(ctx, stop)
	return cli.Run(ctx, cli.FromSystem(os.Args[1:], envconfig.EnvLookupOS))
}
