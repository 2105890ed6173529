package tree

import (
	"encoding/json"
	"net/url"
	"strings"
	"time"

	"github.com/segment-export/segment-export/internal/segment"
)

// shortest is the length from which a value is taken for a secret: an account's
// name or a type is no secret, and to black it out would only confuse.
const shortest = 16

// secretsIn lists the texts that must not be shown, in the forms in which they
// might turn up in the text of an error.
func secretsIn(secret []byte) []string {
	whole := strings.TrimSpace(string(secret))
	if whole == "" {
		return nil
	}
	all := []string{whole}
	var fields map[string]any
	if json.Unmarshal(secret, &fields) == nil {
		for _, value := range fields {
			if text, ok := value.(string); ok && len(text) >= shortest {
				all = append(all, text)
			}
		}
	}
	if query, ok := signature(whole); ok {
		for _, sig := range query["sig"] {
			if sig != "" {
				all = append(all, sig, url.QueryEscape(sig), url.PathEscape(sig))
			}
		}
	}
	return all
}

// signature reads a shared access signature, the part of a URL after its
// question mark.
func signature(text string) (url.Values, bool) {
	query, err := url.ParseQuery(strings.TrimPrefix(text, "?"))
	return query, err == nil && query.Has("sig")
}

// signedUntil is when a shared access signature expires, if it says so itself.
func signedUntil(text string) (time.Time, bool) {
	query, signed := signature(text)
	if !signed {
		return time.Time{}, false
	}
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04Z07:00", time.DateOnly} {
		if until, err := time.Parse(layout, query.Get("se")); err == nil {
			return until, true
		}
	}
	return time.Time{}, false
}

// decodeSecret reads a secret that is a JSON object. Its errors show nothing
// of it.
func decodeSecret(secret []byte, into any, like string) error {
	if err := json.Unmarshal(secret, into); err != nil {
		return segment.Malformed("the credentials are not the JSON that is wanted: %s", like)
	}
	return nil
}
