package cli_test

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/cookiejar"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/segment-export/segment-export/internal/access"
	"github.com/segment-export/segment-export/internal/access/oidc/oidctest"
	"github.com/segment-export/segment-export/internal/protocol"
	"github.com/segment-export/segment-export/starter/cli"
)

// withProvider makes the bench that of a person who logs in at a provider.
func (b *bench) withProvider() *oidctest.Provider {
	b.t.Helper()
	at := oidctest.New(b.t)
	at.LogIn("ada", b.clock.Now, "staff")
	b.options.Env = env{"HOME": b.t.TempDir(), "SEGMENT_EXPORT_OIDC_ISSUER": at.URL, "SEGMENT_EXPORT_OIDC_CLIENT_ID": oidctest.Audience}
	b.options.Env.(env)["SEGMENT_EXPORT_DATA_DIR"] = filepath.Join(b.options.Env.(env)["HOME"], "none")
	b.pin(b.keyring.PublicKey())
	return at
}

// lines are what the command line says, as it says it.
func (b *bench) lines() <-chan string {
	in, out := io.Pipe()
	b.t.Cleanup(func() { _ = out.Close() })
	b.options.Out, b.options.Err = out, out
	lines := make(chan string, 100)
	go func() {
		for read := bufio.NewScanner(in); read.Scan(); {
			lines <- read.Text()
		}
	}()
	return lines
}

// logIn runs starter login with a browser that follows its address.
func (b *bench) logIn() (code int, says string) {
	b.t.Helper()
	lines := b.lines()
	ended := make(chan int, 1)
	b.options.Args = []string{"login"}
	go func() { ended <- cli.Run(context.Background(), b.options) }()
	for {
		select {
		case line := <-lines:
			says += line + "\n"
			if !strings.HasPrefix(line, "http") {
				continue
			}
			got, err := http.Get(line)
			require.NoError(b.t, err)
			body, err := io.ReadAll(got.Body)
			require.NoError(b.t, err)
			_ = got.Body.Close()
			says += string(body)
		case code = <-ended:
			b.options.Out, b.options.Err = &b.out, &b.err
			for len(lines) > 0 {
				says += <-lines + "\n"
			}
			return code, says
		}
	}
}

// tokenOf opens the token that the nth command brought.
func (b *bench) tokenOf(n int) string {
	b.t.Helper()
	r := b.server.requests[n]
	got, err := access.OpenToken(b.keyring.OpenEnvelope, r.Claim(), r.Credential)
	require.NoError(b.t, err)
	return got
}

func TestLoginKeepsATokenForItsServerAndRenewsIt(t *testing.T) {
	b := newBench(t)
	at := b.withProvider()
	b.answers(hello(b.keyring.PublicKey()), sealedAnswer{protocol.WhoAmIAnswer{Name: "ada", Role: "admin"}})
	code, says := b.logIn()
	require.Equal(t, 0, code, says)
	assert.Contains(t, says, "You can close this window")
	first := b.tokenOf(1)
	assert.NotContains(t, says, first)

	file := filepath.Join(b.options.Env.(env)["HOME"], ".config", "segment-export", "logins.json")
	info, err := os.Stat(file)
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o600), info.Mode().Perm())

	again := func(want int) {
		t.Helper()
		b.server.requests = nil
		b.answers(hello(b.keyring.PublicKey()), sealedAnswer{protocol.WhoAmIAnswer{Name: "ada", Role: "admin"}})
		require.Equal(t, want, b.run("whoami"), "%s%s", b.out.String(), b.err.String())
	}
	again(0)
	assert.Equal(t, first, b.tokenOf(1), "it is used while it is good")
	b.clock.Advance(time.Hour)
	again(0)
	assert.NotEqual(t, first, b.tokenOf(1), "and renewed when it ends")
	b.clock.Advance(2 * time.Hour)
	at.Revoke()
	again(5)
	assert.Contains(t, b.err.String(), "log in again with: starter login")

	require.Equal(t, 0, b.run("logout"), b.err.String())
	again(5)
	assert.Contains(t, b.err.String(), "no identity")
}

func TestLoginSaysWhatIsMissing(t *testing.T) {
	b := newBench(t)
	at := b.withProvider()
	at.LogIn("", nil)
	code, says := b.logIn()
	assert.Equal(t, 5, code)
	assert.Contains(t, says, "access_denied")
	delete(b.options.Env.(env), "SEGMENT_EXPORT_OIDC_CLIENT_ID")
	assert.Equal(t, 2, b.run("login"))
	assert.Contains(t, b.err.String(), "--oidc-client-id is missing")
}

func TestConsoleRefusesOtherMachinesWithoutTLSAndLogin(t *testing.T) {
	b := newBench(t)
	for want, args := range map[string][]string{
		"without TLS":                    {"--address", "0.0.0.0:0"},
		"go together":                    {"--tls-cert", "cert.pem"},
		"people must log in":             {"--address", "0.0.0.0:0", "--tls-cert", "cert.pem", "--tls-key", "key.pem"},
		"cannot be combined":             {"--address", "127.0.0.1:0", "--port", "0"},
		"is not HOST:PORT":               {"--address", "127.0.0.1"},
		"--tls-cert, --tls-key":          {"--port", "0", "--tls-cert", "none.pem", "--tls-key", "none.pem"},
		"is not an address such as http": {"--port", "0", "--url", "console"},
		"is not http":                    {"--port", "0", "--url", "https://console.example.com"},
	} {
		assert.Equal(t, 2, b.run(append([]string{"console"}, args...)...), args)
		assert.Contains(t, b.err.String(), want)
	}
}

// certificate writes one for this machine and returns it with its files.
func certificate(t *testing.T) (pool *x509.CertPool, cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	form := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "console"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, form, form, private.Public(), private)
	require.NoError(t, err)
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	require.NoError(t, err)
	dir := t.TempDir()
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	require.NoError(t, os.WriteFile(cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	require.NoError(t, os.WriteFile(key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}), 0o600))
	pool = x509.NewCertPool()
	parsed, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	pool.AddCert(parsed)
	return pool, cert, key
}

// People reach the console over TLS, log in at the provider, and every command
// is given with the token of the one who asks.
func TestConsoleOverTLSGivesCommandsAsWhoLoggedIn(t *testing.T) {
	b := newBench(t)
	b.withProvider()
	pool, cert, key := certificate(t)
	b.answers(hello(b.keyring.PublicKey()), sealedAnswer{protocol.WhoAmIAnswer{Name: "ada", Role: "viewer"}}, sealedAnswer{protocol.OverviewAnswer{}})
	lines := b.lines()
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan int, 1)
	b.options.Args = []string{"console", "--address", "127.0.0.1:0", "--tls-cert", cert, "--tls-key", key}
	go func() { ended <- cli.Run(ctx, b.options) }()
	base := strings.TrimPrefix(<-lines, "Console: ")
	require.True(t, strings.HasPrefix(base, "https://127.0.0.1:"), base)
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	browser := &http.Client{Jar: jar, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}}
	got, err := browser.Get(base + "/login/start?to=/exports")
	require.NoError(t, err)
	body, err := io.ReadAll(got.Body)
	require.NoError(t, err)
	_ = got.Body.Close()
	assert.Equal(t, http.StatusOK, got.StatusCode)
	assert.Equal(t, "/exports", got.Request.URL.Path)
	assert.Contains(t, string(body), "ada · viewer")
	stop()
	require.Contains(t, []int{0, 130}, <-ended)
	require.Equal(t, []string{protocol.Hello, protocol.WhoAmI, protocol.Overview}, b.names())
	assert.Equal(t, b.tokenOf(1), b.tokenOf(2))
	assert.Equal(t, 2, strings.Count(b.tokenOf(1), "."), "a token, and no proof of a file")
}
