package cli

import (
	"github.com/urfave/cli/v2"

	"github.com/segment-export/segment-export/internal/catalogue"
	"github.com/segment-export/segment-export/internal/manifest"
	"github.com/segment-export/segment-export/internal/protocol"
)

// showObject shows an object of the catalogue: in YAML as the document that
// apply takes, else as show does.
func showObject[T any](c *cli.Context, s *session, kind catalogue.Kind, text func(*page, T)) error {
	named := protocol.Named{Name: c.Args().First()}
	if s.format == formatYAML {
		return s.showDocument(c, kind, named)
	}
	return show(c, s, string(kind)+" show", named, text)
}

// showDocument prints the document of an object.
func (s *session) showDocument(c *cli.Context, kind catalogue.Kind, args any) error {
	raw, err := s.call(c.Context, order{name: string(kind) + " show", args: args, object: c.Args().First()})
	if err != nil {
		return err
	}
	d, err := manifest.Of(kind, raw)
	if err != nil {
		return fail(protocol.ErrFailed, "the worker's answer cannot be read; starter and worker may be of different releases: %v", err)
	}
	return s.print(d.JSON(), nil)
}
