package postgres

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/segment-export/segment-export/internal/segment"
	"github.com/segment-export/segment-export/internal/store/postgrestest"
)

// authority signs certificates of servers.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  string
}

func newAuthority(t *testing.T, name string) authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-48 * time.Hour),
		NotAfter: time.Now().Add(48 * time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	cert, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	return authority{cert, key, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))}
}

// issue makes a certificate for 127.0.0.1 and db.example.com that is valid until then, and its key.
func (a authority) issue(t *testing.T, until time.Time) (cert, key []byte) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(2), NotBefore: time.Now().Add(-24 * time.Hour), NotAfter: until,
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, DNSNames: []string{"db.example.com"}, KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, private.Public(), a.key)
	require.NoError(t, err)
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	require.NoError(t, err)
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})
}

// A server with TLS is read when it is who the settings say; the test of a
// source says what does not fit.
func TestTLS(t *testing.T) {
	if testing.Short() {
		t.Skip("needs PostgreSQL")
	}
	ours, other := newAuthority(t, "ours"), newAuthority(t, "other")
	cert, key := ours.issue(t, time.Now().Add(24*time.Hour))
	server, err := postgrestest.StartTLS(cert, key)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, server.Stop()) })
	dsn, err := server.Database(t.Context())
	require.NoError(t, err)
	admin, err := pgx.Connect(t.Context(), dsn)
	require.NoError(t, err)
	t.Cleanup(func() { _ = admin.Close(context.Background()) })
	p := &place{admin: admin, config: Config{Host: "127.0.0.1", Port: server.Port, Database: admin.Config().Database, User: "reader", ID: "id"}}
	p.exec(t, "CREATE ROLE reader LOGIN")
	p.exec(t, "CREATE TABLE people (id int)")
	p.exec(t, "INSERT INTO people VALUES (7)")
	p.exec(t, "GRANT SELECT ON people TO reader")
	// The server says whether the reader's own connection is encrypted.
	p.config.Queries = map[string]Query{"mine": {SQL: "SELECT 1 AS id, ssl, version FROM pg_stat_ssl WHERE pid = pg_backend_pid()"}}
	with := func(host string, mode TLS, ca string) *place {
		c := p.config
		c.Host, c.TLS, c.CA = host, mode, ca
		return &place{admin: p.admin, config: c}
	}
	for name, good := range map[string]*place{
		"verify-full":              with("127.0.0.1", TLSVerifyFull, ours.pem),
		"verify-full, several CAs": with("127.0.0.1", TLSVerifyFull, other.pem+ours.pem),
		"verify-ca, another name":  with("localhost", TLSVerifyCA, ours.pem),
		"require, nobody known":    with("localhost", TLSRequire, ""),
	} {
		require.Equal(t, []string{"true|TLSv1.3"}, good.read(t, "mine", "ssl", "version"), name)
		require.Equal(t, []string{"7"}, good.read(t, "people", "id"), name)
	}
	require.Equal(t, []string{"false|"}, with("127.0.0.1", TLSDisable, "").read(t, "mine", "ssl", "version"), "so the question is a true one")
	checks, err := with("127.0.0.1", TLSVerifyFull, ours.pem).Source().(segment.Tester).Test(t.Context())
	require.NoError(t, err)
	require.Contains(t, checks[0].Detail, "the certificate is verified")

	refused := func(p *place, message, action string) {
		t.Helper()
		_, err := p.Source().Segments(t.Context())
		var e *segment.AccessError
		require.ErrorAs(t, err, &e)
		require.Contains(t, e.Message, message)
		require.Contains(t, e.Action, action)
	}
	refused(with("127.0.0.1", TLSVerifyFull, other.pem), "cannot be verified", "--ca-file FILE")
	refused(with("127.0.0.1", TLSVerifyFull, ""), "cannot be verified", "--ca-file FILE")
	refused(with("127.0.0.1", TLSVerifyCA, other.pem), "cannot be verified", "--ca-file FILE")
	refused(with("localhost", TLSVerifyFull, ours.pem), "is for another name: x509: certificate is valid for db.example.com, not localhost", "use the name that the certificate is for")

	// expect lets the server take its files as they are now.
	expect := func(mode TLS, says string) {
		t.Helper()
		p.exec(t, "SELECT pg_reload_conf()")
		require.Eventually(t, func() bool {
			_, err := with("127.0.0.1", mode, ours.pem).Source().Segments(t.Context())
			return err != nil
		}, waitLong, waitStep, says)
	}
	cert, key = ours.issue(t, time.Now().Add(-time.Hour))
	require.NoError(t, server.Write("server.crt", cert))
	require.NoError(t, server.Write("server.key", key))
	for _, mode := range []TLS{TLSVerifyFull, TLSVerifyCA} {
		expect(mode, "an expired certificate")
		refused(with("127.0.0.1", mode, ours.pem), "has expired", "have it renewed")
	}
	require.NoError(t, server.Write("postgresql.auto.conf", []byte("ssl = off\n")))
	expect(TLSRequire, "no TLS")
	for _, mode := range []TLS{TLSRequire, TLSVerifyCA, TLSVerifyFull} {
		refused(with("127.0.0.1", mode, ours.pem), "does not speak TLS", "ssl = on")
	}
}
