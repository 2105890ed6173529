package alerting

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/segment-export/segment-export/internal/omnisend"
)

// Format is the shape of a webhook's body.
type Format string

// The formats. Both hold the structured fields under "segment_export".
const (
	FormatText  Format = "text"  // {"text": …}: Slack, Mattermost, Google Chat, anything of your own
	FormatTeams Format = "teams" // an adaptive card: the Workflows of Microsoft Teams
)

// Webhook is a URL that messages are posted to. The URL is a secret: with many
// services, anyone who has it may post.
type Webhook struct {
	URL    string `json:"url"`
	Key    string `json:"key"` // the requests are signed with it
	Format Format `json:"format"`
	Roots  Roots  `json:"-"`

	now func() time.Time
}

// The headers of a request. The signature is "v1=" and the hexadecimal
// HMAC-SHA256, under the key, of the timestamp, a dot, and the body.
const (
	HeaderID        = "Segment-Export-Id"
	HeaderTimestamp = "Segment-Export-Timestamp" // seconds since 1970
	HeaderSignature = "Segment-Export-Signature"
)

// minKey is the length of the shortest signing key, in bytes.
const minKey = 16

// Check says whether requests can be made like this.
func (w *Webhook) Check() error {
	u, err := url.Parse(w.URL)
	switch {
	case err != nil || u.Host == "":
		return errors.New("the webhook's URL is not one")
	case u.Scheme != "https" && (u.Scheme != "http" || !omnisend.IsLoopback(w.URL)):
		return errors.New("the webhook's URL is not https, and not on this machine")
	case u.User != nil:
		return errors.New("the webhook's URL has a user name in it, which is not used")
	case len(w.Key) < minKey:
		return fmt.Errorf("the signing key is shorter than %d characters", minKey)
	case w.Format != FormatText && w.Format != FormatTeams:
		return fmt.Errorf("the format %q is neither %s nor %s", w.Format, FormatText, FormatTeams)
	}
	return nil
}

// Host is the part of the URL that is no secret.
func (w *Webhook) Host() string {
	u, err := url.Parse(w.URL)
	if err != nil {
		return ""
	}
	return u.Host
}

// FormatFor guesses the format from the URL.
func FormatFor(rawURL string) Format {
	u, err := url.Parse(rawURL)
	if err == nil {
		for _, domain := range []string{".logic.azure.com", ".api.powerplatform.com", ".webhook.office.com"} {
			if strings.HasSuffix(u.Hostname(), domain) {
				return FormatTeams
			}
		}
	}
	return FormatText
}

// Sign returns the signature of a body.
func Sign(key string, timestamp string, body []byte) string {
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write([]byte(timestamp + "."))
	mac.Write(body)
	return "v1=" + hex.EncodeToString(mac.Sum(nil))
}

// Deliver posts the message. Redirects are not followed: the signature is for the
// receiver at this URL.
func (w *Webhook) Deliver(ctx context.Context, m Message) error {
	if err := w.Check(); err != nil {
		return &PermanentError{err.Error()}
	}
	body, err := w.body(m)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, Timeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, w.URL, bytes.NewReader(body))
	if err != nil {
		return &PermanentError{"the webhook's URL is not one"}
	}
	now := time.Now
	if w.now != nil {
		now = w.now
	}
	timestamp := strconv.FormatInt(now().Unix(), 10)
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("User-Agent", "segment-export")
	r.Header.Set(HeaderID, m.ID)
	r.Header.Set(HeaderTimestamp, timestamp)
	r.Header.Set(HeaderSignature, Sign(w.Key, timestamp, body))
	transport := &http.Transport{Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true,
		TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: w.Roots}}
	client := &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	answer, err := client.Do(r)
	if err != nil {
		return fmt.Errorf("the webhook at %s %s", w.Host(), unreached(err))
	}
	defer answer.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(answer.Body, 64<<10)) // what it says is not ours to tell
	if answer.StatusCode < 200 || answer.StatusCode > 299 {
		return fmt.Errorf("the webhook at %s answered %d", w.Host(), answer.StatusCode)
	}
	return nil
}

// unreached says why there was no answer: the client's own error has the URL.
func unreached(err error) string {
	var certificate *tls.CertificateVerificationError
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return "did not answer in time"
	case errors.As(err, &certificate):
		return "has a certificate that is not trusted"
	}
	return "is out of reach"
}

// escaped keeps a name from being read as one of Slack's own marks, which call
// people.
var escaped = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")

func (w *Webhook) body(m Message) ([]byte, error) {
	if w.Format == FormatTeams {
		return json.Marshal(map[string]any{
			"type": "message",
			"attachments": []any{map[string]any{
				"contentType": "application/vnd.microsoft.card.adaptive",
				"content": map[string]any{
					"$schema": "http://adaptivecards.io/schemas/adaptive-card.json", "type": "AdaptiveCard", "version": "1.4",
					"body": []any{
						map[string]any{"type": "TextBlock", "text": m.Subject, "weight": "Bolder", "wrap": true},
						map[string]any{"type": "TextBlock", "text": m.Text, "wrap": true},
					},
				},
			}},
			"segment_export": m.Fields,
		})
	}
	return json.Marshal(map[string]any{"text": escaped.Replace(m.Subject + "\n" + m.Text), "segment_export": m.Fields})
}
