package dataverse

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"

	"github.com/segment-export/segment-export/internal/segment"
	"github.com/segment-export/segment-export/internal/segment/entra"
)

// login gets tokens for one environment. Tokens are kept in memory only, by
// the identity library, and renewed by it before they run out.
type login struct {
	config Config
	secret []byte
	http   *http.Client

	mu      sync.Mutex
	cred    azcore.TokenCredential
	refused string // the token that cred was made in place of
}

func newLogin(c Config, secret []byte, client *http.Client) (*login, error) {
	l := &login{config: c, secret: slices.Clone(secret), http: client}
	return l, l.renew("")
}

// knownAuthorities have a directory of authorities, which the library looks
// other names up in; what is not listed there must be trusted as configured.
var knownAuthorities = []string{DefaultAuthority, "https://login.microsoftonline.us", "https://login.chinacloudapi.cn", "https://login.partner.microsoftonline.cn"}

// renew begins with a new credential that has no token yet, after one was
// refused; once, when several requests were refused with that token.
func (l *login) renew(refused string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cred != nil && refused == l.refused {
		return nil
	}
	c := l.config
	options := azcore.ClientOptions{
		Cloud:     cloud.Configuration{ActiveDirectoryAuthorityHost: c.authority()},
		Transport: l.http,
		Retry:     policy.RetryOptions{MaxRetries: -1}, // retried where the waits are, see client
		Telemetry: policy.TelemetryOptions{Disabled: true},
	}
	unlisted := !slices.Contains(knownAuthorities, c.authority())
	var cred azcore.TokenCredential
	var err error
	switch c.Auth {
	case AuthSecret:
		cred, err = azidentity.NewClientSecretCredential(c.Tenant, c.ClientID, string(l.secret),
			&azidentity.ClientSecretCredentialOptions{ClientOptions: options, DisableInstanceDiscovery: unlisted})
	case AuthCertificate:
		certificates, key, failed := azidentity.ParseCertificates(l.secret, nil)
		if failed != nil {
			return &segment.AccessError{Message: "the certificate of the login cannot be read",
				Action: "store it with its private key, as PEM or as PKCS#12 without a password"}
		}
		cred, err = azidentity.NewClientCertificateCredential(c.Tenant, c.ClientID, certificates, key,
			&azidentity.ClientCertificateCredentialOptions{ClientOptions: options, DisableInstanceDiscovery: unlisted})
	case AuthManagedIdentity:
		identity := &azidentity.ManagedIdentityCredentialOptions{ClientOptions: options}
		if c.ClientID != "" {
			identity.ID = azidentity.ClientID(c.ClientID)
		}
		cred, err = azidentity.NewManagedIdentityCredential(identity)
	case AuthCLI:
		cred, err = azidentity.NewAzureCLICredential(&azidentity.AzureCLICredentialOptions{TenantID: c.Tenant})
	default:
		err = c.checkAuth()
	}
	if err != nil {
		return fmt.Errorf("the login to %s cannot be set up: %w", origin(c.URL), err)
	}
	l.cred, l.refused = cred, refused
	return nil
}

// token returns a token for the environment: an *AccessError when a person must
// change something, errPassing when a retry may help.
func (l *login) token(ctx context.Context) (string, error) {
	l.mu.Lock()
	cred := l.cred
	l.mu.Unlock()
	token, err := cred.GetToken(ctx, policy.TokenRequestOptions{Scopes: []string{origin(l.config.URL) + "/.default"}})
	if err == nil {
		return token.Token, nil
	}
	if ctx.Err() != nil {
		return "", ctx.Err()
	}
	return "", l.refusal(err)
}

// refusal turns what the identity library says into what an administrator can
// act on. The library's text is not passed on: it quotes whole answers.
func (l *login) refusal(err error) error {
	c := l.config
	failed, ok := errors.AsType[*azidentity.AuthenticationFailedError](err)
	switch {
	case ok && failed.RawResponse != nil && c.Auth == AuthManagedIdentity && failed.RawResponse.StatusCode == http.StatusBadRequest:
		return &segment.AccessError{Message: fmt.Sprintf("the worker's machine has no managed identity with the client id %q", c.ClientID),
			Action: "assign that identity to the machine (in the Azure portal under Identity, User assigned), or leave the client id out for the machine's own"}
	case ok && failed.RawResponse != nil:
		return l.answered(failed.RawResponse)
	case c.Auth == AuthCLI:
		return &segment.AccessError{Message: "the Azure CLI on the worker's machine gives no token for " + origin(c.URL),
			Action: "install it there and log in with az login, as the user that the worker runs as, to the environment's tenant"}
	case c.Auth == AuthManagedIdentity && !ok:
		return &segment.AccessError{Message: "the worker's machine has no managed identity that gives tokens",
			Action: "assign one to the machine, or log in with a client secret or a certificate"}
	case c.Auth == AuthManagedIdentity:
		return passing("the identity service of the worker's machine could not be reached: %s", segment.NetworkCause(err))
	}
	return passing("the login at %s could not be reached: %s", c.authority(), segment.NetworkCause(err))
}

// answered says why a token endpoint gives no token.
func (l *login) answered(r *http.Response) error {
	c := l.config
	err := entra.Login{Authority: c.authority(), Tenant: c.Tenant, ClientID: c.ClientID, Settings: "the source",
		Resource: entra.Resource{Name: "Dataverse environment " + origin(c.URL), API: "Dataverse",
			Check: "check the environment's URL (Power Platform admin center, Environments) and that it belongs to this tenant"}}.Refused(r)
	if passes, ok := errors.AsType[*entra.PassingError](err); ok {
		return passing("%s", passes)
	}
	return err
}
