package files

import (
	"context"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/segment-export/segment-export/internal/segment/files/tree"
	"github.com/segment-export/segment-export/internal/segment/segmenttest"
)

// road leads to a service, and breaks on demand: for what is read of
// objects, not for what is asked about them.
type road struct {
	*httptest.Server

	to    string
	fault atomic.Pointer[segmenttest.Fault]
}

func newRoad(t testing.TB, endpoint string) *road {
	t.Helper()
	target, err := url.Parse(endpoint)
	require.NoError(t, err)
	target.Path = ""
	r := &road{to: target.String()}
	carry := &httputil.ReverseProxy{
		Rewrite: func(p *httputil.ProxyRequest) {
			p.SetURL(target)
			p.Out.Host = p.In.Host // it is signed
		},
		ModifyResponse: func(answer *http.Response) error {
			if r.now() != segmenttest.Cut || !ranged(answer.Request) {
				return nil
			}
			if answer.ContentLength < 4<<10 { // some libraries ask for the rest
				return http.ErrAbortHandler
			}
			answer.Body = cutShort{io.LimitReader(answer.Body, answer.ContentLength/4), answer.Body}
			return nil
		},
		ErrorHandler: func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
	}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		if r.now() == segmenttest.Silent && ranged(request) {
			<-request.Context().Done()
			return
		}
		carry.ServeHTTP(w, request)
	}))
	t.Cleanup(r.Close)
	return r
}

func (r *road) now() segmenttest.Fault {
	if f := r.fault.Load(); f != nil {
		return *f
	}
	return ""
}

func ranged(r *http.Request) bool { return r.Header.Get("Range")+r.Header.Get("X-Ms-Range") != "" }

type cutShort struct {
	io.Reader
	io.Closer
}

// inRanges reads files a little at a time.
type inRanges struct {
	tree.Tree

	chunk int
}

func (r inRanges) Open(ctx context.Context, f tree.File) (tree.Content, error) {
	content, err := r.Tree.Open(ctx, f)
	return rangedContent{content, r.chunk}, err
}

type rangedContent struct {
	tree.Content

	chunk int
}

func (c rangedContent) Chunk() int { return c.chunk }

// cutOff makes all files in the folder half as long, in place, as when what
// copies them begins to copy them again; restored, they are what they were.
func (f *folder) cutOff(t *testing.T) (begin, mend func()) {
	t.Helper()
	type file struct {
		path    string
		content []byte
		info    fs.FileInfo
	}
	var all []file
	require.NoError(t, filepath.WalkDir(f.dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		content, err := os.ReadFile(path)
		require.NoError(t, err)
		info, err := entry.Info()
		all = append(all, file{path, content, info})
		return err
	}))
	begin = func() {
		for _, one := range all {
			require.NoError(t, os.Truncate(one.path, int64(len(one.content)/2)))
		}
	}
	mend = func() {
		for _, one := range all {
			require.NoError(t, os.WriteFile(one.path, one.content, 0o600))
			require.NoError(t, os.Chtimes(one.path, one.info.ModTime(), one.info.ModTime()))
		}
	}
	return begin, mend
}
