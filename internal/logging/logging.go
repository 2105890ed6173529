// Package logging makes the programs' logger: one line an event on stderr, as
// text or JSON, with times in UTC. Nothing personal is ever logged.
package logging

import (
	"fmt"
	"io"
	"log/slog"
)

// New returns a logger of the given format (text or json) and level (debug,
// info, warn or error).
func New(w io.Writer, format, level string) (*slog.Logger, error) {
	var l slog.Level
	if err := l.UnmarshalText([]byte(level)); err != nil {
		return nil, fmt.Errorf("--log-level %q is not debug, info, warn or error", level)
	}
	o := &slog.HandlerOptions{Level: l, ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey && len(groups) == 0 {
			a.Value = slog.TimeValue(a.Value.Time().UTC())
		}
		return a
	}}
	switch format {
	case "text":
		return slog.New(handler{slog.NewTextHandler(w, o)}), nil
	case "json":
		return slog.New(handler{slog.NewJSONHandler(w, o)}), nil
	}
	return nil, fmt.Errorf("--log-format %q is not text or json", format)
}
