package tree

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
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
	"github.com/segment-export/segment-export/internal/segment/entra"
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
	account := &azureAccount{Address: a, secret: strings.TrimSpace(string(secret))}
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
		explain: account.explain,
	}
	service := a.Endpoint
	if service == "" {
		service = "https://" + a.Account + ".blob.core.windows.net"
	}
	where, err := url.JoinPath(service, a.Bucket)
	if err != nil {
		return p, segment.Malformed("the endpoint %q is not a URL", a.Endpoint)
	}
	client, err := account.client(where, way)
	p.open = func(ctx context.Context) (*blob.Bucket, error) { return azureblob.OpenBucket(ctx, client, nil) }
	return p, err
}

// azureAccount is a storage account and a login to it.
type azureAccount struct {
	Address

	secret string
	login  *entra.Login // nil: with a key or a signature, not by Entra
	own    bool         // the login is the worker's own
}

// client logs in with what the secret turns out to be.
func (a *azureAccount) client(where string, way azcore.ClientOptions) (*container.Client, error) {
	options := &container.ClientOptions{ClientOptions: way}
	// Short: the reader retries later, from where it was.
	options.Retry = policy.RetryOptions{MaxRetries: 2, RetryDelay: 500 * time.Millisecond}
	unlisted := way.Cloud.ActiveDirectoryAuthorityHost != "" // in the directory of authorities
	_, signed := signature(a.secret)
	switch {
	case a.secret == "":
		a.own = true
		a.byEntra(os.Getenv("AZURE_TENANT_ID"), os.Getenv("AZURE_CLIENT_ID"), "the worker's environment ("+azureVariables+")")
		identity, err := azidentity.NewDefaultAzureCredential(&azidentity.DefaultAzureCredentialOptions{ClientOptions: way, DisableInstanceDiscovery: unlisted})
		if err != nil {
			return nil, segment.Malformed("the worker's environment has no identity of Azure that can be used: %v", err)
		}
		return container.NewClient(where, identity, options)
	case strings.HasPrefix(a.secret, "{"):
		var login azureLogin
		if err := decodeSecret([]byte(a.secret), &login, azureLoginLike); err != nil {
			return nil, err
		}
		a.byEntra(login.Tenant, login.Client, "the source's credential")
		identity, err := azidentity.NewClientSecretCredential(login.Tenant, login.Client, login.Secret, &azidentity.ClientSecretCredentialOptions{
			ClientOptions:            way,
			DisableInstanceDiscovery: unlisted,
		})
		if err != nil {
			return nil, segment.Malformed("the credentials of the Entra application lack something; they are like this: %s", azureLoginLike)
		}
		return container.NewClient(where, identity, options)
	case signed:
		return container.NewClientWithNoCredential(where+"?"+strings.TrimPrefix(a.secret, "?"), options)
	}
	if _, err := base64.StdEncoding.DecodeString(a.secret); err != nil {
		return nil, segment.Malformed("the credentials are none of: an account key (base64), a shared access signature (with sig=), an Entra application %s", azureLoginLike)
	}
	key, err := container.NewSharedKeyCredential(a.Account, a.secret)
	if err != nil {
		return nil, segment.Malformed("the account key is not valid")
	}
	return container.NewClientWithSharedKeyCredential(where, key, options)
}

// azureVariables are what the worker's own identity may come from.
const azureVariables = "AZURE_TENANT_ID, AZURE_CLIENT_ID, AZURE_CLIENT_SECRET"

// byEntra notes who logs in at Entra.
func (a *azureAccount) byEntra(tenant, client, settings string) {
	a.login = &entra.Login{Authority: "Microsoft Entra", Tenant: tenant, ClientID: client, Settings: settings,
		Resource: entra.Resource{Name: "Azure Storage", API: "Azure Storage", Check: "check that the tenant is that of the storage account's subscription"}}
}

// bareETag is an ETag without its quotes: lists of Azure have none, headers do.
func bareETag(etag string) string { return strings.Trim(etag, `"`) }

// What Azure answers when the login is not accepted, and when it is but may not
// read.
var (
	azureRefused = []bloberror.Code{bloberror.AuthenticationFailed, bloberror.InvalidAuthenticationInfo,
		bloberror.NoAuthenticationInformation, "KeyBasedAuthenticationNotPermitted"}
	azureForbidden = []bloberror.Code{bloberror.AuthorizationPermissionMismatch,
		bloberror.InsufficientAccountPermissions, bloberror.AuthorizationResourceTypeMismatch, bloberror.AuthorizationServiceMismatch,
		bloberror.AuthorizationSourceIPMismatch, bloberror.AuthorizationProtocolMismatch}
)

func (a *azureAccount) explain(err error) error {
	if failed, ok := errors.AsType[*azidentity.AuthenticationFailedError](err); ok {
		return a.notLoggedIn(failed)
	}
	if strings.Contains(err.Error(), "failed to acquire a token") || strings.HasPrefix(err.Error(), "DefaultAzureCredential") {
		return &segment.AccessError{
			Message: fmt.Sprintf("%s: the worker has no identity at Microsoft Entra", a),
			Action: "give the worker one (a managed identity, or " + azureVariables + "), " +
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
		return segment.NotFound("%s: the storage account %s has no container %q; put the container's name right, or make it", a, a.Account, a.Bucket)
	case code == bloberror.AccountIsDisabled:
		return &segment.AccessError{
			Message: fmt.Sprintf("%s: the storage account %s is disabled (%s)", a, a.Account, codeOr(e)),
			Action:  "see in the Azure portal why; its subscription may have ended",
		}
	case slices.Contains(azureRefused, code), code == "" && e.StatusCode == http.StatusUnauthorized:
		return a.refused(e, fmt.Sprintf("%s: the storage account %s refuses the credentials (%s)", a, a.Account, codeOr(e)),
			"give the source a valid account key or a shared access signature that has not expired; keys may have been rotated, or switched off for the account")
	case code == bloberror.AuthorizationFailure: // may be any of it
		return a.refused(e, fmt.Sprintf("%s: the storage account %s refuses the request (%s)", a, a.Account, codeOr(e)),
			fmt.Sprintf("check that the key is the account's, or that the signature has not expired; that the login has the role "+
				"Storage Blob Data Reader on the container %q; and that the account's firewall lets the worker in", a.Bucket))
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

// notLoggedIn says why Entra, or the identity service of the worker's machine,
// gives no token.
func (a *azureAccount) notLoggedIn(failed *azidentity.AuthenticationFailedError) error {
	if failed.RawResponse == nil {
		if file := os.Getenv("AZURE_FEDERATED_TOKEN_FILE"); a.own && file != "" {
			if _, err := os.Stat(file); err != nil { //nolint:gosec // the library reads it too
				return &segment.AccessError{
					Message: fmt.Sprintf("%s: the worker has no token of its workload identity where AZURE_FEDERATED_TOKEN_FILE says", a),
					Action:  "see that the token is mounted there and that the worker may read it",
				}
			}
		}
		return fmt.Errorf("%s: Microsoft Entra, which logs the worker in, could not be reached", a) // it may pass
	}
	said := a.login.Refused(failed.RawResponse)
	if refused, ok := errors.AsType[*segment.AccessError](said); ok {
		return &segment.AccessError{Message: fmt.Sprintf("%s: %s", a, refused.Message), Action: refused.Action}
	}
	return fmt.Errorf("%s: %w", a, said)
}

// refused says why the credentials were refused, where that is known.
func (a *azureAccount) refused(e *azcore.ResponseError, message, action string) error {
	until, signed := signedUntil(a.secret)
	switch {
	case signed && until.Before(time.Now()):
		message = fmt.Sprintf("%s: the shared access signature has expired on %s", a, until.UTC().Format(time.RFC3339))
		action = "make a new one, with the permissions read and list, and give it to the source"
	case a.login != nil && e.ErrorCode != string(bloberror.AuthorizationFailure):
		action = "check that the tenant of the login is that of the storage account's subscription"
	}
	return &segment.AccessError{Message: message, Action: action}
}

func codeOr(e *azcore.ResponseError) string {
	if e.ErrorCode == "" {
		return fmt.Sprintf("status %d", e.StatusCode)
	}
	return e.ErrorCode
}
