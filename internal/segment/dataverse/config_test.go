package dataverse

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const testTenant, testClient = "11111111-2222-3333-4444-555555555555", "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee"

func TestConfigIsChecked(t *testing.T) {
	good := Config{URL: "https://contoso.crm4.dynamics.com", Auth: AuthSecret, Tenant: testTenant, ClientID: testClient}
	require.NoError(t, good.Check())
	for name, test := range map[string]struct {
		change func(*Config)
		says   string
	}{
		"no url":          {func(c *Config) { c.URL = "" }, "the environment's URL is missing; it looks like https://contoso"},
		"not https":       {func(c *Config) { c.URL = "http://contoso.crm4.dynamics.com" }, "must begin with https://"},
		"with a path":     {func(c *Config) { c.URL += "/api/data/v9.2" }, "is only a host"},
		"with a login":    {func(c *Config) { c.URL = "https://a:b@contoso.crm4.dynamics.com" }, "is only a host"},
		"no host":         {func(c *Config) { c.URL = "contoso" }, "cannot be read as a URL"},
		"authority":       {func(c *Config) { c.Authority = "login.microsoftonline.us" }, "the authority cannot be read as a URL"},
		"no login":        {func(c *Config) { c.Auth = "" }, "say how to log in: secret, certificate, managed-identity, azure-cli"},
		"another login":   {func(c *Config) { c.Auth = "secrt" }, "did you mean secret?"},
		"no tenant":       {func(c *Config) { c.Tenant = "" }, "a login by secret needs the tenant"},
		"odd tenant":      {func(c *Config) { c.Tenant = "a/b" }, "cannot be a tenant"},
		"no client":       {func(c *Config) { c.Auth, c.ClientID = AuthCertificate, "" }, "a login by certificate needs the client id"},
		"odd client":      {func(c *Config) { c.ClientID = "my app" }, "cannot be a client id"},
		"odd policy":      {func(c *Config) { c.OnChange = "ignore" }, `say "reread" or "warn"`},
		"too long a wait": {func(c *Config) { c.SettleSeconds = 90_000 }, "from 0 to 86400 seconds"},
	} {
		c := good
		test.change(&c)
		require.ErrorContains(t, c.Check(), test.says, name)
		_, err := New(c, []byte("x"), Options{})
		require.EqualError(t, err, c.Check().Error(), name)
	}
	for _, c := range []Config{
		{URL: good.URL, Auth: AuthManagedIdentity},
		{URL: good.URL, Auth: AuthManagedIdentity, ClientID: testClient},
		{URL: good.URL + "/", Auth: AuthCLI, Tenant: "contoso.onmicrosoft.com"},
		{URL: good.URL, Auth: AuthSecret, Tenant: testTenant, ClientID: testClient, Authority: "https://login.microsoftonline.us", OnChange: OnChangeWarn, SettleSeconds: -1},
	} {
		require.NoError(t, c.Check())
	}
}

func TestConfigDefaults(t *testing.T) {
	c := Config{URL: "https://Contoso.crm4.dynamics.com/"}
	require.Equal(t, "https://contoso.crm4.dynamics.com", origin(c.URL))
	require.Equal(t, DefaultAuthority, c.authority())
	require.Equal(t, OnChangeReread, c.onChange())
	require.Equal(t, 2*time.Minute, c.settle())
	c.SettleSeconds = -1
	require.Zero(t, c.settle())
	c.SettleSeconds = 5
	require.Equal(t, 5*time.Second, c.settle())
	data, err := json.Marshal(Config{URL: c.URL, Auth: AuthCLI})
	require.NoError(t, err)
	require.JSONEq(t, `{"url":"https://Contoso.crm4.dynamics.com/","auth":"azure-cli"}`, string(data), "what is not set is not stored")
}
