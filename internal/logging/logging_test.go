package logging_test

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/segment-export/segment-export/internal/logging"
)

func TestLinesCarryTheAttributesOfTheirContext(t *testing.T) {
	var out bytes.Buffer
	log, err := logging.New(&out, "json", "info")
	require.NoError(t, err)
	ctx := logging.With(t.Context(), slog.String("export", "spring"))
	ctx = logging.With(ctx, slog.String("run", "r1"))
	log.With("worker", 1).InfoContext(ctx, "said", "run", "its own")
	log.DebugContext(ctx, "not said")
	var line map[string]any
	require.NoError(t, json.Unmarshal(out.Bytes(), &line))
	delete(line, "time")
	require.Equal(t, map[string]any{"level": "INFO", "msg": "said", "worker": 1.0, "run": "its own", "export": "spring"}, line)

	out.Reset()
	log, err = logging.New(&out, "text", "warn")
	require.NoError(t, err)
	log.WarnContext(ctx, "said")
	require.Regexp(t, `^time=\S+Z level=WARN msg=said export=spring run=r1\n$`, out.String())
}

func TestUnknownFormatsAndLevelsAreRefused(t *testing.T) {
	_, err := logging.New(nil, "xml", "info")
	require.ErrorContains(t, err, "text or json")
	_, err = logging.New(nil, "text", "loud")
	require.ErrorContains(t, err, "debug, info, warn or error")
}
