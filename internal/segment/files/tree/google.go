package tree

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"cloud.google.com/go/storage"
	"gocloud.dev/blob"
	"gocloud.dev/blob/gcsblob"
	"gocloud.dev/gcp"
	"golang.org/x/oauth2"
	googleauth "golang.org/x/oauth2/google"
	"golang.org/x/oauth2/jwt"
	"google.golang.org/api/googleapi"
	"google.golang.org/api/option"

	"github.com/segment-export/segment-export/internal/segment"
)

func google(a Address, secret []byte) (provider, error) {
	p := provider{
		attributes: func(b *blob.Attributes) string {
			var attrs storage.ObjectAttrs
			if b.As(&attrs) {
				return strconv.FormatInt(attrs.Generation, 10)
			}
			return ""
		},
		listed: func(o *blob.ListObject) string {
			var attrs storage.ObjectAttrs
			if o.As(&attrs) {
				return strconv.FormatInt(attrs.Generation, 10)
			}
			return ""
		},
		condition: func(as func(any) bool, stamp string) bool {
			var handle **storage.ObjectHandle
			generation, err := strconv.ParseInt(stamp, 10, 64)
			if err != nil || !as(&handle) {
				return false
			}
			*handle = (*handle).If(storage.Conditions{GenerationMatch: generation})
			return true
		},
		explain: a.explainGoogle,
	}
	var key *jwt.Config
	if len(secret) > 0 {
		// Only a service account's key: other kinds of credentials name a URL or
		// even a program of their own to get a token from.
		var err error
		if key, err = googleauth.JWTConfigFromJSON(secret, storage.ScopeReadOnly); err != nil {
			return p, malformed("the credentials are not the JSON key of a service account")
		}
	}
	p.open = func(ctx context.Context) (*blob.Bucket, error) {
		// Tokens are renewed later, by requests of their own that know nothing of
		// the one that needs them.
		lasting := context.WithValue(context.WithoutCancel(ctx), oauth2.HTTPClient, &http.Client{Timeout: patience})
		var tokens oauth2.TokenSource
		if key != nil {
			tokens = key.TokenSource(lasting)
		} else {
			own, err := googleauth.FindDefaultCredentials(lasting, storage.ScopeReadOnly)
			if err != nil {
				return nil, err
			}
			tokens = own.TokenSource
		}
		client, err := gcp.NewHTTPClient(http.DefaultTransport, tokens)
		if err != nil {
			return nil, err
		}
		client.Transport = prompt{client.Transport}
		var options gcsblob.Options
		if a.Endpoint != "" {
			options.ClientOptions = append(options.ClientOptions, option.WithEndpoint(a.Endpoint+"/storage/v1/"))
		}
		bucket, err := gcsblob.OpenBucket(ctx, client, a.Bucket, &options)
		if err != nil {
			return nil, err
		}
		var service *storage.Client
		if bucket.As(&service) { // by itself it tries again for as long as it is let
			service.SetRetry(storage.WithMaxAttempts(attempts))
		}
		return bucket, nil
	}
	return p, nil
}

// prompt gives a request up when its context ends, also while a token is
// fetched for it.
type prompt struct{ http.RoundTripper }

func (p prompt) RoundTrip(r *http.Request) (*http.Response, error) {
	type answered struct {
		response *http.Response
		err      error
	}
	done := make(chan answered, 1)
	go func() {
		response, err := p.RoundTripper.RoundTrip(r)
		done <- answered{response, err}
	}()
	select {
	case a := <-done:
		return a.response, a.err
	case <-r.Context().Done():
		go func() {
			if a := <-done; a.err == nil {
				_ = a.response.Body.Close()
			}
		}()
		return nil, r.Context().Err()
	}
}

func (a Address) explainGoogle(err error) error {
	if errors.Is(err, storage.ErrBucketNotExist) {
		return notFound("%s: there is no bucket %q; put the bucket's name right, or make it", a, a.Bucket)
	}
	if _, ok := errors.AsType[*oauth2.RetrieveError](err); ok {
		return &segment.AccessError{
			Message: fmt.Sprintf("%s: Google refuses the login", a),
			Action:  "give the source a valid key of a service account; it may have been deleted or disabled",
		}
	}
	if containsAny(err.Error(), "could not find default credentials") {
		return &segment.AccessError{
			Message: fmt.Sprintf("%s: the worker has no identity at Google", a),
			Action:  "give the worker one (GOOGLE_APPLICATION_CREDENTIALS, or a service account of its machine), or give the source the JSON key of a service account",
		}
	}
	e, ok := errors.AsType[*googleapi.Error](err)
	if !ok {
		return nil
	}
	switch e.Code {
	case http.StatusUnauthorized:
		return &segment.AccessError{
			Message: fmt.Sprintf("%s: Google Cloud Storage refuses the login", a),
			Action:  "give the source a valid key of a service account; it may have been deleted or disabled",
		}
	case http.StatusForbidden:
		return &segment.AccessError{
			Message: fmt.Sprintf("%s: the login is accepted but may not read here", a),
			Action:  fmt.Sprintf("give it the role Storage Object Viewer on the bucket %q", a.Bucket),
		}
	case http.StatusPreconditionFailed, http.StatusNotFound:
		return nil
	}
	return fmt.Errorf("%s: Google Cloud Storage answered %d", a, e.Code)
}

func containsAny(text string, parts ...string) bool {
	for _, part := range parts {
		if strings.Contains(text, part) {
			return true
		}
	}
	return false
}
