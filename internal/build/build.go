// Package build says which build of the project this is.
package build

import (
	"fmt"
	"runtime/debug"
)

// What the linker sets for a release: see the Makefile. Empty otherwise.
var version, commit, date string

// Version returns the version, the commit and the date of the build, as far as
// they are known: "v1.2.0 (commit 3f2c1a9, 2026-11-28)".
func Version() string {
	v, c, d := version, commit, date
	if info, ok := debug.ReadBuildInfo(); ok {
		if v == "" {
			v = info.Main.Version
		}
		for _, s := range info.Settings {
			switch {
			case s.Key == "vcs.revision" && c == "":
				c = s.Value
			case s.Key == "vcs.time" && d == "":
				d = s.Value
			}
		}
	}
	if v == "" {
		v = "unknown"
	}
	if c == "" || d == "" {
		return v
	}
	return fmt.Sprintf("%s (commit %s, %s)", v, c, d)
}
