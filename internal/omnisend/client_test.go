package omnisend

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const secret = "5f-very-secret"

func TestKeyIsHidden(t *testing.T) {
	key := Key(secret)
	c, err := New(Options{Key: key})
	require.NoError(t, err)
	var out bytes.Buffer
	log := slog.New(slog.NewJSONHandler(&out, nil))
	log.Info("x", "key", key, "options", Options{Key: key}, "client", c)
	slog.New(slog.NewTextHandler(&out, nil)).Info("x", "key", key, "options", Options{Key: key}, "client", c)
	for _, v := range []any{key, &key, Options{Key: key}, map[string]Key{"x": key}, c, *c, []Key{key}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
			fmt.Fprintf(&out, verb, v)
		}
		if raw, err := json.Marshal(v); err == nil {
			out.Write(raw)
		}
	}
	require.NotContains(t, out.String(), secret)
	require.NotContains(t, out.String(), fmt.Sprintf("%x", secret))
}

func TestNew(t *testing.T) {
	for base, ok := range map[string]bool{
		"": true, "https://api.omnisend.com/api": true, "https://proxy.example/omnisend/api/": true,
		"http://127.0.0.1:9900/api": true, "http://localhost/api": true, "http://[::1]:1/api": true,
		"http://api.omnisend.com/api": false, "http://10.0.0.1/api": false, "ftp://127.0.0.1/": false, "api.omnisend.com": false,
		"https://user:password@api.omnisend.com/api": false, "https://api.omnisend.com/api?x=1": false, "https://": false, "https://a b": false,
		"http://localhost.example.com/api": false,
	} {
		_, err := New(Options{BaseURL: base, Key: "k"})
		require.Equal(t, ok, err == nil, base)
		if err != nil {
			require.NotContains(t, err.Error(), "password")
		}
	}
	for _, key := range []Key{"", "a b", "a\nb", "ä"} {
		_, err := New(Options{Key: key})
		require.Error(t, err)
		require.NotContains(t, err.Error(), "a b")
	}
	require.False(t, IsLoopback(DefaultURL))
	require.False(t, IsLoopback("::"))
}

func serve(t *testing.T, handler http.HandlerFunc) *Client {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	c, err := New(Options{BaseURL: server.URL + "/api/", Key: secret})
	require.NoError(t, err)
	t.Cleanup(c.CloseIdle)
	return c
}

func TestBatchBody(t *testing.T) {
	body := batchBody(`a"b`, [][]byte{[]byte(`{"x":1}`), []byte(`{"y":2}`)})
	require.JSONEq(t, `{"endpoint":"contacts","method":"POST","origin":"a\"b","items":[{"x":1},{"y":2}]}`, string(body))
	require.LessOrEqual(t, cap(body)-len(body), 64)
}

func TestCreateBatchRefusesWithoutARequest(t *testing.T) {
	c := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("a request was made") })
	item := []byte(`{}`)
	for _, tc := range []struct {
		items [][]byte
		class Class
	}{
		{nil, Fail},
		{slicesOf(item, MaxItems+1), Fail},
		{slicesOf(bytes.Repeat([]byte(" "), MaxBody/2), 2), Split},
	} {
		_, err := c.CreateBatch(t.Context(), "o", tc.items)
		require.Equal(t, tc.class, ClassOf(err))
	}
	_, err := c.Batch(t.Context(), "")
	require.Equal(t, Fail, ClassOf(err))
	_, err = c.ListBatches(t.Context(), ListQuery{Limit: MaxListed + 1})
	require.Equal(t, Fail, ClassOf(err))
}

func slicesOf(item []byte, n int) [][]byte {
	out := make([][]byte, n)
	for i := range out {
		out[i] = item
	}
	return out
}

func TestAnswersThatAreNotWhatTheContractSays(t *testing.T) {
	for _, body := range []string{`{}`, `{"batchID":"","brandID":""}`, `{"batchID":5,"brandID":5,"batches":5,"contacts":5}`, `{"batchID":"another"}`} {
		c := serve(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, body) })
		check := func(err error) {
			t.Helper()
			require.Equal(t, Retry, ClassOf(err))
			require.ErrorIs(t, err, errShape)
		}
		_, err := c.CurrentBrand(t.Context())
		check(err)
		_, err = c.Batch(t.Context(), "id")
		check(err)
		_, err = c.BatchItems(t.Context(), "id")
		check(err)
		_, err = c.ListBatches(t.Context(), ListQuery{})
		check(err)
		_, _, err = c.ContactByEmail(t.Context(), "a@example.com")
		check(err)
		if !strings.Contains(body, "another") {
			_, err = c.CreateBatch(t.Context(), "o", [][]byte{[]byte(`{}`)})
			check(err)
			require.True(t, asError(t, err).Unanswered)
		}
	}
}

func asError(t *testing.T, err error) *Error {
	t.Helper()
	var e *Error
	require.ErrorAs(t, err, &e)
	return e
}

func TestAnswerTooLong(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`{"brandID":"x","name":"`))
		_, _ = w.Write(bytes.Repeat([]byte("a"), maxAnswer))
	})
	_, err := c.CurrentBrand(t.Context())
	require.ErrorIs(t, err, errTooLong)
	require.Equal(t, Retry, ClassOf(err))
}

func TestRedirectIsNotFollowed(t *testing.T) {
	calls := 0
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		calls++
		http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
	})
	_, err := c.CreateBatch(t.Context(), "o", [][]byte{[]byte(`{}`)})
	require.Equal(t, 307, asError(t, err).Status)
	require.Equal(t, 1, calls)
}

func TestTimeout(t *testing.T) {
	release := make(chan struct{})
	c := serve(t, func(http.ResponseWriter, *http.Request) { <-release })
	t.Cleanup(func() { close(release) })
	c.timeout = time.Millisecond
	_, err := c.CreateBatch(t.Context(), "o", [][]byte{[]byte(`{}`)})
	require.Equal(t, Retry, asError(t, err).Class)
	require.NotErrorIs(t, err, context.DeadlineExceeded, "the caller's context has not ended")
	require.Contains(t, err.Error(), "within 1ms")
}

func TestRefusedConnectionWasNotSent(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, l.Close())
	c, err := New(Options{BaseURL: "http://" + l.Addr().String(), Key: secret})
	require.NoError(t, err)
	_, err = c.CreateBatch(t.Context(), "o", [][]byte{[]byte(`{}`)})
	e := asError(t, err)
	require.Equal(t, Retry, e.Class)
	require.False(t, e.Unanswered)
	require.Contains(t, err.Error(), "connection refused")
}

// A transport that tells nothing about its connections may have sent it.
type failing struct{ err error }

func (f failing) RoundTrip(*http.Request) (*http.Response, error) { return nil, f.err }

func TestTransportErrorsAreSafe(t *testing.T) {
	c, err := New(Options{Key: secret, Transport: failing{errors.New(`malformed HTTP response "jane@example.com"`)}})
	require.NoError(t, err)
	_, _, err = c.ContactByEmail(t.Context(), "jane@example.com")
	require.NotContains(t, err.Error(), "jane")
	require.NotContains(t, fmt.Sprintf("%+v %#v", err, asError(t, err).Cause.Error()), "jane")
	_, err = c.CreateBatch(t.Context(), "o", [][]byte{[]byte(`{}`)})
	require.True(t, asError(t, err).Unanswered)
}

func TestBatchWithOddDates(t *testing.T) {
	var b Batch
	require.NoError(t, json.Unmarshal([]byte(`{"batchID":"x","status":"finished","createdAt":"2026-09-20T10:00:00.123Z","startedAt":"","endedAt":null,"totalCount":3}`), &b))
	require.Equal(t, "x", b.ID)
	require.Equal(t, 3, b.TotalCount)
	require.True(t, b.Status.Ended())
	require.Equal(t, time.Date(2026, 9, 20, 10, 0, 0, 123e6, time.UTC), b.CreatedAt.UTC())
	require.True(t, b.StartedAt.IsZero() && b.EndedAt.IsZero())
	require.Error(t, json.Unmarshal([]byte(`{"totalCount":"x"}`), &b))
}
