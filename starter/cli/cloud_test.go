package cli

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/api/workflowservice/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	grpcstatus "google.golang.org/grpc/status"

	"github.com/segment-export/segment-export/internal/protocol"
)

// cloud answers over TLS as Temporal Cloud does: to those who show a client
// certificate, or an API key.
type cloud struct {
	workflowservice.UnimplementedWorkflowServiceServer

	address string
	dir     string // ca.pem, client.pem, client.key
	key     string // the API key it wants; empty: a client certificate

	mu         sync.Mutex
	namespaces []string
}

func newCloud(t *testing.T, key string) *cloud {
	t.Helper()
	c := &cloud{dir: t.TempDir(), key: key}
	config, authorities := c.certify(t)
	if key == "" {
		config.ClientAuth, config.ClientCAs = tls.RequireAndVerifyClientCert, authorities
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	c.address = listener.Addr().String()
	s := grpc.NewServer(grpc.Creds(credentials.NewTLS(config)), grpc.UnaryInterceptor(c.admit))
	workflowservice.RegisterWorkflowServiceServer(s, c)
	done := make(chan error, 1)
	go func() { done <- s.Serve(listener) }()
	t.Cleanup(func() {
		s.Stop()
		require.NoError(t, <-done)
	})
	return c
}

// certify makes the certificates of server and client.
func (c *cloud) certify(t *testing.T) (*tls.Config, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	secret := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})
	for name, content := range map[string][]byte{"ca.pem": certificate, "client.pem": certificate, "client.key": secret} {
		require.NoError(t, os.WriteFile(filepath.Join(c.dir, name), content, 0o600))
	}
	pair, err := tls.X509KeyPair(certificate, secret)
	require.NoError(t, err)
	authorities := x509.NewCertPool()
	require.True(t, authorities.AppendCertsFromPEM(certificate))
	return &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}, authorities
}

// admit stands before every request.
func (c *cloud) admit(ctx context.Context, request any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	sent, _ := metadata.FromIncomingContext(ctx)
	if key := sent.Get("authorization"); c.key != "" && (len(key) != 1 || key[0] != "Bearer "+c.key) {
		return nil, grpcstatus.Error(codes.Unauthenticated, "Request unauthorized.")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.namespaces = append(c.namespaces, sent.Get("temporal-namespace")...)
	return next(ctx, request)
}

func (c *cloud) GetSystemInfo(context.Context, *workflowservice.GetSystemInfoRequest) (*workflowservice.GetSystemInfoResponse, error) {
	return &workflowservice.GetSystemInfoResponse{Capabilities: &workflowservice.GetSystemInfoResponse_Capabilities{}}, nil
}

func (c *cloud) DescribeTaskQueue(_ context.Context, in *workflowservice.DescribeTaskQueueRequest) (*workflowservice.DescribeTaskQueueResponse, error) {
	if in.GetNamespace() != "exports.a1b2c" {
		return nil, grpcstatus.Error(codes.NotFound, "no such namespace")
	}
	return &workflowservice.DescribeTaskQueueResponse{}, nil
}

// dial connects with the settings of the page about Temporal Cloud.
func (c *cloud) dial(t *testing.T, settings map[string]string) (*server, error) {
	t.Helper()
	env := variables{"TEMPORAL_ADDRESS": c.address, "TEMPORAL_NAMESPACE": "exports.a1b2c",
		"TEMPORAL_TLS_SERVER_CA_CERT_PATH": filepath.Join(c.dir, "ca.pem"), "TEMPORAL_CONFIG_FILE": filepath.Join(c.dir, "none.toml")}
	for name, value := range settings {
		env[name] = value
	}
	s, err := dial(t.Context(), env, os.Stderr, false)
	if err != nil {
		return nil, err
	}
	t.Cleanup(s.Close)
	return s.(*server), nil
}

// variables are a program's environment.
type variables map[string]string

func (v variables) LookupEnv(name string) (string, bool) {
	value, ok := v[name]
	return value, ok
}

func (v variables) Environ() []string {
	var all []string
	for name, value := range v {
		all = append(all, name+"="+value)
	}
	return all
}

func TestTemporalCloudWithMutualTLS(t *testing.T) {
	c := newCloud(t, "")
	s, err := c.dial(t, map[string]string{"TEMPORAL_TLS_CLIENT_CERT_PATH": filepath.Join(c.dir, "client.pem"),
		"TEMPORAL_TLS_CLIENT_KEY_PATH": filepath.Join(c.dir, "client.key")})
	require.NoError(t, err)
	_, err = s.client.DescribeTaskQueue(t.Context(), protocol.TaskQueue, 0)
	require.NoError(t, err)
	require.Contains(t, c.namespaces, "exports.a1b2c")

	_, err = c.dial(t, nil)
	require.ErrorContains(t, err, "TEMPORAL_TLS_*", "without a certificate")
	require.True(t, isClass(err, classNoServer))
}

func TestTemporalCloudWithAPIKey(t *testing.T) {
	c := newCloud(t, "the-key")
	s, err := c.dial(t, map[string]string{"TEMPORAL_API_KEY": "the-key"})
	require.NoError(t, err)
	_, err = s.client.DescribeTaskQueue(t.Context(), protocol.TaskQueue, 0)
	require.NoError(t, err)
	require.Contains(t, c.namespaces, "exports.a1b2c")

	_, err = c.dial(t, map[string]string{"TEMPORAL_API_KEY": "another-key"})
	require.True(t, isClass(err, protocol.ErrNotAllowed), err)
	require.NotContains(t, err.Error(), "another-key")
}
