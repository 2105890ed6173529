package service

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/urfave/cli/v2"
)

func TestShortUsage(t *testing.T) {
	for name, tt := range map[string]struct {
		args []string
		want string
	}{
		"a slip":            {[]string{"--sandbx"}, "there is no option --sandbx; did you mean --sandbox?"},
		"nothing like it":   {[]string{"--zzzzzzzz"}, "there is no option --zzzzzzzz (see --help)"},
		"of a command":      {[]string{"run", "--dta"}, "there is no option --dta; did you mean --data?"},
		"of a subcommand":   {[]string{"run", "now", "--tme", "1"}, "there is no option --tme; did you mean --time?"},
		"a value too short": {[]string{"--port", "x"}, `invalid value "x" for flag -port: parse error (see --help)`},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			app := ShortUsage(&cli.App{Name: "x", Writer: &out, ErrWriter: &out,
				Flags: []cli.Flag{&cli.BoolFlag{Name: "sandbox"}, &cli.IntFlag{Name: "port"}},
				Commands: []*cli.Command{{Name: "run", Flags: []cli.Flag{&cli.StringFlag{Name: "data"}}, Action: func(*cli.Context) error { return nil },
					Subcommands: []*cli.Command{{Name: "now", Flags: []cli.Flag{&cli.StringFlag{Name: "time"}}}}}}})
			require.EqualError(t, app.Run(append([]string{"x"}, tt.args...)), tt.want)
			require.Empty(t, out.String(), "not the whole help")
		})
	}
}
