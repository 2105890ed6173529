package tree

import (
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob"
	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"

	"github.com/segment-export/segment-export/internal/segment"
	"github.com/segment-export/segment-export/internal/segment/files/azuritetest"
)

// entra gives tokens for storage to an application that has the secret.
func entra(t *testing.T, lasting time.Duration) *httptest.Server {
	t.Helper()
	var s *httptest.Server
	s = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		answer := map[string]any{"token_endpoint": s.URL + "/contoso/oauth2/v2.0/token", "authorization_endpoint": s.URL + "/contoso/oauth2/v2.0/authorize",
			"issuer": s.URL + "/contoso/v2.0"}
		if strings.HasSuffix(r.URL.Path, "/token") {
			switch {
			case r.FormValue("client_secret") != "the-secrets-value" || !strings.Contains(r.FormValue("scope"), "https://storage.azure.com/.default"):
				w.WriteHeader(http.StatusUnauthorized)
				answer = map[string]any{"error": "invalid_client", "error_codes": []int{7000215}, "error_description": "AADSTS7000215: Invalid client secret provided. Trace ID: 0"}
			default:
				now := time.Now()
				token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{"aud": "https://storage.azure.com", "iss": "https://sts.windows.net/contoso/",
					"iat": now.Add(-time.Hour).Unix(), "nbf": now.Add(-time.Hour).Unix(), "exp": now.Add(lasting).Unix()}).SignedString([]byte("any"))
				if err != nil {
					panic(err)
				}
				answer = map[string]any{"token_type": "Bearer", "expires_in": 3600, "access_token": token}
			}
		}
		_ = json.NewEncoder(w).Encode(answer)
	}))
	t.Cleanup(s.Close)
	return s
}

// The login of an application registered in Entra opens a real blob server.
func TestAnApplicationOfEntraReadsABlob(t *testing.T) {
	login := entra(t, time.Hour)
	dir := t.TempDir()
	files := map[string]*pem.Block{"cert.pem": {Type: "CERTIFICATE", Bytes: login.Certificate().Raw}}
	key, err := x509.MarshalPKCS8PrivateKey(login.TLS.Certificates[0].PrivateKey)
	require.NoError(t, err)
	files["key.pem"] = &pem.Block{Type: "PRIVATE KEY", Bytes: key}
	for name, block := range files {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600))
	}
	server, err := azuritetest.StartTLS(filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, server.Stop()) })

	shared, err := azblob.NewSharedKeyCredential(azuritetest.Account, server.Key)
	require.NoError(t, err)
	admin, err := azblob.NewClientWithSharedKeyCredential(server.Endpoint, shared, &azblob.ClientOptions{ClientOptions: azcore.ClientOptions{Transport: login.Client()}})
	require.NoError(t, err)
	_, err = admin.CreateContainer(t.Context(), "people", nil)
	require.NoError(t, err)
	_, err = admin.UploadBuffer(t.Context(), "people", "s.csv", []byte("a\n1\n"), nil)
	require.NoError(t, err)

	a := Address{Scheme: SchemeAzure, Bucket: "people", Account: azuritetest.Account, Endpoint: server.Endpoint}
	open := func(entra *httptest.Server, secret string) *bucket {
		p, err := azureOver(a, []byte(`{"tenant_id": "contoso", "client_id": "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee", "client_secret": "`+secret+`"}`),
			azcore.ClientOptions{Transport: login.Client(), Cloud: cloud.Configuration{ActiveDirectoryAuthorityHost: entra.URL}})
		require.NoError(t, err)
		return &bucket{provider: p, address: a, patience: patience}
	}
	b := open(login, "the-secrets-value")
	list, err := b.List(t.Context(), "")
	require.NoError(t, err)
	require.Len(t, list.Files, 1)
	content, err := b.Open(t.Context(), list.Files[0])
	require.NoError(t, err)
	data, err := io.ReadAll(io.NewSectionReader(content, 0, list.Files[0].Size))
	require.NoError(t, err)
	require.Equal(t, "a\n1\n", string(data))
	require.NoError(t, content.Close())

	var refused *segment.AccessError
	_, err = open(login, "another").List(t.Context(), "")
	require.ErrorAs(t, err, &refused)
	require.Contains(t, refused.Message, "Microsoft Entra refuses the login")
	require.Contains(t, refused.Action, "whether the client secret has expired")
	_, err = open(entra(t, -time.Minute), "the-secrets-value").List(t.Context(), "")
	require.ErrorAs(t, err, &refused, "a token that the blob server does not accept")
	require.Contains(t, refused.Message, "refuses the credentials")
}
