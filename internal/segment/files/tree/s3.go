package tree

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"
	"gocloud.dev/blob"
	"gocloud.dev/blob/s3blob"

	"github.com/segment-export/segment-export/internal/segment"
)

// s3Login is an access key; the token belongs to keys for a short time.
type s3Login struct {
	ID     string `json:"access_key_id"`
	Secret string `json:"secret_access_key"`
	Token  string `json:"session_token"`
}

const s3LoginLike = `{"access_key_id": "…", "secret_access_key": "…"}`

// s3Region is where a bucket is looked for when nothing says another place.
const s3Region = "us-east-1"

func s3(a Address, secret []byte) (provider, error) {
	p := provider{
		attributes: func(b *blob.Attributes) string { return bareETag(b.ETag) },
		listed: func(o *blob.ListObject) string {
			var object types.Object
			if o.As(&object) {
				return bareETag(aws.ToString(object.ETag))
			}
			return ""
		},
		condition: func(as func(any) bool, stamp string) bool {
			var input *awss3.GetObjectInput
			if !as(&input) {
				return false
			}
			input.IfMatch = aws.String(`"` + stamp + `"`)
			return true
		},
		explain: a.explainS3,
	}
	var options []func(*config.LoadOptions) error
	if a.Region != "" {
		options = append(options, config.WithRegion(a.Region))
	}
	if len(secret) > 0 {
		var login s3Login
		if err := decodeSecret(secret, &login, s3LoginLike); err != nil {
			return p, err
		}
		if login.ID == "" || login.Secret == "" {
			return p, segment.Malformed("the credentials lack something; they are like this: %s", s3LoginLike)
		}
		options = append(options, config.WithCredentialsProvider(
			credentials.NewStaticCredentialsProvider(login.ID, login.Secret, login.Token)))
	}
	p.open = func(ctx context.Context) (*blob.Bucket, error) {
		c, err := config.LoadDefaultConfig(ctx, options...)
		if err != nil {
			return nil, err
		}
		if c.Region == "" {
			c.Region = s3Region
		}
		client := awss3.NewFromConfig(c, func(o *awss3.Options) {
			// Ranges have no checksums to be checked.
			o.ResponseChecksumValidation = aws.ResponseChecksumValidationWhenRequired
			if a.Endpoint != "" {
				o.BaseEndpoint = aws.String(a.Endpoint)
				o.UsePathStyle = true
			}
		})
		return s3blob.OpenBucket(ctx, client, a.Bucket, nil)
	}
	return p, nil
}

func (a Address) explainS3(err error) error {
	code, message := "", ""
	if e, ok := errors.AsType[smithy.APIError](err); ok {
		code, message = e.ErrorCode(), e.ErrorMessage()
	}
	status, region := 0, ""
	if e, ok := errors.AsType[*awshttp.ResponseError](err); ok {
		status = e.HTTPStatusCode()
		if e.Response != nil {
			region = e.Response.Header.Get("X-Amz-Bucket-Region")
		}
	}
	refused := func(action, what string, args ...any) error {
		return &segment.AccessError{Message: fmt.Sprintf("%s: %s", a, fmt.Sprintf(what, args...)), Action: action}
	}
	switch {
	case code != "" && ofLogin(err):
		return refused("see that the worker's role may still be taken on by it; or give the source an access key",
			"AWS refuses the worker's own identity (%s)", code)
	case code == "NoSuchBucket":
		return segment.NotFound("%s: there is no bucket %q; put the bucket's name right, or make it", a, a.Bucket)
	case status == http.StatusMovedPermanently, code == "PermanentRedirect", code == "AuthorizationHeaderMalformed", code == "IllegalLocationConstraintException":
		if expected := expectedRegion.FindStringSubmatch(message); region == "" && expected != nil {
			region = expected[1]
		}
		if region == "" || region == a.Region {
			return refused("give the source the bucket's region", "the bucket is in another region")
		}
		return refused("give the source that region: starter source edit NAME --region "+region, "the bucket is in the region %s", region)
	case code == "InvalidAccessKeyId":
		return refused("give the source a valid access key; this one was deleted, or is another account's", "S3 does not know the access key (%s)", code)
	case code == "SignatureDoesNotMatch":
		return refused("give the source the secret that belongs to the access key", "the secret does not belong to the access key (%s)", code)
	case code == "ExpiredToken", code == "TokenRefreshRequired":
		return refused("give the source a new key with its session_token; a key of an IAM user, which has none, does not expire",
			"the session token of the access key has expired (%s)", code)
	case code == "InvalidToken":
		return refused("give the source key, secret and session_token of the same session", "the session token does not belong to the access key (%s)", code)
	case code == "RequestTimeTooSkewed":
		return refused("set the clock of the worker's machine", "the worker's clock is too far from the service's (%s)", code)
	case status == http.StatusUnauthorized, code == "BadRequest": // the latter is an answer without a body
		return refused("give the source a valid access key; it may have been deleted, made inactive or have expired", "S3 refuses the access key (%s)", code)
	case code == "InvalidObjectState":
		return refused("restore it, or have it written to a storage class that can be read at once", "what is asked for is archived")
	case code == "AccessDenied", status == http.StatusForbidden:
		return refused(fmt.Sprintf("allow s3:ListBucket on the bucket %q and s3:GetObject on its objects; for objects encrypted with a key of KMS also kms:Decrypt on that", a.Bucket),
			"the login is accepted but may not read here, or what is asked for is not there")
	case status == 0 && code == "" && credentialsFailed(err):
		return refused("give the worker one (a role, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY), or give the source an access key", "the worker has no AWS identity")
	}
	return nil
}

// expectedRegion is how S3 says, in words only, where a bucket is.
var expectedRegion = regexp.MustCompile(`expecting '([a-z0-9-]{4,30})'`)

// ofLogin says whether it is not the bucket that answered so but a service that
// gives the worker's own identity.
func ofLogin(err error) bool {
	for e := err; e != nil; e = errors.Unwrap(e) {
		if operation, ok := e.(*smithy.OperationError); ok && (operation.ServiceID == "STS" || strings.HasPrefix(operation.ServiceID, "SSO")) { //nolint:errorlint // each one in turn
			return true
		}
	}
	return false
}

// credentialsFailed recognises that no credentials were found, for which the
// library has no type of its own.
func credentialsFailed(err error) bool {
	var signing interface{ error }
	if e, ok := errors.AsType[*smithy.OperationError](err); ok {
		signing = e.Err
	}
	return signing != nil && containsAny(signing.Error(), "get identity: get credentials", "failed to refresh cached credentials")
}
