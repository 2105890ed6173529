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
			return p, segment.Malformed("the credentials are not the JSON key of a service account")
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
		if bucket.As(&service) { // without it, the client retries without end
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
		response, err := p.RoundTripper.RoundTrip(r) //nolint:bodyclose // its caller closes it
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
	refused := func(action, what string) error {
		return &segment.AccessError{Message: fmt.Sprintf("%s: %s", a, what), Action: action}
	}
	if errors.Is(err, storage.ErrBucketNotExist) {
		return segment.NotFound("%s: there is no bucket %q; put the bucket's name right, or make it", a, a.Bucket)
	}
	if e, ok := errors.AsType[*oauth2.RetrieveError](err); ok {
		return a.noToken(e)
	}
	if containsAny(err.Error(), "could not find default credentials") {
		return refused("give the worker one (GOOGLE_APPLICATION_CREDENTIALS, or a service account of its machine), or give the source the JSON key of a service account",
			"the worker has no identity at Google")
	}
	e, ok := errors.AsType[*googleapi.Error](err)
	if !ok {
		return nil
	}
	reason := ""
	if len(e.Errors) > 0 {
		reason = e.Errors[0].Reason
	}
	switch {
	case reason == "accountDisabled", reason == "userProjectAccountProblem":
		return refused("turn its billing on in the Google Cloud console", "the billing of the bucket's project is off")
	case reason == "userProjectMissing":
		return refused("turn \"Requester pays\" of the bucket off", "the bucket makes its readers pay")
	case e.Code == http.StatusUnauthorized:
		return refused("give the source a valid key of a service account; it may have been deleted or disabled", "Google Cloud Storage refuses the login")
	case e.Code == http.StatusForbidden:
		return refused(fmt.Sprintf("give it the role Storage Object Viewer on the bucket %q", a.Bucket), "the login is accepted but may not read here")
	case e.Code == http.StatusPreconditionFailed, e.Code == http.StatusNotFound:
		return nil
	}
	return fmt.Errorf("%s: Google Cloud Storage answered %d", a, e.Code)
}

// noToken says why Google's login gives no token. Its words, which are all that
// tells one refusal from another, are not passed on.
func (a Address) noToken(e *oauth2.RetrieveError) error {
	status := 0
	if e.Response != nil {
		status = e.Response.StatusCode
	}
	if status >= http.StatusInternalServerError || status == http.StatusTooManyRequests {
		return fmt.Errorf("%s: Google's login answered with status %d", a, status) // it may pass
	}
	message, action := "Google refuses the login", "give the source a valid key of a service account; it may have been deleted or disabled"
	switch said := e.ErrorDescription + string(e.Body); {
	case containsAny(said, "reasonable timeframe", "iat and exp"):
		message, action = "Google finds the login's time wrong", "set the clock of the worker's machine"
	case containsAny(said, "Invalid JWT Signature"):
		message, action = "the key is not, or not any more, one of its service account", "make a new key of the service account and give it to the source"
	case containsAny(said, "account not found"):
		message, action = "the service account of the key is not there any more, or disabled", "give the source the key of another service account, or enable this one"
	}
	return &segment.AccessError{Message: fmt.Sprintf("%s: %s", a, message), Action: action}
}

func containsAny(text string, parts ...string) bool {
	for _, part := range parts {
		if strings.Contains(text, part) {
			return true
		}
	}
	return false
}
