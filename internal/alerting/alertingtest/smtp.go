// Package alertingtest has servers that tests let messages arrive at: an SMTP
// server with STARTTLS, and a receiver of webhooks. They may be away for a
// while.
package alertingtest

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
	"github.com/stretchr/testify/require"

	"github.com/segment-export/segment-export/internal/alerting"
)

// The user of the mail server.
const (
	User     = "mailer"
	Password = "mail-password"
)

// Letter is a mail that arrived.
type Letter struct {
	From string
	To   []string
	Data string
	TLS  bool
}

// MailServer is an SMTP server that takes mail over STARTTLS from its user.
type MailServer struct {
	Address string
	Roots   alerting.Roots

	t        *testing.T
	tls      *tls.Config
	mu       sync.Mutex
	letters  []Letter
	server   *smtp.Server
	Refusing error // answers every mail with it, while it is set before Start
}

// NewMailServer returns a server that listens.
func NewMailServer(t *testing.T) *MailServer {
	t.Helper()
	// Its certificate is for 127.0.0.1 and example.com.
	https := httptest.NewTLSServer(http.NotFoundHandler())
	t.Cleanup(https.Close)
	m := &MailServer{t: t, tls: &tls.Config{MinVersion: tls.VersionTLS12, Certificates: https.TLS.Certificates},
		Roots: https.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs}
	m.Start()
	t.Cleanup(m.Stop)
	return m
}

// Start begins to listen, at the address that it had before.
func (m *MailServer) Start() {
	m.t.Helper()
	address := m.Address
	if address == "" {
		address = "127.0.0.1:0"
	}
	listener, err := net.Listen("tcp", address) //nolint:noctx // of a test
	require.NoError(m.t, err)
	m.Address = listener.Addr().String()
	m.server = smtp.NewServer(smtp.BackendFunc(func(c *smtp.Conn) (smtp.Session, error) {
		return &session{server: m, conn: c}, nil
	}))
	m.server.Domain, m.server.TLSConfig = "localhost", m.tls
	server := m.server
	go func() { _ = server.Serve(listener) }() // ends with ErrServerClosed
}

// Stop makes it be away.
func (m *MailServer) Stop() { _ = m.server.Close() } // it may be away already

// Letters returns what has arrived.
func (m *MailServer) Letters() []Letter {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]Letter(nil), m.letters...)
}

type session struct {
	server *MailServer
	conn   *smtp.Conn
	user   bool
	letter Letter
}

func (s *session) AuthMechanisms() []string { return []string{sasl.Plain} }

func (s *session) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, user, password string) error {
		if user != User || password != Password {
			return errors.New("who is that?")
		}
		s.user = true
		return nil
	}), nil
}

func (s *session) Mail(from string, _ *smtp.MailOptions) error {
	if !s.user {
		return smtp.ErrAuthRequired
	}
	_, encrypted := s.conn.TLSConnectionState()
	s.letter = Letter{From: from, TLS: encrypted}
	return nil
}

func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	if s.server.Refusing != nil {
		return s.server.Refusing
	}
	s.letter.To = append(s.letter.To, to)
	return nil
}

func (s *session) Data(r io.Reader) error {
	data, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	s.letter.Data = string(data)
	s.server.mu.Lock()
	defer s.server.mu.Unlock()
	s.server.letters = append(s.server.letters, s.letter)
	return nil
}

func (*session) Reset()        {}
func (*session) Logout() error { return nil }
