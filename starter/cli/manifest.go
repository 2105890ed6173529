package cli

import (
	"github.com/urfave/cli/v2"

	"github.com/segment-export/segment-export/internal/catalogue"
	"github.com/segment-export/segment-export/internal/command"
	"github.com/segment-export/segment-export/internal/manifest"
)

// showObject shows an object of the catalogue: in YAML as the document that
// apply takes, else as show does.
func showObject[T any](c *cli.Context, s *session, kind catalogue.Kind, text func(*page, T)) error {
	named := command.Named{Name: c.Args().First()}
	name := string(kind) + " show"
	if s.format != formatYAML {
		return show(c, s, name, named, text)
	}
	raw, err := s.call(c.Context, order{name: name, args: named, object: named.Name})
	if err != nil {
		return err
	}
	d, err := manifest.Of(kind, raw)
	if err != nil {
		return decode(raw, &d)
	}
	return s.print(d.JSON(), nil)
}
