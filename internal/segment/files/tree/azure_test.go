package tree

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/stretchr/testify/require"

	"github.com/segment-export/segment-export/internal/segment"
)

// A login that Entra refuses must be corrected; one that does not reach Entra may
// work in a minute.
func TestALoginThatEntraDoesNotAnswer(t *testing.T) {
	a := &azureAccount{Address: Address{Scheme: SchemeAzure, Bucket: "people", Account: "shop"}}
	a.byEntra("contoso", "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee", "the source's credential")
	for status, test := range map[int]struct {
		says string
		mend bool
	}{
		0:                             {"azblob://people: Microsoft Entra, which logs the worker in, could not be reached", false},
		http.StatusServiceUnavailable: {"azblob://people: the login at Microsoft Entra answered with status 503", false},
		http.StatusTooManyRequests:    {"azblob://people: the login at Microsoft Entra answered with status 429", false},
		http.StatusBadRequest:         {"azblob://people: the login is refused (invalid_client); check tenant, client id and secret in the source's credential", true},
	} {
		failed := &azidentity.AuthenticationFailedError{}
		if status != 0 {
			failed.RawResponse = &http.Response{StatusCode: status, Request: &http.Request{}, Body: io.NopCloser(strings.NewReader(`{"error": "invalid_client"}`))}
		}
		err := a.explain(failed)
		require.EqualError(t, err, test.says)
		require.Equal(t, test.mend, errors.Is(err, segment.ErrAccess), status)
	}
}

func TestWhenASignatureExpires(t *testing.T) {
	for text, want := range map[string]string{
		"?sv=2024-11-04&se=2026-11-26T10%3A00%3A30Z&sig=x": "2026-11-26T10:00:30Z",
		"se=2026-11-26T10%3A00Z&sig=x":                     "2026-11-26T10:00:00Z",
		"se=2026-11-26&sig=x":                              "2026-11-26T00:00:00Z",
		"si=policy&sig=x":                                  "",
		"se=2026-11-26":                                    "",
		"c2VjcmV0":                                         "",
	} {
		until, ok := signedUntil(text)
		require.Equal(t, want != "", ok, text)
		if ok {
			require.Equal(t, want, until.UTC().Format("2006-01-02T15:04:05Z"), text)
		}
	}
}
