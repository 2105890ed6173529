package cli

import (
	"fmt"
	"maps"
	"slices"

	"github.com/urfave/cli/v2"

	"github.com/segment-export/segment-export/internal/manifest"
)

func (s *session) configCommand() *cli.Command {
	return s.leaf("", leaf{
		name: "config", usage: "print the whole configuration as a file that apply takes",
		detail: `Sources, connections, exports, schedules, the system refresh and alerts, as YAML. It holds no secret: keys and
credentials that the worker stores are "stored", and the destination of an alert is left out. Applied to the same
installation the file changes nothing.`,
		example: "starter config > segment-export.yaml\nstarter diff -f segment-export.yaml --exit-code",
		do:      s.config,
	})
}

func (s *session) config(c *cli.Context) error {
	var all []manifest.Document
	for _, kind := range manifest.Kinds {
		found, err := s.stored(c.Context, kind)
		if err != nil {
			return err
		}
		for _, name := range slices.Sorted(maps.Keys(found)) {
			d, err := manifest.Of(kind, found[name])
			if err != nil {
				return err
			}
			all = append(all, d)
		}
	}
	text, err := documentsYAML(all)
	if err == nil {
		_, err = fmt.Fprintf(s.o.Out, "# yaml-language-server: $schema=configuration.schema.json\n%s", text)
	}
	return err
}
