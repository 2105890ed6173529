package files

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"path"
	"testing"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"
	"github.com/stretchr/testify/require"
)

// s3Disk is a bucket of an in-process imitation of S3, which has no logins and
// does not know If-Match on reads: that is added here, as S3 documents it.
type s3Disk struct {
	backend  gofakes3.Backend
	endpoint string
}

const s3Key = `{"access_key_id": "id", "secret_access_key": "not-so-secret-key"}`

func newS3Disk(t testing.TB) *s3Disk {
	t.Helper()
	backend := s3mem.New()
	require.NoError(t, backend.CreateBucket("people"))
	inner := gofakes3.New(backend).Server()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if condition := r.Header.Get("If-Match"); condition != "" && r.Method == http.MethodGet {
			head := r.Clone(r.Context())
			head.Method = http.MethodHead
			head.Header.Del("Range")
			answer := httptest.NewRecorder()
			inner.ServeHTTP(answer, head)
			if answer.Code == http.StatusOK && answer.Header().Get("ETag") != condition {
				w.Header().Set("Content-Type", "application/xml")
				w.WriteHeader(http.StatusPreconditionFailed)
				_, _ = w.Write([]byte(`<Error><Code>PreconditionFailed</Code><Message>At least one of the pre-conditions you specified did not hold</Message></Error>`))
				return
			}
		}
		inner.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	return &s3Disk{backend: backend, endpoint: server.URL}
}

func (d *s3Disk) put(t testing.TB, name string, data []byte) {
	t.Helper()
	_, err := d.backend.PutObject("people", "some/where/"+name, nil, bytes.NewReader(data), int64(len(data)), nil)
	require.NoError(t, err)
}

func (d *s3Disk) settings(c Config) (Config, []byte) {
	c.URL, c.Endpoint, c.Path = "s3://people/"+path.Join("some/where", c.Path), d.endpoint, ""
	return c, []byte(s3Key)
}

func (d *s3Disk) read(t testing.TB, c Config) *Source { return readBucket(t, d, c) }
