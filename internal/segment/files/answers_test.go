package files

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/segment-export/segment-export/internal/segment"
	"github.com/segment-export/segment-export/internal/segment/segmenttest"
)

// serviceAccount is a key whose tokens come from that server.
func serviceAccount(t testing.TB, server string) []byte {
	t.Helper()
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	der, err := x509.MarshalPKCS8PrivateKey(private)
	require.NoError(t, err)
	key, err := json.Marshal(map[string]string{
		"type": "service_account", "client_email": "reader@example.com", "token_uri": server + "/token",
		"private_key": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})),
	})
	require.NoError(t, err)
	return key
}

// What the services document that they answer, when a login or a permission is
// missing, becomes a sentence for administrators.
func TestAnswersOfTheServices(t *testing.T) {
	type answer struct {
		status  int
		code    string // of Google a reason
		message string
		action  string
		is      error
	}
	azure := func(w http.ResponseWriter, a answer) {
		w.Header().Set("X-Ms-Error-Code", a.code)
		w.WriteHeader(a.status)
	}
	s3 := func(w http.ResponseWriter, a answer) {
		w.Header().Set("Content-Type", "application/xml")
		w.WriteHeader(a.status)
		says := "no"
		if a.code == "AuthorizationHeaderMalformed" {
			says = "The authorization header is malformed; the region 'us-east-1' is wrong; expecting 'eu-north-1'"
		}
		_, _ = fmt.Fprintf(w, "<Error><Code>%s</Code><Message>%s</Message></Error>", a.code, says)
	}
	moved := func(w http.ResponseWriter, a answer) {
		w.Header().Set("X-Amz-Bucket-Region", "eu-west-3")
		s3(w, a)
	}
	google := func(w http.ResponseWriter, a answer) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(a.status)
		_, _ = fmt.Fprintf(w, `{"error": {"code": %d, "message": "no", "errors": [{"domain": "global", "reason": %q, "message": "no"}]}}`, a.status, a.code)
	}
	for name, test := range map[string]struct {
		url    string
		write  func(http.ResponseWriter, answer)
		answer answer
	}{
		"azure, the key was rotated": {"azblob://people/x", azure, answer{403, "AuthenticationFailed", "the storage account shop1 refuses the credentials (AuthenticationFailed)", "keys may have been rotated", segment.ErrAccess}},
		"azure, keys are off":        {"azblob://people/x", azure, answer{403, "KeyBasedAuthenticationNotPermitted", "refuses the credentials", "switched off for the account", segment.ErrAccess}},
		"azure, switched off":        {"azblob://people/x", azure, answer{403, "AccountIsDisabled", "the storage account shop1 is disabled", "its subscription", segment.ErrAccess}},
		"azure, no role":             {"azblob://people/x", azure, answer{403, "AuthorizationPermissionMismatch", "the login is accepted but may not read here", `give it the role Storage Blob Data Reader on the container "people"`, segment.ErrAccess}},
		"azure, the firewall":        {"azblob://people/x", azure, answer{403, "AuthorizationFailure", "refuses the request", "the account's firewall lets the worker in", segment.ErrAccess}},
		"azure, no container":        {"azblob://people/x", azure, answer{404, "ContainerNotFound", `has no container "people"`, "", segment.ErrNotFound}},
		"azure, out of order":        {"azblob://people/x", azure, answer{409, "AccountBeingCreated", "Azure answered 409 AccountBeingCreated", "", nil}},
		"s3, no such key":            {"s3://people/x", s3, answer{403, "InvalidAccessKeyId", "S3 does not know the access key (InvalidAccessKeyId)", "a valid access key", segment.ErrAccess}},
		"s3, another secret":         {"s3://people/x", s3, answer{403, "SignatureDoesNotMatch", "the secret does not belong to the access key", "the secret that belongs to the access key", segment.ErrAccess}},
		"s3, expired":                {"s3://people/x", s3, answer{400, "ExpiredToken", "the session token of the access key has expired (ExpiredToken)", "a new key with its session_token", segment.ErrAccess}},
		"s3, another session":        {"s3://people/x", s3, answer{400, "InvalidToken", "the session token does not belong to the access key", "of the same session", segment.ErrAccess}},
		"s3, the clock":              {"s3://people/x", s3, answer{403, "RequestTimeTooSkewed", "the worker's clock is too far from the service's", "set the clock", segment.ErrAccess}},
		"s3, not allowed":            {"s3://people/x", s3, answer{403, "AccessDenied", "may not read here", `allow s3:ListBucket on the bucket "people" and s3:GetObject`, segment.ErrAccess}},
		"s3, another region":         {"s3://people/x", s3, answer{301, "PermanentRedirect", "the bucket is in another region", "the bucket's region", segment.ErrAccess}},
		"s3, another region, told":   {"s3://people/x", moved, answer{301, "PermanentRedirect", "the bucket is in the region eu-west-3", "--region eu-west-3", segment.ErrAccess}},
		"s3, another region, said":   {"s3://people/x", s3, answer{400, "AuthorizationHeaderMalformed", "the bucket is in the region eu-north-1", "--region eu-north-1", segment.ErrAccess}},
		"s3, no bucket":              {"s3://people/x", s3, answer{404, "NoSuchBucket", `there is no bucket "people"`, "", segment.ErrNotFound}},
		"google, refused":            {"gs://people/x", google, answer{401, "authError", "Google Cloud Storage refuses the login", "valid key of a service account", segment.ErrAccess}},
		"google, not allowed":        {"gs://people/x", google, answer{403, "forbidden", "may not read here", `Storage Object Viewer on the bucket "people"`, segment.ErrAccess}},
		"google, no billing":         {"gs://people/x", google, answer{403, "accountDisabled", "the billing of the bucket's project is off", "turn its billing on", segment.ErrAccess}},
		"google, requester pays":     {"gs://people/x", google, answer{400, "userProjectMissing", "makes its readers pay", `"Requester pays"`, segment.ErrAccess}},
		"google, no bucket":          {"gs://people/x", google, answer{404, "notFound", `there is no bucket "people"`, "", segment.ErrNotFound}},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/token" {
					w.Header().Set("Content-Type", "application/json")
					_, _ = w.Write([]byte(`{"access_token": "t", "token_type": "Bearer", "expires_in": 3600}`))
					return
				}
				test.write(w, test.answer)
			}))
			defer server.Close()
			c := Config{URL: test.url, Endpoint: server.URL}
			secret := []byte(s3Key)
			switch {
			case strings.HasPrefix(test.url, "azblob"):
				c.Account, secret = "shop1", []byte("YWNjb3VudCBrZXk=")
			case strings.HasPrefix(test.url, "gs"):
				secret = serviceAccount(t, server.URL)
			}
			s, err := New(nil, c, secret)
			require.NoError(t, err)
			_, err = s.Segments(t.Context())
			require.ErrorContains(t, err, test.answer.message)
			require.ErrorContains(t, err, test.url)
			if test.answer.is != nil {
				require.ErrorIs(t, err, test.answer.is)
			}
			var access *segment.AccessError
			if test.answer.action != "" {
				require.ErrorAs(t, err, &access)
				require.Contains(t, access.Action, test.answer.action)
			}
		})
	}
}

// What Google's login documents that it answers.
func TestAnswersOfGooglesLogin(t *testing.T) {
	for name, test := range map[string]struct {
		status  int
		says    string
		message string
		action  string // empty: it may pass
	}{
		"another key": {400, "Invalid JWT Signature.", "the key is not, or not any more, one of its service account", "make a new key"},
		"no account":  {400, "Invalid grant: account not found", "the service account of the key is not there any more, or disabled", "another service account"},
		"the clock": {400, "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe. Check your iat and exp values in the JWT claim.",
			"Google finds the login's time wrong", "set the clock"},
		"anything else":   {400, "no", "Google refuses the login", "a valid key of a service account"},
		"out of order":    {503, "no", "Google's login answered with status 503", ""},
		"asked too often": {429, "no", "Google's login answered with status 429", ""},
	} {
		t.Run(name, func(t *testing.T) {
			login := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				w.WriteHeader(test.status)
				_, _ = fmt.Fprintf(w, `{"error": "invalid_grant", "error_description": %q}`, test.says)
			}))
			defer login.Close()
			s, err := New(nil, Config{URL: "gs://people", Endpoint: login.URL}, serviceAccount(t, login.URL))
			require.NoError(t, err)
			_, err = s.Segments(t.Context())
			require.ErrorContains(t, err, "gs://people: "+test.message)
			var refused *segment.AccessError
			require.Equal(t, test.action != "", errors.As(err, &refused))
			if refused != nil {
				require.Contains(t, refused.Action, test.action)
			}
		})
	}
}

// googleDisk imitates what is used of Google Cloud Storage: lists, attributes,
// and ranges on the condition of a generation. It is written from the service's
// documentation, since there is no emulator of Google's own.
type googleDisk struct {
	server *httptest.Server
	secret []byte

	mu         sync.Mutex
	objects    map[string][]byte
	generation map[string]int
	reads      []string // the conditions of the reads
}

func newGoogleDisk(t testing.TB) *googleDisk {
	t.Helper()
	d := &googleDisk{objects: map[string][]byte{}, generation: map[string]int{}}
	d.server = httptest.NewServer(d)
	t.Cleanup(d.server.Close)
	d.secret = serviceAccount(t, d.server.URL)
	return d
}

func (d *googleDisk) put(_ testing.TB, name string, data []byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	key := "some/where/" + name
	d.objects[key] = slices.Clone(data)
	d.generation[key]++
}

func (d *googleDisk) settings(c Config) (Config, []byte) {
	c.URL, c.Endpoint, c.Path = "gs://people/"+path.Join("some/where", c.Path), d.server.URL, ""
	return c, d.secret
}

func (d *googleDisk) read(t testing.TB, c Config) *Source { return readBucket(t, d, c) }

func (d *googleDisk) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	d.mu.Lock()
	defer d.mu.Unlock()
	const list = "/storage/v1/b/people/o"
	w.Header().Set("Content-Type", "application/json")
	switch {
	case r.URL.Path == "/token":
		_, _ = w.Write([]byte(`{"access_token": "t", "token_type": "Bearer", "expires_in": 3600}`))
	case r.Header.Get("Authorization") != "Bearer t":
		w.WriteHeader(http.StatusUnauthorized)
	case r.URL.Path == list:
		d.list(w, r.URL.Query().Get("prefix"))
	case strings.HasPrefix(r.URL.Path, list+"/"):
		key := strings.TrimPrefix(r.URL.Path, list+"/")
		d.object(w, r, key)
	default:
		d.object(w, r, strings.TrimPrefix(r.URL.Path, "/people/"))
	}
}

func (d *googleDisk) attributes(key string) map[string]any {
	return map[string]any{"name": key, "bucket": "people", "size": fmt.Sprint(len(d.objects[key])), "generation": fmt.Sprint(d.generation[key]),
		"updated": "2026-11-25T06:15:00Z", "etag": fmt.Sprintf("e%d", d.generation[key])}
}

func (d *googleDisk) list(w http.ResponseWriter, prefix string) {
	items, prefixes := []any{}, []string{}
	for key := range d.objects {
		rest, ok := strings.CutPrefix(key, prefix)
		if folder, _, below := strings.Cut(rest, "/"); ok && below {
			prefixes = append(prefixes, prefix+folder+"/")
		} else if ok {
			items = append(items, d.attributes(key))
		}
	}
	slices.Sort(prefixes)
	_ = json.NewEncoder(w).Encode(map[string]any{"items": items, "prefixes": slices.Compact(prefixes)})
}

func (d *googleDisk) object(w http.ResponseWriter, r *http.Request, key string) {
	data, ok := d.objects[key]
	if !ok {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	media := r.URL.Query().Get("alt") == "media" || !strings.HasPrefix(r.URL.Path, "/storage/")
	if !media {
		_ = json.NewEncoder(w).Encode(d.attributes(key))
		return
	}
	condition := r.Header.Get("X-Goog-If-Generation-Match") + r.URL.Query().Get("ifGenerationMatch")
	d.reads = append(d.reads, condition)
	if condition != fmt.Sprint(d.generation[key]) {
		w.WriteHeader(http.StatusPreconditionFailed)
		return
	}
	var from, to int
	if _, err := fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-%d", &from, &to); err != nil {
		from, to = 0, len(data)-1
	}
	to = min(to, len(data)-1)
	w.Header().Set("X-Goog-Generation", fmt.Sprint(d.generation[key]))
	w.Header().Set("Content-Type", "text/csv")
	w.Header().Set("Content-Length", fmt.Sprint(to+1-from))
	w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, to, len(data)))
	w.WriteHeader(http.StatusPartialContent)
	_, _ = w.Write(data[from : to+1])
}

func TestGoogleReadsOneGeneration(t *testing.T) {
	d := newGoogleDisk(t)
	content := "a\n" + strings.Repeat("1234567\n", 1_000_000)
	d.put(t, "s.csv", []byte(content))
	s := d.read(t, Config{})
	require.Len(t, segmenttest.ReadAll(t, s, "s", []string{"a"}, nil), 1_000_000)
	require.Len(t, d.reads, 3, "the header and two ranges")
	for _, condition := range d.reads {
		require.Equal(t, "1", condition)
	}
	r, err := s.Open(t.Context(), "s", []string{"a"}, nil)
	require.NoError(t, err)
	defer r.Close()
	_, err = r.Next()
	require.NoError(t, err)
	d.put(t, "s.csv", []byte(content))
	rows, err := segmenttest.Drain(r)
	require.ErrorIs(t, err, segment.ErrChanged)
	require.Less(t, len(rows), 900_000)
}
