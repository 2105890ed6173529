package alerting

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/wneessen/go-mail"

	"github.com/segment-export/segment-export/internal/omnisend"
)

// Mail is an SMTP server and the addresses of a message. The connection is
// always encrypted: by STARTTLS, or from the start on port 465. Only a server
// on this machine may do without.
type Mail struct {
	Server   string   `json:"server"` // HOST:PORT
	From     string   `json:"from"`
	To       []string `json:"to"`
	Username string   `json:"username,omitempty"` // empty: no authentication
	Password string   `json:"password,omitempty"`
	Plain    bool     `json:"plain,omitempty"` // without encryption
	Roots    Roots    `json:"-"`
}

// implicitTLS is the port where TLS begins with the connection.
const implicitTLS = 465

// Check says whether mail can be sent like this.
func (m *Mail) Check() error {
	host, port, err := net.SplitHostPort(m.Server)
	if err != nil || host == "" {
		return fmt.Errorf("the mail server %q is not HOST:PORT", m.Server)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return fmt.Errorf("the mail server %q has no port", m.Server)
	}
	if m.Plain && !omnisend.IsLoopback("smtp://"+m.Server) {
		return fmt.Errorf("mail without encryption is for a server on this machine, %s is not", m.Server)
	}
	if len(m.To) == 0 {
		return errors.New("nobody is to receive the mail")
	}
	if m.Password != "" && m.Username == "" {
		return errors.New("there is a password and no user name for the mail server")
	}
	_, err = m.message(Message{ID: "check", Subject: "check"})
	return err
}

func (m *Mail) message(x Message) (*mail.Msg, error) {
	msg := mail.NewMsg()
	if err := msg.From(m.From); err != nil {
		return nil, errors.New("the address that mail is to come from is not one")
	}
	for _, to := range m.To {
		if err := msg.AddTo(to); err != nil {
			return nil, errors.New("an address that mail is to go to is not one")
		}
	}
	msg.Subject(x.Subject)
	msg.SetDateWithValue(x.At)
	msg.SetMessageIDWithValue(x.ID + "@segment-export")
	msg.SetGenHeader("Auto-Submitted", "auto-generated")
	msg.SetBodyString(mail.TypeTextPlain, x.Subject+"\n\n"+x.Text)
	return msg, nil
}

// Deliver sends the message.
func (m *Mail) Deliver(ctx context.Context, x Message) error {
	if err := m.Check(); err != nil {
		return &PermanentError{err.Error()}
	}
	msg, err := m.message(x)
	if err != nil {
		return &PermanentError{err.Error()}
	}
	client, err := m.client()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, Timeout)
	defer cancel()
	return m.failure(client.DialAndSendWithContext(ctx, msg))
}

// tryTimeout is how long Try waits for the server.
const tryTimeout = 5 * time.Second

// Try connects and logs in without sending anything, and says what would keep
// mail from being sent, such as a server without encryption. A server that is
// out of reach or slow now is no error: it may be back when there is something
// to send.
func (m *Mail) Try(ctx context.Context) error {
	client, err := m.client()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, tryTimeout)
	defer cancel()
	err = client.DialWithContext(ctx)
	if err == nil {
		_ = client.Close()
		return nil
	}
	if operation, ok := errors.AsType[*net.OpError](err); ctx.Err() != nil || ok && operation.Op == "dial" {
		return nil
	}
	return m.failure(err)
}

// client is one for the server, which is always encrypted unless Plain.
func (m *Mail) client() (*mail.Client, error) {
	host, portText, err := net.SplitHostPort(m.Server)
	if err != nil {
		return nil, err
	}
	port, err := strconv.Atoi(portText)
	if err != nil {
		return nil, err
	}
	policy := mail.TLSMandatory
	if m.Plain {
		policy = mail.NoTLS
	}
	options := []mail.Option{mail.WithPort(port), mail.WithTLSPolicy(policy), mail.WithTimeout(Timeout), mail.WithHELO("localhost"),
		mail.WithTLSConfig(&tls.Config{ServerName: host, MinVersion: tls.VersionTLS12, RootCAs: m.Roots})}
	if port == implicitTLS && !m.Plain {
		options = append(options, mail.WithSSL())
	}
	if m.Username != "" {
		options = append(options, mail.WithSMTPAuth(mail.SMTPAuthAutoDiscover), mail.WithUsername(m.Username), mail.WithPassword(m.Password))
	}
	client, err := mail.NewClient(host, options...)
	if err != nil {
		return nil, fmt.Errorf("the mail server %s cannot be used as it is set", m.Server)
	}
	return client, nil
}

// failure says what went wrong without what the server said, which may quote
// addresses.
func (m *Mail) failure(err error) error {
	if err == nil {
		return nil
	}
	if e, ok := errors.AsType[*mail.SendError](err); ok {
		return fmt.Errorf("the mail server %s did not take the mail (code %d)", m.Server, e.ErrorCode())
	}
	what := "failed"
	var (
		certificate *tls.CertificateVerificationError
		operation   *net.OpError
	)
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		what = "did not answer in time"
	case errors.As(err, &certificate):
		what = "has a certificate that is not trusted"
	case errors.As(err, &operation) && operation.Op == "dial":
		what = "is out of reach"
	case m.Username != "":
		what = "offers no encryption, or refuses the user name or password"
	case !m.Plain:
		what = "offers no encryption"
	}
	return fmt.Errorf("the mail server %s %s", m.Server, what)
}
