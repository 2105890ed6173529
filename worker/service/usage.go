package service

import (
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/segment-export/segment-export/internal/spelling"
)

// ShortUsage makes the app and all its commands answer an option that is wrong
// with one line in place of their whole help. It returns the app.
func ShortUsage(app *cli.App) *cli.App {
	app.OnUsageError = usageError(app.Flags)
	var set func([]*cli.Command)
	set = func(commands []*cli.Command) {
		for _, c := range commands {
			c.OnUsageError = usageError(c.Flags)
			set(c.Subcommands)
		}
	}
	set(app.Commands)
	return app
}

// notDefined is how the library begins to say that an option does not exist.
const notDefined = "flag provided but not defined: -"

func usageError(flags []cli.Flag) cli.OnUsageErrorFunc {
	return func(_ *cli.Context, err error, _ bool) error {
		name, unknown := strings.CutPrefix(err.Error(), notDefined)
		if !unknown {
			return fmt.Errorf("%w (see --help)", err)
		}
		name = strings.TrimLeft(name, "-")
		var names []string
		for _, f := range flags {
			names = append(names, f.Names()...)
		}
		if near := spelling.Nearest(name, names); near != "" {
			return fmt.Errorf("there is no option --%s; did you mean --%s?", name, near)
		}
		return fmt.Errorf("there is no option --%s (see --help)", name)
	}
}
