package tree

import (
	"context"
	"errors"
	"fmt"
	"net/http"

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
			return p, malformed("the credentials lack something; they are like this: %s", s3LoginLike)
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
	code := ""
	if e, ok := errors.AsType[smithy.APIError](err); ok {
		code = e.ErrorCode()
	}
	status := 0
	if e, ok := errors.AsType[*awshttp.ResponseError](err); ok {
		status = e.HTTPStatusCode()
	}
	switch {
	case code == "NoSuchBucket":
		return notFound("%s: there is no bucket %q; put the bucket's name right, or make it", a, a.Bucket)
	case code == "InvalidAccessKeyId", code == "SignatureDoesNotMatch", code == "ExpiredToken", code == "InvalidToken", status == http.StatusUnauthorized:
		return &segment.AccessError{
			Message: fmt.Sprintf("%s: S3 refuses the access key (%s)", a, code),
			Action:  "give the source a valid access key; it may have been deleted, made inactive or have expired",
		}
	case status == http.StatusMovedPermanently, code == "PermanentRedirect", code == "AuthorizationHeaderMalformed":
		return &segment.AccessError{
			Message: fmt.Sprintf("%s: the bucket is in another region", a),
			Action:  "give the source the bucket's region",
		}
	case code == "AccessDenied", status == http.StatusForbidden:
		return &segment.AccessError{
			Message: fmt.Sprintf("%s: the login is accepted but may not read here, or what is asked for is not there", a),
			Action:  fmt.Sprintf("allow s3:ListBucket on the bucket %q and s3:GetObject on its objects", a.Bucket),
		}
	case status == 0 && code == "" && credentialsFailed(err):
		return &segment.AccessError{
			Message: fmt.Sprintf("%s: the worker has no AWS identity", a),
			Action:  "give the worker one (a role, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY), or give the source an access key",
		}
	}
	return nil
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
