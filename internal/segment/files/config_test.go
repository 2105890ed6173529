package files

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/segment-export/segment-export/internal/segment"
	"github.com/segment-export/segment-export/internal/segment/files/tree"
)

func TestSettings(t *testing.T) {
	const key = "YWNjb3VudCBrZXk="
	service := `{"type": "authorized_user", "refresh_token": "secret-refresh-token"}`
	for name, test := range map[string]struct {
		config Config
		secret string
		text   string // empty: they can be
	}{
		"a path":                  {Config{Path: "segments"}, "", ""},
		"a path with all":         {Config{Path: "segments", Layout: LayoutPlain, Delimiter: "tab", Encoding: "windows-1252"}, "", ""},
		"azure":                   {Config{URL: "azblob://people/x/y", Account: "shop1"}, key, ""},
		"azure, own identity":     {Config{URL: "azblob://people", Account: "shop1"}, "", ""},
		"azure, a signature":      {Config{URL: "azblob://people", Account: "shop1"}, "?sv=2024&sig=abc%3D", ""},
		"azure, an application":   {Config{URL: "azblob://people", Account: "shop1"}, `{"tenant_id": "t", "client_id": "c", "client_secret": "s"}`, ""},
		"azure, its lake's URL":   {Config{URL: "abfss://people@shop1.dfs.core.windows.net/x"}, "", ""},
		"azure, the government's": {Config{URL: "abfss://people@shop1.dfs.core.usgovcloudapi.net/x"}, "", ""},
		"s3":                      {Config{URL: "s3://people/x", Region: "eu-north-1"}, `{"access_key_id": "a", "secret_access_key": "b"}`, ""},
		"s3, own identity":        {Config{URL: "s3://people"}, "", ""},
		"google, own identity":    {Config{URL: "gs://people"}, "", ""},
		"an emulator":             {Config{URL: "azblob://people", Account: "shop1", Endpoint: "http://127.0.0.1:10000/shop1"}, key, ""},

		"nothing":                {Config{}, "", "the source needs a path below the files root, or the URL of a bucket"},
		"both":                   {Config{Path: "x", URL: "s3://people"}, "", "it can have only one of them"},
		"a path and a secret":    {Config{Path: "x"}, "secret", "a folder below the files root needs no credentials"},
		"a path and an account":  {Config{Path: "x", Account: "shop1"}, "", "belong to the URL of a bucket, and the source has a path"},
		"an odd layout":          {Config{Path: "x", Layout: "tree"}, "", `the layout "tree" is none of auto, plain, customer-insights`},
		"a long delimiter":       {Config{Path: "x", Delimiter: ";;"}, "", `";;" cannot separate columns: it must be one character`},
		"a quote":                {Config{Path: "x", Delimiter: `"`}, "", "cannot separate columns"},
		"an odd encoding":        {Config{Path: "x", Encoding: "klingon"}, "", `"klingon" is not the name of an encoding`},
		"no URL":                 {Config{URL: "people/x"}, "", "is not the URL of a bucket, like azblob://CONTAINER/PREFIX"},
		"another URL":            {Config{URL: "https://shop1.blob.core.windows.net/people"}, "", "begins with none of azblob://, abfss://, s3://, gs://"},
		"no account":             {Config{URL: "azblob://people"}, key, "needs the name of its storage account"},
		"an odd account":         {Config{URL: "azblob://people", Account: "evil.example.com/"}, key, "is not the name of a storage account"},
		"an odd account, lake":   {Config{URL: "abfss://people@shop1.evil.example.com"}, "", "the worker's own identity is not shown to the endpoint https://shop1.evil.example.com"},
		"no container, lake":     {Config{URL: "abfss://shop1.dfs.core.windows.net/x"}, "", "is not like abfss://CONTAINER@ACCOUNT"},
		"another account, lake":  {Config{URL: "abfss://people@shop1.dfs.core.windows.net/x", Account: "shop2"}, "", "is not like abfss://CONTAINER@ACCOUNT"},
		"a name before":          {Config{URL: "s3://me@people"}, "", "has a name before the bucket"},
		"a password":             {Config{URL: "s3://me:hidden@people"}, "", "give credentials apart from it"},
		"a signature in it":      {Config{URL: "azblob://people?sig=hidden", Account: "shop1"}, "", "give credentials apart from it"},
		"an endpoint, no host":   {Config{URL: "s3://people", Endpoint: "store"}, `{}`, "is not a URL like https://storage.example.com"},
		"no encryption":          {Config{URL: "s3://people", Endpoint: "http://storage.example.com"}, `{}`, "http is for servers on this machine alone"},
		"identity to a stranger": {Config{URL: "gs://people", Endpoint: "https://storage.example.com"}, "", "the worker's own identity is not shown to the endpoint"},
		"azure, no key":          {Config{URL: "azblob://people", Account: "shop1"}, "not base64!", "the credentials are none of: an account key"},
		"azure, half a login":    {Config{URL: "azblob://people", Account: "shop1"}, `{"tenant_id": "t"}`, "lack something"},
		"s3, no JSON":            {Config{URL: "s3://people"}, "AKIA:hidden", "the credentials are not the JSON that is wanted"},
		"s3, half a key":         {Config{URL: "s3://people"}, `{"access_key_id": "a"}`, "the credentials lack something"},
		"google, another kind":   {Config{URL: "gs://people"}, service, "not the JSON key of a service account"},
	} {
		t.Run(name, func(t *testing.T) {
			err := test.config.CheckSecret([]byte(test.secret))
			if test.text == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorIs(t, err, segment.ErrMalformed)
			require.ErrorContains(t, err, test.text)
			require.NotContains(t, err.Error(), "hidden")
			require.NotContains(t, err.Error(), "secret-refresh-token")
		})
	}
}

func TestAddresses(t *testing.T) {
	for text, want := range map[string]tree.Address{
		"azblob://people/x/y/":                          {Scheme: tree.SchemeAzure, Bucket: "people", Prefix: "x/y", Account: "shop1"},
		"abfss://people@shop1.dfs.core.windows.net/x":   {Scheme: tree.SchemeAzure, Bucket: "people", Prefix: "x", Account: "shop1"},
		"abfss://p@shop1.dfs.core.chinacloudapi.cn/x/y": {Scheme: tree.SchemeAzure, Bucket: "p", Prefix: "x/y", Account: "shop1", Endpoint: "https://shop1.blob.core.chinacloudapi.cn"},
	} {
		got, err := Config{URL: text, Account: "shop1"}.address()
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
}
