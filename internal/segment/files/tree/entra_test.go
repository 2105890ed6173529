package tree

import (
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
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

// registration is what the tenant contoso knows of an application.
const (
	registration = "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee"
	itsSecret    = "the-secrets-value"
	podToken     = "token-of-the-service-account"
)

// tenant is Entra's stand-in for one tenant. It gives tokens for storage to an application that has the secret or runs
// in the pod that it trusts, and to the machine that it stands in for.
func tenant(t *testing.T, lasting time.Duration) *httptest.Server {
	t.Helper()
	var s *httptest.Server
	s = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		refuse := func(status, code int) {
			w.WriteHeader(status)
			_ = json.NewEncoder(w).Encode(map[string]any{"error": "invalid_client", "error_codes": []int{code},
				"error_description": fmt.Sprintf("AADSTS%d: No. Trace ID: 0", code)})
		}
		token := func() string {
			now := time.Now()
			token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{"aud": "https://storage.azure.com", "iss": "https://sts.windows.net/contoso/",
				"iat": now.Add(-time.Hour).Unix(), "nbf": now.Add(-time.Hour).Unix(), "exp": now.Add(lasting).Unix()}).SignedString([]byte("any"))
			if err != nil {
				panic(err)
			}
			return token
		}
		switch {
		case r.URL.Path == "/metadata/identity/oauth2/token" && r.Header.Get("Metadata") != "true":
			w.WriteHeader(http.StatusBadRequest) // only looks whether it is there
		case r.URL.Path == "/metadata/identity/oauth2/token" && r.FormValue("resource") == "https://storage.azure.com":
			_ = json.NewEncoder(w).Encode(map[string]any{"token_type": "Bearer", "expires_in": "3600", "expires_on": fmt.Sprint(time.Now().Add(time.Hour).Unix()),
				"resource": "https://storage.azure.com", "access_token": token()})
		case !strings.HasPrefix(r.URL.Path, "/contoso/"):
			refuse(http.StatusBadRequest, 90002)
		case !strings.HasSuffix(r.URL.Path, "/token"):
			_ = json.NewEncoder(w).Encode(map[string]any{"token_endpoint": s.URL + "/contoso/oauth2/v2.0/token",
				"authorization_endpoint": s.URL + "/contoso/oauth2/v2.0/authorize", "issuer": s.URL + "/contoso/v2.0"})
		case r.FormValue("client_id") != registration:
			refuse(http.StatusBadRequest, 700016)
		case r.FormValue("client_secret") == "expired":
			refuse(http.StatusUnauthorized, 7000222)
		case r.FormValue("client_assertion") != podToken && r.FormValue("client_assertion") != "":
			refuse(http.StatusUnauthorized, 700213)
		case r.FormValue("client_assertion") == "" && r.FormValue("client_secret") != itsSecret:
			refuse(http.StatusUnauthorized, 7000215)
		case !strings.Contains(r.FormValue("scope"), "https://storage.azure.com/.default"):
			refuse(http.StatusBadRequest, 500011)
		default:
			_ = json.NewEncoder(w).Encode(map[string]any{"token_type": "Bearer", "expires_in": 3600, "access_token": token()})
		}
	}))
	t.Cleanup(s.Close)
	return s
}

// machine is a way that leads to Entra's stand-in, also what is meant for the
// address of the identity service of Azure's machines, which no test can have.
type machine struct {
	http.RoundTripper

	identity string // the host of the stand-in; empty: there is no such service
}

func (m machine) Do(r *http.Request) (*http.Response, error) {
	if r.URL.Host == "169.254.169.254" {
		if m.identity == "" {
			return nil, errors.New("no route to host")
		}
		r = r.Clone(r.Context())
		r.URL.Scheme, r.URL.Host, r.Host = "https", m.identity, ""
	}
	return m.RoundTrip(r)
}

// peopleOver is a real blob server over TLS, with a file in a bucket, and how
// the bucket is opened with a login at that Entra.
func peopleOver(t *testing.T, login *httptest.Server) func(entra *httptest.Server, onMachine bool, secret string) *bucket {
	t.Helper()
	if testing.Short() {
		t.Skip("needs Azurite")
	}
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
	return func(entra *httptest.Server, onMachine bool, secret string) *bucket {
		t.Helper()
		host := ""
		if onMachine {
			host = strings.TrimPrefix(entra.URL, "https://")
		}
		p, err := azureOver(a, []byte(secret), azcore.ClientOptions{Transport: machine{login.Client().Transport, host},
			Cloud: cloud.Configuration{ActiveDirectoryAuthorityHost: entra.URL}})
		require.NoError(t, err)
		return &bucket{provider: p, address: a, patience: patience}
	}
}

// firstFile reads the first file of a bucket.
func firstFile(t *testing.T, b *bucket) (string, error) {
	t.Helper()
	list, err := b.List(t.Context(), "")
	if err != nil {
		return "", err
	}
	require.Len(t, list.Files, 1)
	content, err := b.Open(t.Context(), list.Files[0])
	require.NoError(t, err)
	defer content.Close()
	data, err := io.ReadAll(io.NewSectionReader(content, 0, list.Files[0].Size))
	return string(data), err
}

// The logins by Entra open a real blob server: of an application by the secret
// that the source has, and of the worker itself, by whatever it finds in its
// environment. Each that fails says what is wrong with which setting.
func TestLoginsOfEntraReadABlob(t *testing.T) {
	login := tenant(t, time.Hour)
	open := peopleOver(t, login)
	application := func(tenant, client, secret string) string {
		return fmt.Sprintf(`{"tenant_id": %q, "client_id": %q, "client_secret": %q}`, tenant, client, secret)
	}
	pod := filepath.Join(t.TempDir(), "token")
	require.NoError(t, os.WriteFile(pod, []byte(podToken), 0o600))
	strange := filepath.Join(t.TempDir(), "token")
	require.NoError(t, os.WriteFile(strange, []byte("another"), 0o600))
	environment := func(pairs ...string) map[string]string {
		all := map[string]string{"AZURE_TOKEN_CREDENTIALS": "prod", "AZURE_TENANT_ID": "contoso", "AZURE_CLIENT_ID": registration}
		for i := 0; i < len(pairs); i += 2 {
			all[pairs[i]] = pairs[i+1]
		}
		return all
	}
	for name, test := range map[string]struct {
		secret      string
		environment map[string]string
		message     string // empty: it reads
		action      string
	}{
		"application":   {application("contoso", registration, itsSecret), nil, "", ""},
		"wrong tenant":  {application("fabrikam", registration, itsSecret), nil, `azblob://people: there is no Microsoft Entra tenant "fabrikam"`, "put the directory (tenant) id from the app registration's overview page into the source's credential"},
		"wrong client":  {application("contoso", "00000000-0000-0000-0000-000000000001", itsSecret), nil, `the tenant "contoso" does not know the app registration 00000000-0000-0000-0000-000000000001`, "from the same app registration"},
		"wrong secret":  {application("contoso", registration, "another"), nil, "the client secret of the app registration " + registration + " is not valid", "the secret's value (not its id)"},
		"expired":       {application("contoso", registration, "expired"), nil, "the client secret of the app registration " + registration + " has expired", "make a new secret"},
		"environment":   {"", environment("AZURE_CLIENT_SECRET", itsSecret), "", ""},
		"in it expired": {"", environment("AZURE_CLIENT_SECRET", "expired"), "the client secret of the app registration " + registration + " has expired", "store it in the worker's environment (AZURE_TENANT_ID, AZURE_CLIENT_ID, AZURE_CLIENT_SECRET)"},
		"pod":           {"", environment("AZURE_FEDERATED_TOKEN_FILE", pod), "", ""},
		"another pod":   {"", environment("AZURE_FEDERATED_TOKEN_FILE", strange), registration + " has no federated credential for the worker's workload identity", "compare issuer, subject and audience"},
		"no token":      {"", environment("AZURE_FEDERATED_TOKEN_FILE", pod+".gone"), "the worker has no token of its workload identity where AZURE_FEDERATED_TOKEN_FILE says", "mounted there"},
		"machine":       {"", map[string]string{"AZURE_TOKEN_CREDENTIALS": "prod"}, "", ""},
		"nothing":       {"", map[string]string{"AZURE_TOKEN_CREDENTIALS": "prod"}, "the worker has no identity at Microsoft Entra", "give the worker one"},
	} {
		t.Run(name, func(t *testing.T) {
			for key, value := range test.environment {
				t.Setenv(key, value)
			}
			data, err := firstFile(t, open(login, name == "machine", test.secret))
			if test.message == "" {
				require.NoError(t, err)
				require.Equal(t, "a\n1\n", data)
				return
			}
			var refused *segment.AccessError
			require.ErrorAs(t, err, &refused)
			require.Contains(t, refused.Message, test.message)
			require.Contains(t, refused.Action, test.action)
			require.NotContains(t, err.Error(), "Trace ID", "whole answers are not passed on")
		})
	}
	_, err := firstFile(t, open(tenant(t, -time.Minute), false, application("contoso", registration, itsSecret)))
	var refused *segment.AccessError
	require.ErrorAs(t, err, &refused, "a token that the blob server does not accept")
	require.Contains(t, refused.Message, "refuses the credentials")
	require.Equal(t, "check that the tenant of the login is that of the storage account's subscription", refused.Action)
}
