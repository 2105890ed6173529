package omnisend

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// flaky answers its first calls with an error.
type flaky struct {
	API
	errs  []error
	calls int
}

func (f *flaky) next() error {
	f.calls++
	if f.calls > len(f.errs) {
		return nil
	}
	return f.errs[f.calls-1]
}

func (f *flaky) ListBatches(context.Context, ListQuery) (BatchPage, error) {
	return BatchPage{}, f.next()
}

func (f *flaky) CreateBatch(context.Context, string, [][]byte) (string, error) { return "", f.next() }

func TestReadsAreMadeAgainAfterPassingFaultsOnly(t *testing.T) {
	retry, wait := &Error{Class: Retry}, &Error{Class: Wait}
	for name, tc := range map[string]struct {
		errs  []error
		calls int
		err   error
	}{
		"all well":      {nil, 1, nil},
		"it passes":     {[]error{retry, retry}, 3, nil},
		"it stays":      {[]error{retry, retry, retry, retry, retry}, readTries, retry},
		"a wait is not": {[]error{wait}, 1, wait},
		"nor after one": {[]error{retry, wait}, 2, wait},
	} {
		t.Run(name, func(t *testing.T) {
			f := &flaky{errs: tc.errs}
			_, err := (&retrying{API: f, pause: func(context.Context, time.Duration) {}}).ListBatches(t.Context(), ListQuery{})
			require.Equal(t, tc.err, err)
			require.Equal(t, tc.calls, f.calls)
		})
	}
	f := &flaky{errs: []error{retry}}
	_, err := RetryReads(f).CreateBatch(t.Context(), "", nil)
	require.Equal(t, error(retry), err)

	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	f = &flaky{errs: []error{retry, retry}}
	_, err = RetryReads(f).ListBatches(canceled, ListQuery{})
	require.Equal(t, error(retry), err)
	require.Equal(t, 1, f.calls)
}
