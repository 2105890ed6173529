package tree

import (
	"net/http"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/stretchr/testify/require"

	"github.com/segment-export/segment-export/internal/segment"
)

// A login that Entra refuses is somebody's to mend; one that does not get as far
// as Entra may be there again in a minute.
func TestALoginThatEntraDoesNotAnswer(t *testing.T) {
	a := Address{Scheme: SchemeAzure, Bucket: "people", Account: "shop"}
	for status, says := range map[int]string{
		0:                             "could not be reached",
		http.StatusServiceUnavailable: "could not be reached",
		http.StatusTooManyRequests:    "could not be reached",
		http.StatusBadRequest:         "Microsoft Entra refuses the login",
		http.StatusUnauthorized:       "Microsoft Entra refuses the login",
	} {
		failed := &azidentity.AuthenticationFailedError{}
		if status != 0 {
			failed.RawResponse = &http.Response{StatusCode: status, Request: &http.Request{}}
		}
		err := a.explainAzure(failed)
		require.ErrorContains(t, err, says)
		require.Equal(t, says != "could not be reached", isAccess(err), status)
	}
}

func isAccess(err error) bool {
	_, ok := err.(*segment.AccessError) //nolint:errorlint // it is the error itself
	return ok
}
