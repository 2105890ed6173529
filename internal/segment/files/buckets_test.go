package files

import (
	"net"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/sas"
	"github.com/stretchr/testify/require"

	"github.com/segment-export/segment-export/internal/segment"
	"github.com/segment-export/segment-export/internal/segment/files/azuritetest"
	"github.com/segment-export/segment-export/internal/segment/segmenttest"
)

// signed makes a shared access signature of a container.
func signed(t *testing.T, c *azuritetest.Container, permissions sas.ContainerPermissions, expires time.Time) string {
	t.Helper()
	link, err := c.GetSASURL(permissions, expires, nil)
	require.NoError(t, err)
	_, query, _ := strings.Cut(link, "?")
	return query
}

func TestAzureLogins(t *testing.T) {
	d := azuriteDisk{azuritetest.New(t)}
	d.put(t, "s.csv", []byte("a\n1\n"))
	tomorrow := time.Now().Add(24 * time.Hour)
	all := sas.ContainerPermissions{Read: true, List: true}
	otherKey := "b3RoZXIga2V5LCBub3QgdGhlIG9uZSB0aGF0IHRoZSBhY2NvdW50IGhhcw=="
	for name, test := range map[string]struct {
		secret  string
		message string // empty: it may read
		action  string
	}{
		"key":               {d.Key, "", ""},
		"signature":         {signed(t, d.Container, all, tomorrow), "", ""},
		"signature with ?":  {"?" + signed(t, d.Container, all, tomorrow), "", ""},
		"another key":       {otherKey, "the storage account segments refuses the request (AuthorizationFailure)", "check that the key is the account's"},
		"expired signature": {signed(t, d.Container, all, time.Now().Add(-time.Hour)), "the shared access signature has expired on ", "make a new one, with the permissions read and list"},
		"may not list": {signed(t, d.Container, sas.ContainerPermissions{Read: true}, tomorrow),
			"the login is accepted but may not read here (AuthorizationPermissionMismatch)", "Storage Blob Data Reader on the container"},
		"may not read": {signed(t, d.Container, sas.ContainerPermissions{List: true}, tomorrow),
			"the login is accepted but may not read here (AuthorizationPermissionMismatch)", "a signature with the permissions read and list"},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := New(nil, d.config(Config{}), []byte(test.secret))
			require.NoError(t, err)
			_, err = s.Segments(t.Context())
			if err == nil {
				_, err = s.Describe(t.Context(), "s")
			}
			if test.message == "" {
				require.NoError(t, err)
				require.Len(t, segmenttest.ReadAll(t, s, "s", []string{"a"}, nil), 1)
				return
			}
			var access *segment.AccessError
			require.ErrorAs(t, err, &access)
			require.Contains(t, access.Message, test.message)
			require.Contains(t, access.Action, test.action)
			withoutSecret(t, err, test.secret)
		})
	}
}

func withoutSecret(t *testing.T, err error, secret string) {
	t.Helper()
	require.NotContains(t, err.Error(), secret)
	if query, err2 := url.ParseQuery(strings.TrimPrefix(secret, "?")); err2 == nil && query.Get("sig") != "" {
		require.NotContains(t, err.Error(), query.Get("sig"))
		require.NotContains(t, err.Error(), url.QueryEscape(query.Get("sig")))
	}
}

func TestBucketsThatAreNotThere(t *testing.T) {
	d := azuriteDisk{azuritetest.New(t)}
	c := d.config(Config{})
	c.URL = "azblob://elsewhere/x"
	s, err := New(nil, c, []byte(d.Key))
	require.NoError(t, err)
	_, err = s.Segments(t.Context())
	require.ErrorIs(t, err, segment.ErrNotFound)
	require.EqualError(t, err, `azblob://elsewhere/x: the storage account segments has no container "elsewhere"; put the container's name right, or make it`)

	s3 := newS3Disk(t)
	s, err = New(nil, Config{URL: "s3://elsewhere/x", Endpoint: s3.endpoint}, []byte(s3Key))
	require.NoError(t, err)
	_, err = s.Segments(t.Context())
	require.ErrorIs(t, err, segment.ErrNotFound)
	require.EqualError(t, err, `s3://elsewhere/x: there is no bucket "elsewhere"; put the bucket's name right, or make it`)

	// Nobody listens: the error tells what went wrong, and not the signature
	// that is part of the request's URL.
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	c.Endpoint = "http://" + l.Addr().String() + "/segments"
	require.NoError(t, l.Close())
	secret := signed(t, d.Container, sas.ContainerPermissions{Read: true, List: true}, time.Now().Add(time.Hour))
	s, err = New(nil, c, []byte(secret))
	require.NoError(t, err)
	_, err = s.Segments(t.Context())
	require.ErrorContains(t, err, "azblob://elsewhere/x")
	require.ErrorContains(t, err, "connection refused")
	withoutSecret(t, err, secret)
}

// A blob replaced in mid-read is noticed by the next request, not at the end:
// no row of the new one is ever given.
func TestAReplacedBlobIsNoticedAtOnce(t *testing.T) {
	const rows = 1_000_000 // 12 MB, of which 4 MiB are read at a time
	old := []byte("a,b\n" + strings.Repeat("12345,old89\n", rows))
	replaced := []byte("a,b\n" + strings.Repeat("12345,new89\n", rows))
	for on, disk := range map[string]func(t *testing.T) disk{"azure": disks["azure"], "s3": disks["s3"]} {
		t.Run(on, func(t *testing.T) {
			d := disk(t)
			d.put(t, "s.csv", old)
			r, err := d.read(t, Config{}).Open(t.Context(), "s", []string{"b"}, nil)
			require.NoError(t, err)
			defer r.Close()
			_, err = r.Next()
			require.NoError(t, err)
			d.put(t, "s.csv", replaced)
			count := 0
			for err == nil {
				var row segment.Row
				if row, err = r.Next(); err == nil {
					count++
					require.Equal(t, "old89", row.Values[0])
				}
			}
			require.ErrorIs(t, err, segment.ErrChanged)
			require.Less(t, count, rows/2)
		})
	}
}

func TestAzureDeletedInMidRead(t *testing.T) {
	d := azuriteDisk{azuritetest.New(t)}
	d.put(t, "s.csv", []byte("a\n"+strings.Repeat("1234567\n", 1_000_000)))
	r, err := d.read(t, Config{}).Open(t.Context(), "s", []string{"a"}, nil)
	require.NoError(t, err)
	defer r.Close()
	_, err = r.Next()
	require.NoError(t, err)
	d.Remove(t, "some/where/s.csv")
	for err == nil {
		_, err = r.Next()
	}
	require.ErrorIs(t, err, segment.ErrChanged)
}

func TestTheTestOfASource(t *testing.T) {
	d := azuriteDisk{azuritetest.New(t)}
	s := d.read(t, Config{})
	check := func(want ...segment.Check) {
		t.Helper()
		got, err := s.Test(t.Context())
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	place := "azblob://" + d.Name + "/some/where"
	check(segment.Check{Name: "list the place", Detail: place + ": 0 segments", Action: "put SEGMENT.csv, SEGMENT.csv.gz or SEGMENT.parquet there, or name the folder of an export of Customer Insights (with its model.json, which tells the columns)"})
	d.put(t, "b.csv", []byte("a\n1\n2\n"))
	listed := segment.Check{Name: "list the place", OK: true, Detail: place + ": 1 segments"}
	check(listed, segment.Check{Name: "read a segment", OK: true, Detail: `segment "b": its first 2 rows`})
	d.put(t, "b.csv", []byte("a\n"+strings.Repeat("1\n", 1000)))
	check(listed, segment.Check{Name: "read a segment", OK: true, Detail: `segment "b": its first 100 rows`})
	d.put(t, "b.csv", []byte("a,b\n1,\"2\n"))
	check(listed, segment.Check{Name: "read a segment", Detail: place + "/b.csv: line 2: a quote in column 6 is not closed, or not doubled, as it should be, and no row follows"})
	d.put(t, "b.csv", nil)
	check(listed, segment.Check{Name: "read a segment", OK: true, Detail: `segment "b": its first 0 rows`})

	s, err := New(nil, d.config(Config{}), []byte("b3RoZXIga2V5LCBub3QgdGhlIG9uZSB0aGF0IHRoZSBhY2NvdW50IGhhcw=="))
	require.NoError(t, err)
	checks, err := s.Test(t.Context())
	require.NoError(t, err)
	require.Len(t, checks, 1)
	require.False(t, checks[0].OK)
	require.Contains(t, checks[0].Detail, "refuses the request")
	require.Contains(t, checks[0].Action, "Storage Blob Data Reader")
}
