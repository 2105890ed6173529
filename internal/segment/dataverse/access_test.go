package dataverse_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/segment-export/segment-export/internal/segment"
	"github.com/segment-export/segment-export/internal/segment/dataverse"
	"github.com/segment-export/segment-export/internal/segment/dataverse/dataversetest"
)

func third(i int) bool { return i%3 == 0 }

// What only an administrator can correct says what it is and what to do, from
// whatever is called, and nothing of the secret or of a customer.
func TestRefusalsSayWhatToDo(t *testing.T) {
	for name, test := range map[string]struct {
		change  func(w *world)
		message string
		action  string
	}{
		"wrong tenant": {func(w *world) { w.config.Tenant = "contoso.onmicrosoft.com" },
			`there is no Microsoft Entra tenant "contoso.onmicrosoft.com"`, "directory (tenant) id"},
		"another client": {func(w *world) { w.config.ClientID = "00000000-0000-0000-0000-000000000001" },
			"does not know the app registration 00000000-0000-0000-0000-000000000001", "tenant and client id are from the same app registration"},
		"wrong secret": {func(w *world) { w.app.Secret = "another" }, "the client secret of the app registration " + client + " is not valid", "not its id"},
		"expired secret": {func(w *world) { w.app.SecretExpires = w.clock.Now().Add(-time.Hour) },
			"the client secret of the app registration " + client + " has expired", "make a new secret"},
		"disabled app":  {func(w *world) { w.app.Disabled = true }, "is disabled", "Enterprise applications"},
		"no consent":    {func(w *world) { w.app.NoConsent = true }, "has no permission for Dataverse", "grant admin consent"},
		"no user":       {func(w *world) { w.app.User = dataversetest.NoUser }, "is not a user of the environment", "role Viewer"},
		"disabled user": {func(w *world) { w.app.User = dataversetest.DisabledUser }, "user in the environment", "enable it"},
		"missing role": {func(w *world) { w.app.User = dataversetest.BasicUser },
			"(prvReadmsdynci_", `"Customer Insights Data Read Access"`},
		"profiles not covered": {func(w *world) { w.app.Unreadable = []string{dataversetest.Profiles} },
			"may not read the table msdynci_customerprofile (prvReadmsdynci_customerprofile is missing)", `"Customer Insights Data Read Access"`},
		"no table of memberships": {func(w *world) { w.Drop(dataversetest.Memberships) }, "has no table msdynci_segmentmembership", "About"},
		"no table of profiles":    {func(w *world) { w.Drop(dataversetest.Profiles) }, "has no table msdynci_customerprofile", "About"},
		"a redirect": {func(w *world) {
			w.Break(dataversetest.Fault{Path: "/api/", Times: 100, Do: http.RedirectHandler("https://example.com/", http.StatusFound)})
		}, "leads elsewhere", "Power Platform admin center"},
		"tokens are not accepted": {func(w *world) {
			w.Break(dataversetest.Fault{Path: "/api/", Times: 100, Do: http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(http.StatusUnauthorized) })})
		}, "does not accept the login's token", "belongs to the tenant"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, dataversetest.Options{})
			w.fill(10, third)
			test.change(w)
			w.Register(w.app)
			s := w.source(t)
			_, err := s.Open(t.Context(), "Male_under_40", []string{"msdynci_email"}, nil)
			var refused *segment.AccessError
			require.ErrorAs(t, err, &refused)
			require.ErrorIs(t, err, segment.ErrAccess)
			require.Contains(t, refused.Message, test.message)
			require.Contains(t, refused.Action, test.action)
			require.NotContains(t, err.Error(), secret)
			require.NotContains(t, err.Error(), "Trace ID", "whole answers are not passed on")
			require.Zero(t, w.clock.slept, "waiting would not help")

			checks, err := s.Test(t.Context())
			require.NoError(t, err)
			last := checks[len(checks)-1]
			require.False(t, last.OK)
			require.Contains(t, last.Detail, test.message)
			require.Contains(t, last.Action, test.action)
			for _, check := range checks[:len(checks)-1] {
				require.True(t, check.OK, check.Name)
			}
		})
	}
}

func TestWrongEnvironment(t *testing.T) {
	w := newWorld(t, dataversetest.Options{})
	other := newWorld(t, dataversetest.Options{})
	w.config.Authority = other.URL
	_, err := w.source(t).Segments(t.Context())
	var refused *segment.AccessError
	require.ErrorAs(t, err, &refused)
	require.Contains(t, refused.Message, "the tenant \""+w.config.Tenant+"\" has no Dataverse environment "+w.URL)

	// A host that is not there is a passing fault: the network may come back.
	w.config.Authority, w.config.URL = "https://127.0.0.1:1", "https://127.0.0.1:1"
	_, err = w.source(t).Segments(t.Context())
	require.Error(t, err)
	require.NotErrorIs(t, err, segment.ErrAccess)
	require.NotErrorIs(t, err, segment.ErrMalformed)
}

func TestWrongSegmentNames(t *testing.T) {
	w := newWorld(t, dataversetest.Options{})
	w.fill(10, third)
	s := w.source(t)
	for name, says := range map[string]string{
		"Male_under_44":    `did you mean "Male_under_40"?`,
		"male_under_40":    `did you mean "Male_under_40"?`,
		"Male under 40":    `"Male under 40" is how a segment is shown: no such segment; give the name of its output table, "Male_under_40"`,
		"All custommers":   `did you mean "Everybody", shown as "All customers"?`,
		"Quite_another":    `there is "Everybody", "Male_under_40", "Nobody"`,
		`x') or contains(`: "cannot be the name of a segment",
	} {
		_, err := s.Open(t.Context(), name, nil, nil)
		require.ErrorIs(t, err, segment.ErrNotFound, name)
		require.ErrorContains(t, err, says)
	}
}

func TestSegmentsAreListedWithWhatIsKnown(t *testing.T) {
	w := newWorld(t, dataversetest.Options{})
	w.fill(30, third)
	written := w.clock.Now().Add(-time.Hour)
	infos, err := w.source(t).Segments(t.Context())
	require.NoError(t, err)
	count := func(n int64) *int64 { return &n }
	require.Equal(t, []segment.Info{
		{Name: "Everybody", Title: "All customers", Members: count(30), RefreshedAt: written},
		{Name: "Male_under_40", Title: "Male under 40", Members: count(10), RefreshedAt: written},
		{Name: "Nobody", Title: "Nobody at all", Members: count(0), RefreshedAt: written},
	}, infos)
	info, err := w.source(t).Describe(t.Context(), "Nobody")
	require.NoError(t, err)
	require.Equal(t, "Nobody at all", info.Title)
	require.Equal(t, []string{"msdynci_customerid", "msdynci_city", "msdynci_email"}, info.Fields)
}

// Without the private table everything works, with less to tell.
func TestThePrivateTableMayBeForbiddenOrMissing(t *testing.T) {
	for _, o := range []dataversetest.Options{{MetadataForbidden: true}, {MetadataMissing: true}} {
		w := newWorld(t, o)
		w.fill(30, third)
		s := w.source(t)
		infos, err := s.Segments(t.Context())
		require.NoError(t, err)
		require.Equal(t, []segment.Info{{Name: "Everybody"}, {Name: "Male_under_40"}}, infos)
		require.Len(t, read(t, s, "Male_under_40"), 10)
		info, err := s.Describe(t.Context(), "Male_under_40")
		require.NoError(t, err)
		require.Len(t, info.Fields, 3)
		_, err = s.Open(t.Context(), "Nobody", nil, nil)
		require.ErrorIs(t, err, segment.ErrNotFound, "nobody can tell an empty segment from a wrong name")
		checks, err := s.Test(t.Context())
		require.NoError(t, err)
		var segments segment.Check
		for _, check := range checks {
			require.True(t, check.OK, "%+v", check)
			if check.Name == "segments" {
				segments = check
			}
		}
		require.Contains(t, segments.Detail, "may not be read")
		require.NotEmpty(t, segments.Action)
	}
}

func TestTestTellsWhatItFound(t *testing.T) {
	w := newWorld(t, dataversetest.Options{Kind: dataversetest.Elastic})
	w.fill(30, third)
	checks, err := w.source(t).Test(t.Context())
	require.NoError(t, err)
	var names []string
	for _, check := range checks {
		require.True(t, check.OK)
		require.Empty(t, check.Action)
		names = append(names, check.Name+": "+check.Detail)
	}
	require.Equal(t, []string{
		"login: " + w.URL + " gives a token for " + w.URL,
		names[1],
		"tables: msdynci_segmentmembership (elastic) and msdynci_customerprofile (elastic, 3 fields)",
		"memberships: a page of 30 memberships was read",
		"profiles: a page of 30 profiles was read",
		"segments: 3 segments are listed",
		"refresh: no refresh is running",
	}, names)
}

// certificate makes a certificate with its key as they are stored.
func certificate(t *testing.T) (*x509.Certificate, []byte) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	template := x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "segment export"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, &key.PublicKey, key)
	require.NoError(t, err)
	parsed, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	return parsed, append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})...)
}

func TestLoginByCertificate(t *testing.T) {
	w := newWorld(t, dataversetest.Options{})
	w.fill(10, third)
	ours, stored := certificate(t)
	w.app.Certificate, w.config.Auth = ours, dataverse.AuthCertificate
	w.Register(w.app)
	o := dataverse.Options{HTTP: w.Client(), Clock: w.clock}
	s, err := dataverse.New(w.config, stored, o)
	require.NoError(t, err)
	require.Len(t, read(t, s, "Male_under_40"), 4)

	_, stranger := certificate(t)
	s, err = dataverse.New(w.config, stranger, o)
	require.NoError(t, err)
	_, err = s.Segments(t.Context())
	require.ErrorIs(t, err, segment.ErrAccess)
	require.ErrorContains(t, err, "the certificate of the login does not belong to the app registration")

	_, err = dataverse.New(w.config, []byte("no certificate"), o)
	require.ErrorIs(t, err, segment.ErrAccess)
	require.ErrorContains(t, err, "PKCS#12 without a password")
}

func TestLoginByManagedIdentity(t *testing.T) {
	w := newWorld(t, dataversetest.Options{})
	w.fill(10, third)
	t.Setenv("IDENTITY_ENDPOINT", w.URL+"/msi/token")
	t.Setenv("IDENTITY_HEADER", dataversetest.IdentityHeader)
	w.config.Auth, w.config.Tenant = dataverse.AuthManagedIdentity, ""
	require.Len(t, read(t, w.source(t), "Male_under_40"), 4)

	w.config.ClientID = "00000000-0000-0000-0000-000000000001"
	_, err := w.source(t).Segments(t.Context())
	require.ErrorIs(t, err, segment.ErrAccess)
}

// virtualMachine sends what is meant for the address of Azure's Instance
// Metadata Service, which no test can have, to the stand-in.
type virtualMachine struct {
	http.RoundTripper

	standin *url.URL
}

func (m virtualMachine) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Host == "169.254.169.254" {
		r = r.Clone(r.Context())
		r.URL.Scheme, r.URL.Host, r.Host = m.standin.Scheme, m.standin.Host, ""
	}
	return m.RoundTripper.RoundTrip(r)
}

func TestLoginOnAVirtualMachine(t *testing.T) {
	w := newWorld(t, dataversetest.Options{})
	w.fill(10, third)
	at, err := url.Parse(w.URL)
	require.NoError(t, err)
	source := func(client string) *dataverse.Source {
		w.config.Auth, w.config.Tenant, w.config.ClientID = dataverse.AuthManagedIdentity, "", client
		s, err := dataverse.New(w.config, nil, dataverse.Options{HTTP: &http.Client{Transport: virtualMachine{w.Client().Transport, at}}, Clock: w.clock})
		require.NoError(t, err)
		return s
	}
	require.Len(t, read(t, source(client), "Male_under_40"), 4, "an identity assigned by a user")

	var refused *segment.AccessError
	_, err = source("00000000-0000-0000-0000-000000000001").Segments(t.Context())
	require.ErrorAs(t, err, &refused)
	require.Equal(t, `the worker's machine has no managed identity with the client id "00000000-0000-0000-0000-000000000001"`, refused.Message)
	require.Contains(t, refused.Action, "assign that identity to the machine")
	_, err = source("").Segments(t.Context())
	require.ErrorAs(t, err, &refused)
	require.Contains(t, refused.Message, "has no managed identity that gives tokens")

	w.app.Machine = true
	w.Register(w.app)
	require.Len(t, read(t, source(""), "Male_under_40"), 4, "the machine's own")

	at.Host = "127.0.0.1:1"
	_, err = source("00000000-0000-0000-0000-000000000002").Segments(t.Context()) // tokens are kept for the process
	require.ErrorContains(t, err, "the identity service of the worker's machine could not be reached")
	require.NotErrorIs(t, err, segment.ErrAccess, "it may pass")
}

// The Azure CLI is a program that prints a token; this one is from the stand-in.
func TestLoginByAzureCLI(t *testing.T) {
	w := newWorld(t, dataversetest.Options{})
	w.fill(10, third)
	w.config.Auth, w.config.Tenant, w.config.ClientID = dataverse.AuthCLI, "", ""
	bin := t.TempDir()
	t.Setenv("PATH", bin+string(os.PathListSeparator)+os.Getenv("PATH"))
	az := func(script string) {
		require.NoError(t, os.WriteFile(filepath.Join(bin, "az"), []byte("#!/bin/sh\n"+script+"\n"), 0o700))
	}
	out, err := json.Marshal(map[string]any{"accessToken": w.Token(client), "expires_on": time.Now().Add(time.Hour).Unix(),
		"expiresOn": time.Now().Add(time.Hour).Format("2006-01-02 15:04:05.000000"), "tokenType": "Bearer"})
	require.NoError(t, err)
	az(fmt.Sprintf("cat <<'END'\n%s\nEND", out))
	require.Len(t, read(t, w.source(t), "Male_under_40"), 4)

	az("echo \"ERROR: someone@example.com is logged out\" >&2; exit 1")
	_, err = w.source(t).Segments(t.Context())
	require.ErrorIs(t, err, segment.ErrAccess)
	require.ErrorContains(t, err, "az login")
	require.NotContains(t, err.Error(), "someone@")
}
