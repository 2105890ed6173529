package e2e

import (
	"encoding/json"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/segment-export/segment-export/activities"
	"github.com/segment-export/segment-export/internal/contact"
	"github.com/segment-export/segment-export/internal/omnisend/omnisendtest"
	"github.com/segment-export/segment-export/internal/omnisend/sandbox"
	"github.com/segment-export/segment-export/internal/protocol"
	"github.com/segment-export/segment-export/internal/run"
)

// refused runs a command line that has to fail and say why.
func (s *shop) refused(want string, args ...string) {
	s.t.Helper()
	code, out, errs := s.starter(args...)
	require.NotZero(s.t, code, "%v: %s", args, out)
	require.Contains(s.t, errs, want, "%v", args)
}

// held begins a run and holds its uploads from the nth on until they are let go.
func (s *shop) held(nth int32) (letGo func()) {
	s.t.Helper()
	var seen atomic.Int32
	var once sync.Once
	arrived, release := make(chan struct{}), make(chan struct{})
	hook := func(w http.ResponseWriter, r *http.Request, sandbox http.Handler) {
		if r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/batches") && seen.Add(1) >= nth {
			once.Do(func() { close(arrived) })
			<-release
		}
		sandbox.ServeHTTP(w, r)
	}
	s.hook.Store(&hook)
	s.must("run", "spring", "--yes", "--detach")
	select {
	case <-arrived:
	case <-s.t.Context().Done():
	}
	letGo = sync.OnceFunc(func() { close(release) })
	s.t.Cleanup(letGo) // or a test that fails waits for its own server
	return letGo
}

func (s *shop) connection(args ...string) protocol.ConnectionAnswer {
	s.t.Helper()
	var a protocol.ConnectionAnswer
	require.NoError(s.t, json.Unmarshal([]byte(s.must(append(args, "--output", "json")...)), &a))
	return a
}

func (s *shop) export(args ...string) protocol.ExportAnswer {
	s.t.Helper()
	var a protocol.ExportAnswer
	require.NoError(s.t, json.Unmarshal([]byte(s.must(append(args, "--output", "json")...)), &a))
	return a
}

// An agreement that is withdrawn in mid-run stops the run with its reason; what
// was sent until then has its verdict. After a new agreement all runs continue. The same
// for a connection that is stopped.
func TestRunsEndWhenNothingMayBeSent(t *testing.T) {
	t.Parallel()
	s := newShop(t, 1500, sandbox.Options{Seed: 5})
	s.open(activities.Tuning{BatchSize: 100})
	s.define("--calls-per-minute", "0")
	for _, c := range []struct {
		bar    []string
		lift   []string
		reason string
	}{
		{[]string{"connection", "edit", "Spring shop", "--withdraw-consent", "--running", "cancel"}, []string{"connection", "edit", "Spring shop", "--agree"}, "was withdrawn"},
		{[]string{"connection", "stop", "Spring shop"}, []string{"connection", "start", "Spring shop"}, "was stopped"},
	} {
		letGo := s.held(3)
		if c.bar[1] == "edit" {
			s.refused("say what to do with them: --running cancel or --running finish", c.bar[:4]...)
		}
		a := s.connection(c.bar...)
		require.Equal(t, []string{s.show().RunID}, a.Canceled)
		letGo()
		s.eventually("the run ends", func() bool { return s.show().Status.Ended() })
		r := s.show()
		require.NoError(t, r.Check())
		require.Equal(t, run.Canceled, r.Status, r.Reason)
		require.Contains(t, r.Reason, c.reason)
		require.Zero(t, r.Pending, "verdicts are collected")
		require.NotZero(t, r.Delivered)
		require.NotZero(t, r.Unsent)

		sent := s.uploads()
		code, _, errs := s.starter("run", "spring", "--yes")
		require.Equal(t, 6, code, errs)
		require.Equal(t, run.Skipped, s.show().Status)
		require.Contains(t, s.show().Reason, c.reason)
		require.Contains(t, s.show().Action, "an administrator can")
		require.Equal(t, sent, s.uploads(), "nothing was sent")
		require.Empty(t, s.connection(c.lift...).Running)
	}
	shown := s.connection("connection", "show", "Spring shop")
	require.NotNil(t, shown.Consent)
	require.Nil(t, shown.Withdrawn)
	require.NotEmpty(t, shown.Consent.Wording)

	letGo := s.held(1)
	a := s.connection("connection", "edit", "Spring shop", "--withdraw-consent", "--running", "finish")
	require.Empty(t, a.Canceled)
	letGo()
	s.eventually("the run finishes", func() bool { return s.show().Status.Ended() })
	require.True(t, s.show().Status.Complete(), s.show().Reason)
	code, _, _ := s.starter("run", "spring", "--yes")
	require.Equal(t, 6, code, "the next one does not begin")
	s.must("connection", "edit", "Spring shop", "--agree")
	s.hook.Store(nil)
	code, r := s.run()
	require.True(t, r.Status.Complete(), "exit code %d", code)
	require.Zero(t, r.Delivered, "nothing was sent twice")
}

// Two administrators edit one export: the second gets an error, nothing is
// overwritten.
func TestTwoAdministrators(t *testing.T) {
	t.Parallel()
	s := newShop(t, 50, sandbox.Options{Seed: 5})
	s.open(activities.Tuning{})
	s.define("--calls-per-minute", "0")
	read := s.export("export", "show", "spring").Version
	first := s.export("export", "edit", "spring", "--leavers", "keep", "--version", "1")
	require.Equal(t, read+1, first.Version)
	s.refused("version 2 now, and the change was made from version 1", "export", "edit", "spring", "--id", "Email", "--version", "1")
	now := s.export("export", "show", "spring")
	require.Equal(t, first.Export, now.Export)
	require.Equal(t, read+1, s.export("export", "edit", "spring", "--leavers", "keep", "--version", "1").Version, "what is so already is no change")

	s.must("connection", "edit", "Spring shop", "--share", "0.5", "--version", "1")
	s.refused("version 2 now", "connection", "edit", "Spring shop", "--share", "0.9", "--version", "1")
}

// A connection and its exports through their lives.
func TestConnectionsAndExports(t *testing.T) {
	t.Parallel()
	s := newShop(t, 200, sandbox.Options{Seed: 5})
	s.open(activities.Tuning{})
	s.define("--calls-per-minute", "0")
	require.Contains(t, s.must("connection", "test", "Spring shop"), "works: brand Sandbox 11aa (11aa)")
	_, r := s.run("--yes")
	require.True(t, r.Status.Complete())

	s.refused(`did you mean "City"`, "export", "edit", "spring", "--map", "city=Citty")
	s.refused(`has no field "Points"`, "export", "edit", "spring", "--map", "property:points:number=Points")
	s.refused("is a marker of the export", "export", "add", "other", "--connection", "Spring shop", "--source", "crm", "--segment", "spring_buyers",
		"--marker", "spring_buyers=m", "--map", "email=Email", "--map", "property:segment_spring_buyers=City")
	require.Contains(t, s.export("export", "edit", "spring", "--map", "property:town=City", "--map", "property:since:date=ConsentDate").Mapping, contact.Attribute("property:town"))
	r = s.noted(3, "run", "spring")
	require.NotZero(t, r.Changed)
	towns := 0
	for _, c := range s.sandbox.Contacts(omnisendtest.Brand) {
		if c.Properties["town"] != nil {
			towns++
		}
	}
	require.NotZero(t, towns)

	// Rename: what refers to it follows, and nothing looks changed.
	s.refused("must not begin with a dash", "connection", "edit", "Spring shop", "--name=-x")
	s.must("connection", "edit", "Spring shop", "--name", "Shop")
	require.Equal(t, "Shop", s.export("export", "show", "spring").Connection)
	_, r = s.run()
	require.Equal(t, r.Contacts-r.Refused, r.Unchanged)
	s.refused("there is no connection", "connection", "show", "Spring shop")

	// Duplicate, detach, attach.
	s.refused("belongs to the export", "export", "duplicate", "spring", "--as", "summer", "--marker", "spring_buyers=segment_spring_buyers")
	summer := s.export("export", "duplicate", "spring", "--as", "summer")
	require.Equal(t, "segment_spring_buyers_summer", summer.Segments[0].Marker)
	s.must("export", "detach", "summer")
	s.refused("has no connection and is inactive", "run", "summer")
	require.Contains(t, s.must("export", "list"), "No connection")
	s.must("export", "attach", "summer", "--connection", "Shop")
	s.noted(3, "run", "summer", "--yes")
	require.Equal(t, s.marked("segment_spring_buyers"), s.marked("segment_spring_buyers_summer"))

	// Another brand's connection is refused where something was sent already.
	require.NoError(t, s.sandbox.SetKey(sandbox.Key{Key: "other-key", Brand: "22bb"}))
	require.NoError(t, os.WriteFile(s.path("other.txt"), []byte("other-key"), 0o600))
	s.must("connection", "add", "Other", "--api-key-file", s.path("other.txt"), "--agree", "--calls-per-minute", "0")
	s.refused("make another export for it", "export", "attach", "spring", "--connection", "Other")
	s.refused("the connection is bound to brand 11aa", "connection", "rotate-key", "Shop", "--api-key-file", s.path("other.txt"))

	// A key that belongs to another brand by now parks the run.
	require.NoError(t, s.sandbox.SetKey(sandbox.Key{Key: omnisendtest.Key, Brand: "22bb"}))
	code, _, _ := s.starter("run", "spring")
	require.Equal(t, 4, code)
	require.Contains(t, s.show().Reason, "belongs to brand 22bb now")
	s.refused("runs are open", "connection", "remove", "Shop", "--detach", "--yes")
	require.NoError(t, s.sandbox.SetKey(sandbox.Key{Key: omnisendtest.Key, Brand: omnisendtest.Brand}))
	s.must("runs", "resume", "spring")
	s.eventually("it continues", func() bool { return s.show().Status.Complete() })

	s.refused("is in use; exports: spring, summer", "connection", "remove", "Shop")
	s.must("connection", "remove", "Shop", "--detach", "--yes")
	require.Empty(t, s.export("export", "show", "spring").Connection)
	s.must("connection", "add", "Again", "--api-key-file", s.path("key.txt"), "--agree", "--calls-per-minute", "0")
	s.must("export", "attach", "spring", "--connection", "Again")
	_, r = s.run()
	require.Equal(t, r.Contacts-r.Refused, r.Unchanged, "what was confirmed is remembered")
	s.must("connection", "remove", "Again", "--remove-exports", "--yes")
	s.refused("there is no export", "export", "show", "spring")
	s.must("export", "show", "summer")
}

// Segments are made at Omnisend, named after ours; without the permission the
// rule is reported.
func TestSegmentsAreMade(t *testing.T) {
	t.Parallel()
	s := newShop(t, 20, sandbox.Options{Seed: 5})
	s.open(activities.Tuning{})
	s.define()
	made := s.export("export", "edit", "spring", "--create-segment")
	require.Contains(t, strings.Join(made.Notes, "\n"), "Audience > Segments")
	require.NotContains(t, strings.Join(made.Notes, "\n"), "make a segment there")
	s.must("export", "edit", "spring", "--create-segment")
	segments := s.sandbox.Segments(omnisendtest.Brand)
	require.Len(t, segments, 1, "one for each marker")
	require.Equal(t, "spring_buyers", segments[0].Name)

	require.NoError(t, s.sandbox.SetKey(sandbox.Key{Key: omnisendtest.Key, Brand: omnisendtest.Brand,
		Permissions: []string{sandbox.BrandsRead, sandbox.ContactsRead, sandbox.ContactsWrite}}))
	summer := s.export(append([]string{"export", "add", "summer", "--connection", "Spring shop", "--source", "crm", "--segment", "spring_buyers",
		"--marker", "spring_buyers=summer", "--create-segment"}, mapping...)...)
	require.Contains(t, strings.Join(summer.Notes, "\n"), "may not make segments")
	require.Contains(t, strings.Join(summer.Notes, "\n"), "with the rule: custom property summer is true")
}

// A connection that is gone in mid-run, for whatever reason, ends the run with
// the reason; its report adds up, and a new connection to the same brand learns
// the outcome of what was sent.
func TestConnectionRemovedInMidRun(t *testing.T) {
	t.Parallel()
	s := newShop(t, 1000, sandbox.Options{Seed: 5})
	s.open(activities.Tuning{BatchSize: 100})
	s.define("--calls-per-minute", "0")
	letGo := s.held(3)
	s.refused("stop it first", "connection", "remove", "Spring shop", "--detach", "--yes")
	// As if it had been removed in the moment before the run began.
	require.NoError(t, s.store.DeleteObject(t.Context(), "connection", "Spring shop", ""))
	letGo()
	s.eventually("the run ends", func() bool { return s.show().Status.Ended() })
	r := s.show()
	require.NoError(t, r.Check())
	require.Equal(t, run.Failed, r.Status)
	require.Contains(t, r.Reason, `the connection "Spring shop" does not exist any more`)
	require.Contains(t, r.Action, "set another connection")

	s.hook.Store(nil)
	s.must("connection", "add", "Again", "--api-key-file", s.path("key.txt"), "--agree", "--calls-per-minute", "0")
	s.must("export", "attach", "spring", "--connection", "Again")
	_, r = s.run("--yes")
	require.True(t, r.Status.Complete())
	for address, n := range s.sandbox.Stats(omnisendtest.Brand).Received {
		require.Equal(t, 1, n, "%s was sent once", address)
	}
}

// From a file: a source, a connection whose key the worker finds itself, an
// export. The key that is not there parks a run; one that was replaced counts
// at once.
func TestConfigurationFromAFile(t *testing.T) {
	const variable = "OMNISEND_KEY_OF_THE_TEST"
	t.Setenv(variable, omnisendtest.Key)
	s := newShop(t, 60, sandbox.Options{Seed: 5})
	s.open(activities.Tuning{})
	require.NoError(t, os.WriteFile(s.path("exports.yaml"), []byte(`
kind: export
name: spring
spec:
  connection: Shop
  source: crm
  segments: [{segment: spring_buyers}]
  id: CustomerId
  mapping: {email: Email, consent: EmailConsent, consent-date: ConsentDate}
---
kind: schedule
name: spring
spec: {every: "mon,thu", at: ["06:00"], zone: Europe/Warsaw}
---
kind: connection
name: Shop
spec: {api_key: "env:`+variable+`", calls_per_minute: 0}
---
kind: source
name: crm
spec: {kind: files, files: {path: segments}}
`), 0o600))
	file := s.path("exports.yaml")
	s.refused("agree with --agree", "apply", "-f", file, "--yes")
	require.Contains(t, s.must("apply", "-f", file, "--yes", "--agree"), "Applied: 4 changes")
	require.Contains(t, s.must("apply", "-f", file), "Everything is as the file says")
	_, r := s.run("--yes")
	require.True(t, r.Status.Complete())

	// What show gives is what apply takes.
	all := s.must("source", "show", "crm", "-o", "yaml") + "---\n" + s.must("connection", "show", "Shop", "-o", "yaml") + "---\n" + s.must("export", "show", "spring", "-o", "yaml") + "---\n" + s.must("schedule", "show", "spring", "-o", "yaml")
	require.NoError(t, os.WriteFile(file, []byte(all), 0o600))
	require.Contains(t, s.must("diff", "-f", file, "--exit-code"), "Everything is as the file says")
	require.Contains(t, all, "api_key: env:"+variable)
	require.Contains(t, all, "every: mon,thu")
	require.NotContains(t, all, omnisendtest.Key)

	// The whole configuration is a file that changes nothing where it is from.
	require.NoError(t, os.WriteFile(s.path("hook"), []byte("https://hooks.example.com/secret"), 0o600))
	s.must("alert", "add", "chat", "--webhook-url-file", s.path("hook"), "--late", "26h", "--export", "spring")
	s.must("refresh", "set", "--every", "day", "--at", "06:00", "--tz", "UTC")
	config := s.must("config")
	require.NoError(t, os.WriteFile(file, []byte(config), 0o600))
	require.Contains(t, s.must("diff", "-f", file, "--exit-code"), "Everything is as the file says")
	require.Contains(t, s.must("apply", "-f", file, "--yes"), "Everything is as the file says")
	for _, kind := range []string{"source", "connection", "export", "schedule", "refresh", "alert"} {
		require.Contains(t, config, "kind: "+kind)
	}
	require.NotContains(t, config, "hooks.example.com")

	// A dry run finds what the real one would.
	wrong := strings.ReplaceAll(config, "email: Email", "email: Mail")
	require.NoError(t, os.WriteFile(file, []byte(wrong), 0o600))
	s.refused("Mail", "apply", "-f", file, "--dry-run")
	taken := strings.ReplaceAll(config, "name: spring", "name: summer")
	require.NoError(t, os.WriteFile(file, []byte(taken), 0o600))
	s.refused("belongs to the export \"spring\"", "diff", "-f", file)
	require.NoError(t, os.WriteFile(file, []byte(strings.ReplaceAll(config, "late: 26h", "late: 3h")), 0o600))
	require.Contains(t, s.must("apply", "-f", file, "--yes"), "Applied: 1 change")
	require.Contains(t, s.must("alert", "show", "chat"), "3h")

	doctor, out, errs := s.starter("doctor")
	require.Zero(t, doctor, "%s%s", out, errs)
	require.Contains(t, out, "key of Shop: Omnisend accepts it")
	require.Contains(t, out, "are free in the worker's data directory")

	require.NoError(t, os.Unsetenv(variable))
	code, _, _ := s.starter("run", "spring")
	require.Equal(t, 4, code)
	require.Contains(t, s.show().Reason, "the variable "+variable+" is not set")
	require.NoError(t, os.Setenv(variable, omnisendtest.Key))
	s.must("runs", "resume", "spring")
	s.eventually("it continues", func() bool { return s.show().Status.Complete() })
	s.refused("names of variables with secrets begin with", "connection", "rotate-key", "Shop", "--api-key-ref", "env:PATH")
	s.must("connection", "rotate-key", "Shop", "--api-key-file", s.path("key.txt"))
	require.Contains(t, s.must("connection", "show", "Shop"), "stored")
	s.must("connection", "test", "Shop")
}
