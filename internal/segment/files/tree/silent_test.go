package tree

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/segment-export/segment-export/internal/segment"
)

// A service that takes a request and never answers is given up in bounded time,
// with an error that may pass, whatever is asked of it.
func TestAServiceThatFallsSilent(t *testing.T) {
	ended := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-r.Context().Done():
		case <-ended:
		}
	}))
	defer server.Close()
	defer close(ended)
	// The login to Google is where its key says; it does not answer either.
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	der, err := x509.MarshalPKCS8PrivateKey(private)
	require.NoError(t, err)
	login, err := json.Marshal(map[string]string{"type": "service_account", "client_email": "reader@example.com", "token_uri": server.URL + "/token",
		"private_key": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))})
	require.NoError(t, err)
	for name, test := range map[string]struct {
		address Address
		secret  string
	}{
		"azure":  {Address{Scheme: SchemeAzure, Bucket: "b", Account: "shop", Endpoint: server.URL + "/shop"}, "c2VjcmV0"},
		"s3":     {Address{Scheme: SchemeS3, Bucket: "b", Endpoint: server.URL, Region: "eu-north-1"}, `{"access_key_id": "a", "secret_access_key": "b"}`},
		"google": {Address{Scheme: SchemeGoogle, Bucket: "b", Endpoint: server.URL}, string(login)},
	} {
		t.Run(name, func(t *testing.T) {
			tr, err := Bucket(test.address, []byte(test.secret))
			require.NoError(t, err)
			tr.(*bucket).patience = 200 * time.Millisecond
			for what, ask := range map[string]func(context.Context) error{
				"list": func(ctx context.Context) error { _, err := tr.List(ctx, ""); return err },
				"stat": func(ctx context.Context) error { _, err := tr.Stat(ctx, "s.csv"); return err },
				"read": func(ctx context.Context) error {
					content, err := tr.Open(ctx, File{Name: "s.csv", Size: 10, Stamp: "1"})
					require.NoError(t, err)
					defer content.Close()
					_, err = content.ReadAt(make([]byte, 10), 0)
					return err
				},
			} {
				err := ask(t.Context())
				require.ErrorContains(t, err, "did not answer within 200ms", what)
				require.NotErrorIs(t, err, segment.ErrAccess)
				require.NotContains(t, err.Error(), "http://", "no address, which may hold a signature")
				ctx, cancel := context.WithCancel(t.Context())
				cancel()
				require.ErrorIs(t, ask(ctx), context.Canceled, what)
			}
		})
	}
}
