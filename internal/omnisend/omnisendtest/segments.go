package omnisendtest

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/segment-export/segment-export/internal/omnisend"
	"github.com/segment-export/segment-export/internal/omnisend/sandbox"
)

func suiteSegments(t *testing.T, start starter) {
	x := start(t, sandbox.Options{CallsPerMinute: 400})
	first, made, err := omnisend.EnsureSegment(t.Context(), x.API, "Frühling <1> \"a\"", "segment_spring")
	require.NoError(t, err)
	require.True(t, made)
	require.NotEmpty(t, first.ID)
	again, made, err := omnisend.EnsureSegment(t.Context(), x.API, "another name", "segment_spring")
	require.NoError(t, err)
	require.False(t, made, "there is one with this rule")
	require.Equal(t, first, again)
	require.Len(t, x.Sandbox.Segments(Brand), 1)
	require.Equal(t, "Frühling <1> \"a\"", x.Sandbox.Segments(Brand)[0].Name)

	_, err = x.API.CreateSegment(t.Context(), strings.Repeat("x", omnisend.MaxSegmentName+1), "m")
	require.Equal(t, omnisend.Fail, omnisend.ClassOf(err))
	_, err = x.API.CreateSegment(t.Context(), "no property", "not a name")
	RequireError(t, err, omnisend.Fail, 400)

	for i := range 14 {
		_, err := x.API.CreateSegment(t.Context(), fmt.Sprint("segment ", i), fmt.Sprint("m", i))
		require.NoError(t, err)
	}
	_, err = x.API.CreateSegment(t.Context(), "one too many in a minute", "m")
	RequireError(t, err, omnisend.Wait, 429)
	x.Clock.Advance(time.Minute)
	for i := range 60 {
		x.Clock.Advance(5 * time.Second)
		_, err := x.API.CreateSegment(t.Context(), fmt.Sprint("later ", i), fmt.Sprint("l", i))
		require.NoError(t, err)
	}
	found, made, err := omnisend.EnsureSegment(t.Context(), x.API, "x", "segment_spring")
	require.NoError(t, err)
	require.Equal(t, first, found, "it is on the second page")
	require.False(t, made)

	require.NoError(t, x.Sandbox.SetKey(sandbox.Key{Key: Key, Brand: Brand, Permissions: []string{sandbox.ContactsRead, sandbox.ContactsWrite}}))
	_, _, err = omnisend.EnsureSegment(t.Context(), x.API, "x", "other")
	RequireError(t, err, omnisend.Park, 403)
	require.NoError(t, x.Sandbox.SetKey(sandbox.Key{Key: Key, Brand: Brand, Permissions: []string{sandbox.SegmentsWrite}}))
	_, made, err = omnisend.EnsureSegment(t.Context(), x.API, "x", "other")
	require.NoError(t, err, "who may make segments need not be allowed to read them")
	require.True(t, made)
}
