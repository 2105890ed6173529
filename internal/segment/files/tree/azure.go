package tree

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	azblob "github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/bloberror"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"
	"gocloud.dev/blob"
	"gocloud.dev/blob/azureblob"

	"github.com/segment-export/segment-export/internal/segment"
)

// azureLogin is the secret of an application registered in Entra.
type azureLogin struct {
	Tenant string `json:"tenant_id"`
	Client string `json:"client_id"`
	Secret string `json:"client_secret"`
}

const azureLoginLike = `{"tenant_id": "…", "client_id": "…", "client_secret": "…"}`

func azure(a Address, secret []byte) (provider, error) {
	return azureOver(a, secret, azcore.ClientOptions{})
}

// azureOver is azure where Entra or the way to it may be others than usual.
func azureOver(a Address, secret []byte, way azcore.ClientOptions) (provider, error) {
	p := provider{
		attributes: func(b *blob.Attributes) string { return bareETag(b.ETag) },
		listed: func(o *blob.ListObject) string {
			var item container.BlobItem
			if o.As(&item) && item.Properties != nil && item.Properties.ETag != nil {
				return bareETag(string(*item.Properties.ETag))
			}
			return ""
		},
		condition: func(as func(any) bool, stamp string) bool {
			var options *azblob.DownloadStreamOptions
			if !as(&options) {
				return false
			}
			etag := azcore.ETag(`"` + stamp + `"`)
			options.AccessConditions = &azblob.AccessConditions{
				ModifiedAccessConditions: &azblob.ModifiedAccessConditions{IfMatch: &etag},
			}
			return true
		},
		explain: a.explainAzure,
	}
	service := a.Endpoint
	if service == "" {
		service = "https://" + a.Account + ".blob.core.windows.net"
	}
	where, err := url.JoinPath(service, a.Bucket)
	if err != nil {
		return p, malformed("the endpoint %q is not a URL", a.Endpoint)
	}
	client, err := azureClient(where, a.Account, strings.TrimSpace(string(secret)), way)
	p.open = func(ctx context.Context) (*blob.Bucket, error) { return azureblob.OpenBucket(ctx, client, nil) }
	return p, err
}

// azureClient logs in with what the secret turns out to be.
func azureClient(where, account, secret string, way azcore.ClientOptions) (*container.Client, error) {
	options := &container.ClientOptions{ClientOptions: way}
	// Short: whoever reads goes on later from where it was.
	options.Retry = policy.RetryOptions{MaxRetries: 2, RetryDelay: 500 * time.Millisecond}
	_, signed := signature(secret)
	switch {
	case secret == "":
		identity, err := azidentity.NewDefaultAzureCredential(nil)
		if err != nil {
			return nil, err
		}
		return container.NewClient(where, identity, options)
	case strings.HasPrefix(secret, "{"):
		var login azureLogin
		if err := decodeSecret([]byte(secret), &login, azureLoginLike); err != nil {
			return nil, err
		}
		identity, err := azidentity.NewClientSecretCredential(login.Tenant, login.Client, login.Secret, &azidentity.ClientSecretCredentialOptions{
			ClientOptions:            way,
			DisableInstanceDiscovery: way.Cloud.ActiveDirectoryAuthorityHost != "", // no other is listed
		})
		if err != nil {
			return nil, malformed("the credentials of the Entra application lack something; they are like this: %s", azureLoginLike)
		}
		return container.NewClient(where, identity, options)
	case signed:
		return container.NewClientWithNoCredential(where+"?"+strings.TrimPrefix(secret, "?"), options)
	}
	if _, err := base64.StdEncoding.DecodeString(secret); err != nil {
		return nil, malformed("the credentials are none of: an account key (base64), a shared access signature (with sig=), an Entra application %s", azureLoginLike)
	}
	key, err := container.NewSharedKeyCredential(account, secret)
	if err != nil {
		return nil, malformed("the account key is not valid")
	}
	return container.NewClientWithSharedKeyCredential(where, key, options)
}

// bareETag is an ETag without its quotes: lists of Azure have none, headers do.
func bareETag(etag string) string { return strings.Trim(etag, `"`) }

// What Azure answers when the login is not accepted, and when it is but may not
// read.
var (
	azureRefused = []bloberror.Code{bloberror.AuthenticationFailed, bloberror.InvalidAuthenticationInfo,
		bloberror.NoAuthenticationInformation, bloberror.AccountIsDisabled, "KeyBasedAuthenticationNotPermitted"}
	azureForbidden = []bloberror.Code{bloberror.AuthorizationPermissionMismatch,
		bloberror.InsufficientAccountPermissions, bloberror.AuthorizationResourceTypeMismatch, bloberror.AuthorizationServiceMismatch,
		bloberror.AuthorizationSourceIPMismatch, bloberror.AuthorizationProtocolMismatch}
)

func (a Address) explainAzure(err error) error {
	failed, ok := errors.AsType[*azidentity.AuthenticationFailedError](err)
	if ok && (failed.RawResponse == nil || failed.RawResponse.StatusCode >= http.StatusInternalServerError || failed.RawResponse.StatusCode == http.StatusTooManyRequests) {
		return fmt.Errorf("%s: Microsoft Entra, which logs the worker in, could not be reached", a) // it may pass
	}
	if ok {
		return &segment.AccessError{
			Message: fmt.Sprintf("%s: Microsoft Entra refuses the login", a),
			Action:  "check tenant, client id and whether the client secret has expired; or give the source an account key or a shared access signature",
		}
	}
	if strings.Contains(err.Error(), "failed to acquire a token") || strings.HasPrefix(err.Error(), "DefaultAzureCredential") {
		return &segment.AccessError{
			Message: fmt.Sprintf("%s: the worker has no identity at Microsoft Entra", a),
			Action: "give the worker one (a managed identity, or AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET), " +
				"or give the source an account key or a shared access signature",
		}
	}
	e, ok := errors.AsType[*azcore.ResponseError](err)
	if !ok {
		return nil
	}
	code := bloberror.Code(e.ErrorCode)
	switch {
	case code == bloberror.ContainerNotFound, code == bloberror.ContainerBeingDeleted:
		return notFound("%s: the storage account %s has no container %q; put the container's name right, or make it", a, a.Account, a.Bucket)
	case slices.Contains(azureRefused, code), code == "" && e.StatusCode == http.StatusUnauthorized:
		return &segment.AccessError{
			Message: fmt.Sprintf("%s: the storage account %s refuses the credentials (%s)", a, a.Account, codeOr(e)),
			Action:  "give the source a valid account key or a shared access signature that has not expired; keys may have been rotated, or switched off for the account",
		}
	case code == bloberror.AuthorizationFailure: // may be any of it
		return &segment.AccessError{
			Message: fmt.Sprintf("%s: the storage account %s refuses the request (%s)", a, a.Account, codeOr(e)),
			Action: fmt.Sprintf("check that the key is the account's, or that the signature has not expired; that the login has the role "+
				"Storage Blob Data Reader on the container %q; and that the account's firewall lets the worker in", a.Bucket),
		}
	case slices.Contains(azureForbidden, code), e.StatusCode == http.StatusForbidden:
		return &segment.AccessError{
			Message: fmt.Sprintf("%s: the login is accepted but may not read here (%s)", a, codeOr(e)),
			Action: fmt.Sprintf("give it the role Storage Blob Data Reader on the container %q, or a signature with the permissions read and list; "+
				"see also whether the account's firewall lets the worker in", a.Bucket),
		}
	case e.StatusCode == http.StatusNotFound, e.StatusCode == http.StatusPreconditionFailed:
		return nil
	}
	return fmt.Errorf("%s: Azure answered %d %s", a, e.StatusCode, e.ErrorCode)
}

func codeOr(e *azcore.ResponseError) string {
	if e.ErrorCode == "" {
		return fmt.Sprintf("status %d", e.StatusCode)
	}
	return e.ErrorCode
}
