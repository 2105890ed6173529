package embedded

import (
	"context"
	"log/slog"
	"os"
	"strings"
	"sync/atomic"

	"go.temporal.io/server/common/log"
	"go.temporal.io/server/common/log/tag"
)

// serverLogger passes the server's lines on to slog from level warn; below it the server writes hundreds at each start.
// A server that stops warns of each of its own connections as it goes: those lines are of level debug.
type serverLogger struct {
	slog     *slog.Logger
	stopping *atomic.Bool
}

var (
	_ log.Logger     = serverLogger{}
	_ log.WithLogger = serverLogger{}
)

// Debug drops the line.
func (serverLogger) Debug(string, ...tag.Tag) {}

// Info drops the line.
func (serverLogger) Info(string, ...tag.Tag) {}

// Warn passes the line on, but for one: that the HTTP API has no port is on purpose (any web page could call it).
func (l serverLogger) Warn(msg string, tags ...tag.Tag) {
	if !strings.HasPrefix(msg, "HTTP API port has not been set") {
		l.log(slog.LevelWarn, msg, tags)
	}
}

// Error passes the line on.
func (l serverLogger) Error(msg string, tags ...tag.Tag) { l.log(slog.LevelError, msg, tags) }

// DPanic passes the line on: it panics in development only.
func (l serverLogger) DPanic(msg string, tags ...tag.Tag) { l.log(slog.LevelError, msg, tags) }

// With returns a logger that adds the tags to each line.
func (l serverLogger) With(tags ...tag.Tag) log.Logger {
	return serverLogger{l.slog.With(attrs(tags)...), l.stopping}
}

// Panic passes the line on and panics.
func (l serverLogger) Panic(msg string, tags ...tag.Tag) {
	l.write(slog.LevelError, msg, tags)
	panic(msg)
}

// Fatal passes the line on and ends the process: the server's code counts on it not to return.
func (l serverLogger) Fatal(msg string, tags ...tag.Tag) {
	l.write(slog.LevelError, msg, tags)
	os.Exit(1)
}

func (l serverLogger) log(level slog.Level, msg string, tags []tag.Tag) {
	if l.stopping.Load() {
		level = slog.LevelDebug
	}
	l.write(level, msg, tags)
}

func (l serverLogger) write(level slog.Level, msg string, tags []tag.Tag) {
	l.slog.Log(context.Background(), level, "temporal server: "+msg, attrs(tags)...)
}

func attrs(tags []tag.Tag) []any {
	out := make([]any, len(tags))
	for i, t := range tags {
		out[i] = slog.Any(t.Key(), t.Value())
	}
	return out
}
