package dataverse

import (
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/segment-export/segment-export/internal/spelling"
)

// Auth is how the source logs in.
type Auth string

// The ways to log in.
const (
	// AuthSecret: an app registration's client secret.
	AuthSecret Auth = "secret"
	// AuthCertificate: an app registration's certificate with its private key,
	// as PEM or PKCS#12 without a password.
	AuthCertificate Auth = "certificate"
	// AuthManagedIdentity: the identity of the Azure machine that the worker
	// runs on; nothing secret is stored.
	AuthManagedIdentity Auth = "managed-identity"
	// AuthCLI: the user who is logged in with the Azure CLI on the worker's
	// machine; for trying out.
	AuthCLI Auth = "azure-cli"
)

// OnChange says what to do when a segment is refreshed during a read.
type OnChange string

// The policies.
const (
	OnChangeReread OnChange = "reread" // read it again from the start
	OnChangeWarn   OnChange = "warn"   // keep what was read, and say so in the report
)

const (
	// DefaultAuthority is where the public cloud logs in.
	DefaultAuthority = "https://login.microsoftonline.com"
	// defaultSettle is how long the tables must have been left alone.
	defaultSettle = 2 * time.Minute
	// mostSettle bounds what can be asked for.
	mostSettle = 24 * time.Hour
)

// Config is what an administrator says of an environment of Customer Insights.
// The secret or certificate is not in it.
type Config struct {
	URL      string `json:"url"`                 // of the environment's Dataverse, such as https://contoso.crm4.dynamics.com
	Auth     Auth   `json:"auth"`                // how to log in
	Tenant   string `json:"tenant,omitempty"`    // id or domain of the Microsoft Entra tenant
	ClientID string `json:"client_id,omitempty"` // of the app registration; of a user-assigned managed identity
	// Authority is where tokens come from; empty: the public cloud.
	Authority string `json:"authority,omitempty"`
	// OnChange is what to do when a refresh ran while a segment was read; empty:
	// read it again.
	OnChange OnChange `json:"on_change,omitempty"`
	// SettleSeconds is how long nothing must have been written to the tables
	// before they are read: profiles are still being written a while after a
	// segment's refresh has ended. 0: two minutes; -1: do not wait.
	SettleSeconds int `json:"settle_seconds,omitempty"`
}

var (
	tenantID = regexp.MustCompile(`^[0-9A-Za-z][0-9A-Za-z.-]{0,252}$`)
	guid     = regexp.MustCompile(`^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$`)
)

// Check says what is wrong with a configuration, for the person who entered it.
func (c Config) Check() error {
	if err := checkURL(c.URL, "the environment's URL", "https://contoso.crm4.dynamics.com"); err != nil {
		return err
	}
	if c.Authority != "" {
		if err := checkURL(c.Authority, "the authority", DefaultAuthority); err != nil {
			return err
		}
	}
	if err := c.checkAuth(); err != nil {
		return err
	}
	switch c.OnChange {
	case "", OnChangeReread, OnChangeWarn:
	default:
		return fmt.Errorf("%q is not what to do when a segment changes: say %q or %q", c.OnChange, OnChangeReread, OnChangeWarn)
	}
	if c.SettleSeconds < -1 || time.Duration(c.SettleSeconds)*time.Second > mostSettle {
		return fmt.Errorf("the time that tables must have been left alone is from 0 to %d seconds, or -1 for none", int(mostSettle.Seconds()))
	}
	return nil
}

func (c Config) checkAuth() error {
	switch c.Auth {
	case AuthSecret, AuthCertificate:
		if c.Tenant == "" {
			return fmt.Errorf("a login by %s needs the tenant: the directory (tenant) id on the app registration's overview page", c.Auth)
		}
		if c.ClientID == "" {
			return fmt.Errorf("a login by %s needs the client id: the application (client) id on the app registration's overview page", c.Auth)
		}
	case AuthManagedIdentity, AuthCLI:
	case "":
		return fmt.Errorf("say how to log in: %s", strings.Join(auths, ", "))
	default:
		hint := ""
		if near := spelling.Nearest(string(c.Auth), auths); near != "" {
			hint = fmt.Sprintf("; did you mean %s?", near)
		}
		return fmt.Errorf("%q is not a way to log in; there are %s%s", c.Auth, strings.Join(auths, ", "), hint)
	}
	if c.Tenant != "" && !tenantID.MatchString(c.Tenant) {
		return fmt.Errorf("%q cannot be a tenant: it is an id such as 00000000-0000-0000-0000-000000000000 or a domain such as contoso.onmicrosoft.com", c.Tenant)
	}
	if c.ClientID != "" && !guid.MatchString(c.ClientID) {
		return fmt.Errorf("%q cannot be a client id: it looks like 00000000-0000-0000-0000-000000000000", c.ClientID)
	}
	return nil
}

var auths = []string{string(AuthSecret), string(AuthCertificate), string(AuthManagedIdentity), string(AuthCLI)}

// NeedsSecret tells whether the way to log in needs a secret that is stored.
func (c Config) NeedsSecret() bool { return c.Auth == AuthSecret || c.Auth == AuthCertificate }

// checkURL wants an https URL of a host and nothing more.
func checkURL(text, what, example string) error {
	u, err := url.Parse(text)
	switch {
	case text == "":
		return fmt.Errorf("%s is missing; it looks like %s", what, example)
	case err != nil, u.Hostname() == "":
		return fmt.Errorf("%s cannot be read as a URL; it looks like %s", what, example)
	case u.Scheme != "https":
		return fmt.Errorf("%s must begin with https://, since a login travels there", what)
	case u.User != nil, u.RawQuery != "", u.Fragment != "", strings.Trim(u.Path, "/") != "":
		return fmt.Errorf("%s is only a host, without a path or anything after it, such as %s", what, example)
	}
	return nil
}

// origin is a checked URL's scheme and host.
func origin(text string) string {
	u, err := url.Parse(text)
	if err != nil {
		return ""
	}
	return "https://" + strings.ToLower(u.Host)
}

func (c Config) authority() string {
	if c.Authority == "" {
		return DefaultAuthority
	}
	return origin(c.Authority)
}

func (c Config) onChange() OnChange {
	if c.OnChange == "" {
		return OnChangeReread
	}
	return c.OnChange
}

func (c Config) settle() time.Duration {
	switch {
	case c.SettleSeconds < 0:
		return 0
	case c.SettleSeconds == 0:
		return defaultSettle
	}
	return time.Duration(c.SettleSeconds) * time.Second
}
