package operate

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/segment-export/segment-export/internal/access"
	"github.com/segment-export/segment-export/internal/catalogue"
	"github.com/segment-export/segment-export/internal/command"
	"github.com/segment-export/segment-export/internal/omnisend/omnisendtest"
	"github.com/segment-export/segment-export/internal/omnisend/sandbox"
	"github.com/segment-export/segment-export/internal/protocol"
	"github.com/segment-export/segment-export/internal/record"
	"github.com/segment-export/segment-export/internal/run"
	"github.com/segment-export/segment-export/internal/store"
)

// Who may give a command in this table.
const (
	everybody    = access.Nobody
	viewers      = access.Viewer
	contributors = access.Contributor // each about what is shared with them
	admins       = access.Admin
)

// permissions are all commands: who may give them, with arguments, and what a
// contributor reaches with these. The export "spring" has the connection "shop"
// and the source "crm"; its last run had "oldshop" and "oldcrm". It is written
// out here on purpose, beside the table in package access: a command without a
// row fails the test.
var permissions = map[string]struct {
	who     access.Role
	args    string
	reaches string
}{
	"hello":  {everybody, ``, ``},
	"whoami": {viewers, ``, ``},
	"status": {viewers, ``, ``},

	"overview":    {viewers, `{}`, ``},
	"export list": {viewers, ``, ``},
	"export show": {viewers, `{"name":"spring"}`, ``},
	"alert list":  {viewers, ``, ``},
	"alert show":  {viewers, `{"name":"late"}`, ``},
	"runs list":   {viewers, `{}`, ``},
	"runs show":   {viewers, `{"run":"spring"}`, ``},

	"source show":         {contributors, `{"name":"crm"}`, `crm`},
	"source test":         {contributors, `{"name":"crm"}`, `crm`},
	"connection show":     {contributors, `{"name":"shop"}`, `shop`},
	"export add":          {contributors, `{"name":"new","connection":"shop","source":"crm"}`, `shop crm`},
	"export check":        {contributors, `{"name":"spring","connection":"oldshop","source":"oldcrm"}`, `shop crm oldshop oldcrm`},
	"export edit":         {contributors, `{"name":"spring","connection":"oldshop","source":"oldcrm"}`, `shop crm oldshop oldcrm`},
	"export preview":      {contributors, `{"connection":"shop","source":"crm"}`, `shop crm`},
	"export duplicate":    {contributors, `{"name":"spring","as":"copy"}`, `shop crm`},
	"export attach":       {contributors, `{"name":"spring","connection":"oldshop"}`, `shop crm oldshop`},
	"export detach":       {contributors, `{"name":"spring"}`, `shop crm`},
	"export remove":       {contributors, `{"name":"spring"}`, `shop crm`},
	"export reset-ledger": {contributors, `{"name":"spring"}`, `shop crm`},
	"plan":                {contributors, `{"export":"spring"}`, `shop crm`},
	"run":                 {contributors, `{"export":"spring"}`, `shop crm`},
	"samples":             {contributors, `{"run":"spring"}`, `oldshop oldcrm`},
	"runs pause":          {contributors, `{"run":"spring"}`, `oldshop oldcrm`},
	"runs resume":         {contributors, `{"run":"spring"}`, `oldshop oldcrm`},
	"runs approve":        {contributors, `{"run":"spring","guard":"first-run"}`, `oldshop oldcrm`},
	"runs cancel":         {contributors, `{"run":"spring"}`, `oldshop oldcrm`},
	"runs abandon":        {contributors, `{"run":"spring"}`, `oldshop oldcrm`},
	"runs rejects":        {contributors, `{"run":"spring","page":0}`, `oldshop oldcrm`},
	"runs retry-rejects":  {contributors, `{"run":"spring"}`, `shop crm oldshop oldcrm`},
	// About nothing by name: they leave out what is not shared.
	"source list":     {contributors, ``, ``},
	"connection list": {contributors, ``, ``},
	"explain":         {contributors, ``, ``},
	"verify":          {contributors, `{"export":"spring"}`, `shop crm`},
	"verify result":   {contributors, `{"export":"spring","id":"none"}`, `shop crm`},

	"schedule show":           {viewers, `{"export":"spring"}`, ``},
	"refresh show":            {viewers, ``, ``},
	"schedule set":            {contributors, `{"export":"spring","calendar":{}}`, `shop crm`},
	"schedule on":             {contributors, `{"export":"spring"}`, `shop crm`},
	"schedule off":            {contributors, `{"export":"spring"}`, `shop crm`},
	"schedule follow-refresh": {contributors, `{"export":"spring"}`, `shop crm`},
	"run all":                 {contributors, `{}`, ``},
	"refresh set":             {admins, `{}`, ``},
	"refresh on":              {admins, ``, ``},
	"refresh off":             {admins, ``, ``},
	"refresh now":             {admins, `{}`, ``},

	"forget":                {admins, `{}`, ``},
	"alert add":             {admins, `{"name":"late","on":[],"rejects":0}`, ``},
	"alert edit":            {admins, `{"name":"late","on":[],"rejects":0}`, ``},
	"alert remove":          {admins, `{"name":"late"}`, ``},
	"alert test":            {admins, `{"name":"late"}`, ``},
	"source add":            {admins, `{"name":"new","kind":"files"}`, ``},
	"source edit":           {admins, `{"name":"crm"}`, ``},
	"source share":          {admins, `{"name":"crm","with":"admins"}`, ``},
	"source owner":          {admins, `{"name":"crm","to":"anna"}`, ``},
	"source remove":         {admins, `{"name":"crm"}`, ``},
	"connection add":        {admins, `{"name":"new","agree":true}`, ``},
	"connection edit":       {admins, `{"name":"shop"}`, ``},
	"connection test":       {admins, `{"name":"shop"}`, ``},
	"connection stop":       {admins, `{"name":"shop"}`, ``},
	"connection start":      {admins, `{"name":"shop"}`, ``},
	"connection resume":     {admins, `{"name":"shop"}`, ``},
	"connection rotate-key": {admins, `{"name":"shop"}`, ``},
	"connection share":      {admins, `{"name":"shop","with":"admins"}`, ``},
	"connection remove":     {admins, `{"name":"shop"}`, ``},
	"access list":           {admins, ``, ``},
	"access revoke":         {admins, ``, ``},
	"access restore":        {admins, ``, ``},
	"audit":                 {admins, ``, ``},
}

// aboutNothing are the commands of contributors that name no object.
var aboutNothing = map[string]bool{"source list": true, "connection list": true, "explain": true, "run all": true}

// user has a role.
type user struct{ role access.Role }

func (s user) Identify(context.Context, access.Evidence, time.Time) (access.Person, error) {
	return access.Person{Subject: "idp#" + s.role.String(), Name: "some " + s.role.String(), Role: s.role}, nil
}

func (s user) RoleOf([]string) (access.Role, bool) { return s.role, true }

// as gives a command with a role, and says whether it was refused.
func (s *steps) as(role access.Role, name, args string) (refused bool, err error) {
	s.T.Helper()
	return s.give(uuid.NewString(), role, name, args)
}

// give gives a command of an id.
func (s *steps) give(id string, role access.Role, name, args string) (refused bool, err error) {
	s.T.Helper()
	s.Identity = user{role}
	_, err = s.Command(s.T.Context(), protocol.Request{ID: id, Name: name, Args: json.RawMessage(args), IssuedAt: time.Now()},
		command.Attempt{Number: 1, Execution: "the workflow's second run"})
	refusal, _ := errors.AsType[*protocol.RefusalError](err)
	return refusal != nil && refusal.Class == protocol.ErrNotAllowed, err
}

// catalogued are the connections and sources of a permission bench.
var catalogued = map[string]catalogue.Kind{"shop": catalogue.KindConnection, "crm": catalogue.KindSource,
	"oldshop": catalogue.KindConnection, "oldcrm": catalogue.KindSource}

// share shares all connections and sources but some with contributors.
func (s *steps) share(but ...string) {
	s.T.Helper()
	for name, kind := range catalogued {
		o, err := s.Store.Object(s.T.Context(), string(kind), name)
		require.NoError(s.T, err)
		var body map[string]any
		require.NoError(s.T, json.Unmarshal(o.Body, &body))
		body["shared"] = catalogue.SharedContributors
		if slices.Contains(but, name) {
			body["shared"] = catalogue.SharedAdmins
		}
		o.Body, o.Sealed = record.Encode(body), nil
		require.NoError(s.T, s.Store.UpdateObject(s.T.Context(), o))
	}
}

// bench of one command: an export with a run that has ended.
func newPermissionBench(t *testing.T) *steps {
	t.Helper()
	s := newSteps(t, sandbox.Options{})
	s.Put(catalogue.KindConnection, "oldshop", catalogue.Connection{Meta: catalogue.Meta{Name: "oldshop"}, Endpoint: s.Target.URL,
		BrandID: omnisendtest.Brand, Share: 1, MaxContacts: 1000}, nil)
	s.Put(catalogue.KindSource, "oldcrm", catalogue.Source{Meta: catalogue.Meta{Name: "oldcrm"}, Type: "files", Files: &catalogue.FilesSettings{Path: "."}}, nil)
	require.NoError(t, s.Store.CreateRun(t.Context(), store.Run{ID: uuid.NewString(), Export: "spring", Connection: "oldshop",
		Brand: omnisendtest.Brand, Status: string(run.Completed), Report: record.Encode(run.Report{Source: "oldcrm"}), Request: record.Encode(run.Request{})}))
	return s
}

// Every command that a worker carries out is given by everybody: nobody, a
// viewer, a contributor with whom nothing is shared, one with whom all is, an
// administrator.
func TestEveryCommandAgainstEveryRole(t *testing.T) {
	s := newPermissionBench(t)
	for name := range permissions {
		_, ok := slices.BinarySearch(s.Names(), name)
		require.True(t, ok, "the worker has no command %q", name)
	}
	for _, name := range s.Names() {
		p, ok := permissions[name]
		require.True(t, ok, "the command %q has no row in permissions", name)
		t.Run(name, func(t *testing.T) {
			s := newPermissionBench(t)
			for _, role := range []access.Role{access.Nobody, access.Viewer, access.Contributor} {
				refused, err := s.as(role, name, p.args)
				may := role >= p.who && (role < access.Contributor || p.who != contributors || aboutNothing[name])
				require.Equal(t, !may, refused, "%s: %v", role, err)
				if refused {
					require.ErrorContains(t, err, "ask ", "it says who can help")
					require.NotContains(t, err.Error(), "some "+role.String(), "it names nobody")
					entries, err := s.Store.AuditEntries(t.Context(), store.AuditFilter{Limit: 1})
					require.NoError(t, err)
					require.Equal(t, name, entries[0].Command, "the attempt is in the audit")
					require.Equal(t, protocol.ErrNotAllowed, entries[0].Outcome)
				}
			}
			for _, role := range []access.Role{access.Contributor, access.Admin} {
				s := newPermissionBench(t) // the command may change what it is about
				s.share()
				refused, err := s.as(role, name, p.args)
				require.Equal(t, role < p.who, refused, "%s, shared: %v", role, err)
			}
		})
	}
}

// A reset of a command's workflow repeats the command with the proof of the user
// who gave it. The audit does not name that user.
func TestACommandThatIsRepeatedNamesNobody(t *testing.T) {
	s := newPermissionBench(t)
	id := uuid.NewString()
	first := store.AuditEntry{ID: id, Actor: "some admin", Command: protocol.ExportDetach, Object: "spring", Outcome: "done"}
	require.NoError(t, s.Store.BeginCommand(t.Context(), id, "the workflow's first run"))
	require.NoError(t, s.Store.AddAudit(t.Context(), first))
	refused, err := s.give(id, access.Admin, first.Command, `{"name":"spring"}`)
	require.ErrorContains(t, err, "duplicate command ID")
	require.False(t, refused)
	entries, err := s.Store.AuditEntries(t.Context(), store.AuditFilter{})
	require.NoError(t, err)
	require.Len(t, entries, 2)
	for _, e := range entries {
		if e.ID == id {
			require.Equal(t, "done", e.Outcome)
			continue
		}
		require.Empty(t, e.Actor)
		require.Equal(t, protocol.ErrRepeated, e.Outcome)
		require.Equal(t, "spring", e.Object)
		require.Nil(t, e.Detail)
	}
}

// What a contributor edits runs as that contributor, not as the user
// that an administrator named before.
func TestWhatAContributorEditsRunsAsThem(t *testing.T) {
	s := newPermissionBench(t)
	s.share()
	e, o, err := record.Object[catalogue.Export](t.Context(), s.Store, catalogue.KindExport, "spring")
	require.NoError(t, err)
	change := func(role access.Role, name, runAs string) catalogue.Export {
		c := command.Caller{Principal: access.Principal{Name: name, Role: role}, Request: &protocol.Request{ID: uuid.NewString(), Name: protocol.ExportEdit}, Object: new(string)}
		v := e
		v.RunAs = runAs
		require.NoError(t, s.Replace(t.Context(), c, o, &v, nil))
		e, o, err = record.Object[catalogue.Export](t.Context(), s.Store, catalogue.KindExport, "spring")
		require.NoError(t, err)
		return e
	}
	require.Equal(t, "service", new(change(access.Admin, "anna", "service")).Owner())
	require.Equal(t, "carl", new(change(access.Contributor, "carl", "service")).Owner())
	require.Equal(t, "carl", new(change(access.Contributor, "carl", "carl")).Owner())
	require.Equal(t, "anna", new(change(access.Admin, "anna", "")).Owner())
}

// Of two who edit one object at once the second is refused, and nothing is
// overwritten.
func TestTwoEditsOfOneObject(t *testing.T) {
	s := newPermissionBench(t)
	e, o, err := record.Object[catalogue.Export](t.Context(), s.Store, catalogue.KindExport, "spring")
	require.NoError(t, err)
	edit := func(name string, id string) error {
		c := command.Caller{Principal: access.Principal{Name: name, Role: access.Admin}, Request: &protocol.Request{ID: uuid.NewString(), Name: protocol.ExportEdit}, Object: new(string)}
		v := e
		v.ID = id
		return s.Replace(t.Context(), c, o, &v, nil)
	}
	require.NoError(t, edit("anna", "First"))
	err = edit("berta", "Second")
	var refused *protocol.RefusalError
	require.ErrorAs(t, err, &refused)
	require.Equal(t, protocol.ErrConflict, refused.Class)
	require.ErrorContains(t, err, "was changed by another user meanwhile")
	now, _, err := record.Object[catalogue.Export](t.Context(), s.Store, catalogue.KindExport, "spring")
	require.NoError(t, err)
	require.Equal(t, "First", now.ID)
	require.Equal(t, "anna", now.UpdatedBy)
}
