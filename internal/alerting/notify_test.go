package alerting_test

import (
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/emersion/go-smtp"
	"github.com/stretchr/testify/require"

	"github.com/segment-export/segment-export/internal/alerting"
	"github.com/segment-export/segment-export/internal/alerting/alertingtest"
)

var message = alerting.Message{ID: "ops-spring-7", At: time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC),
	Subject: "spring <failed>", Text: "no such column\nsee: starter runs show", Fields: map[string]any{"export": "spring"}}

const key = "a key of some length"

func TestMailArrivesOverSTARTTLS(t *testing.T) {
	server := alertingtest.NewMailServer(t)
	m := &alerting.Mail{Server: server.Address, From: "exports@example.com", To: []string{"ann@example.com", "bob@example.com"},
		Username: alertingtest.User, Password: alertingtest.Password, Roots: server.Roots}
	require.NoError(t, m.Deliver(t.Context(), message))
	letters := server.Letters()
	require.Len(t, letters, 1)
	require.True(t, letters[0].TLS)
	require.Equal(t, m.To, letters[0].To)
	for _, want := range []string{"Subject: spring <failed>", "Message-ID: <ops-spring-7@segment-export>", "Date: Tue, 24 Nov 2026 09:00:00 +0000",
		"no such column", "Auto-Submitted: auto-generated"} {
		require.Contains(t, letters[0].Data, want)
	}

	// Failures name the server, nobody and no password.
	server.Refusing = &smtp.SMTPError{Code: 550, Message: "no ann@example.com here"}
	err := m.Deliver(t.Context(), message)
	require.EqualError(t, err, "the mail server "+server.Address+" did not take the mail (code 550)")
	m.Password = "wrong-password"
	err = m.Deliver(t.Context(), message)
	require.ErrorContains(t, err, "refuses the user name or password")
	require.NotContains(t, err.Error(), m.Password)
	m.Password, m.Roots = alertingtest.Password, nil
	require.Error(t, m.Deliver(t.Context(), message), "the certificate is checked")
	server.Stop()
	require.EqualError(t, m.Deliver(t.Context(), message), "the mail server "+server.Address+" is out of reach")
}

func TestMailIsNeverSentWithoutEncryption(t *testing.T) {
	// A server that offers no STARTTLS.
	m := &alerting.Mail{Server: "mail.example.com:25", From: "a@example.com", To: []string{"b@example.com"}, Plain: true}
	require.ErrorContains(t, m.Check(), "for a server on this machine")
	m.Plain = false
	require.NoError(t, m.Check())
	for spoil, want := range map[*alerting.Mail]string{
		{Server: "mail", From: m.From, To: m.To}:                   "HOST:PORT",
		{Server: "mail:smtp", From: m.From, To: m.To}:              "no port",
		{Server: m.Server, From: "ann", To: m.To}:                  "come from",
		{Server: m.Server, From: m.From, To: []string{"x"}}:        "go to",
		{Server: m.Server, From: m.From}:                           "nobody",
		{Server: m.Server, From: m.From, To: m.To, Password: "p"}:  "no user name",
		{Server: m.Server, From: m.From, To: []string{"a\r\nb@c"}}: "go to",
	} {
		require.ErrorContains(t, spoil.Check(), want)
	}
}

// What keeps mail from being sent is found without sending any.
func TestMailServerIsTried(t *testing.T) {
	server := alertingtest.NewMailServer(t)
	m := &alerting.Mail{Server: server.Address, From: "exports@example.com", To: []string{"ann@example.com"},
		Username: alertingtest.User, Password: alertingtest.Password, Roots: server.Roots}
	require.NoError(t, m.Try(t.Context()))
	m.Password = "wrong"
	require.ErrorContains(t, m.Try(t.Context()), "refuses the user name or password")
	server.Stop()
	require.NoError(t, m.Try(t.Context()), "it may be back when there is something to send")
	require.Empty(t, server.Letters())

	plain := smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) { return nil, errors.New("not this far") }))
	listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // of a test
	require.NoError(t, err)
	go func() { _ = plain.Serve(listener) }() // ends with the test
	t.Cleanup(func() { _ = plain.Close() })
	m = &alerting.Mail{Server: listener.Addr().String(), From: "exports@example.com", To: []string{"ann@example.com"}}
	require.EqualError(t, m.Try(t.Context()), "the mail server "+m.Server+" offers no encryption")
}

func TestWebhooksAreSigned(t *testing.T) {
	receiver := alertingtest.NewReceiver(t, key)
	w := &alerting.Webhook{URL: receiver.URL, Key: key, Format: alerting.FormatText, Roots: receiver.Roots}
	require.NoError(t, w.Deliver(t.Context(), message))
	bodies, ids := receiver.Bodies()
	require.Equal(t, []string{"ops-spring-7"}, ids)
	require.JSONEq(t, `{"text":"spring &lt;failed&gt;\nno such column\nsee: starter runs show","segment_export":{"export":"spring"}}`, bodies[0])

	w.Format = alerting.FormatTeams
	require.NoError(t, w.Deliver(t.Context(), message))
	bodies, _ = receiver.Bodies()
	var card struct {
		Type        string `json:"type"`
		Attachments []struct {
			ContentType string `json:"contentType"`
			Content     struct {
				Type string                  `json:"type"`
				Body []struct{ Text string } `json:"body"`
			} `json:"content"`
		} `json:"attachments"`
	}
	require.NoError(t, json.Unmarshal([]byte(bodies[1]), &card))
	require.Equal(t, "message", card.Type)
	require.Equal(t, "application/vnd.microsoft.card.adaptive", card.Attachments[0].ContentType)
	require.Equal(t, "AdaptiveCard", card.Attachments[0].Content.Type)
	require.Equal(t, message.Subject, card.Attachments[0].Content.Body[0].Text)

	// Failures name the host only: the rest of the URL is a secret.
	w.Key = "another key, just as long"
	require.EqualError(t, w.Deliver(t.Context(), message), "the webhook at "+w.Host()+" answered 403")
	w.Key, w.Roots = key, nil
	require.EqualError(t, w.Deliver(t.Context(), message), "the webhook at "+w.Host()+" has a certificate that is not trusted")
}

func TestWebhooksGoNowhereElse(t *testing.T) {
	var followed bool
	mux := http.NewServeMux()
	mux.HandleFunc("/here", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "/there", http.StatusTemporaryRedirect)
	})
	mux.HandleFunc("/there", func(http.ResponseWriter, *http.Request) { followed = true })
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	w := &alerting.Webhook{URL: server.URL + "/here", Key: key, Format: alerting.FormatText}
	require.ErrorContains(t, w.Deliver(t.Context(), message), "answered 307")
	require.False(t, followed)

	for _, bad := range []string{"http://example.com/hook", "ftp://example.com", "https://", "https://me:secret@example.com/", "::"} {
		w.URL = bad
		require.Error(t, w.Check(), bad)
	}
	w.URL, w.Key = "https://example.com", "short"
	require.ErrorContains(t, w.Check(), "shorter")
	w.Key, w.Format = key, "xml"
	require.ErrorContains(t, w.Check(), "neither")
	require.Equal(t, alerting.FormatTeams, alerting.FormatFor("https://prod-1.westeurope.logic.azure.com/workflows/x"))
	require.Equal(t, alerting.FormatText, alerting.FormatFor("https://hooks.slack.com/services/x"))
}
