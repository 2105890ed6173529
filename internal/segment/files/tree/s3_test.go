package tree

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/segment-export/segment-export/internal/segment"
)

// The worker's own role is taken on at AWS' login service: what that refuses is
// not the bucket's refusal.
func TestARoleThatMayNotBeTakenOn(t *testing.T) {
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/xml")
		w.WriteHeader(http.StatusForbidden)
		_, _ = fmt.Fprint(w, `<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code><Message>Not authorized to perform sts:AssumeRoleWithWebIdentity</Message></Error></ErrorResponse>`)
	}))
	defer service.Close()
	token := filepath.Join(t.TempDir(), "token")
	require.NoError(t, os.WriteFile(token, []byte("token"), 0o600))
	for key, value := range map[string]string{
		"AWS_ROLE_ARN": "arn:aws:iam::123456789012:role/reader", "AWS_WEB_IDENTITY_TOKEN_FILE": token, "AWS_ENDPOINT_URL_STS": service.URL,
		"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "AWS_EC2_METADATA_DISABLED": "true",
		"AWS_CONFIG_FILE": filepath.Join(t.TempDir(), "none"), "AWS_SHARED_CREDENTIALS_FILE": filepath.Join(t.TempDir(), "none"),
	} {
		t.Setenv(key, value)
	}
	open := func() error {
		b, err := Bucket(Address{Scheme: SchemeS3, Bucket: "people", Endpoint: service.URL, Region: "eu-north-1"}, nil)
		require.NoError(t, err)
		_, err = b.List(t.Context(), "")
		return err
	}
	var refused *segment.AccessError
	require.ErrorAs(t, open(), &refused)
	require.Equal(t, "s3://people: AWS refuses the worker's own identity (AccessDenied)", refused.Message)
	require.Contains(t, refused.Action, "the worker's role")

	t.Setenv("AWS_ROLE_ARN", "")
	t.Setenv("AWS_WEB_IDENTITY_TOKEN_FILE", "")
	require.ErrorAs(t, open(), &refused)
	require.Equal(t, "s3://people: the worker has no AWS identity", refused.Message)
}
