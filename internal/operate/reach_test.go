package operate

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/segment-export/segment-export/internal/access"
	"github.com/segment-export/segment-export/internal/catalogue"
	"github.com/segment-export/segment-export/internal/command"
	"github.com/segment-export/segment-export/internal/job"
	"github.com/segment-export/segment-export/internal/omnisend/omnisendtest"
	"github.com/segment-export/segment-export/internal/omnisend/sandbox"
	"github.com/segment-export/segment-export/internal/protocol"
	"github.com/segment-export/segment-export/internal/record"
	"github.com/segment-export/segment-export/internal/run"
	"github.com/segment-export/segment-export/internal/store"
)

// carl is a contributor who gives a command.
func carl(name string) command.Caller {
	return command.Caller{Principal: access.Principal{Name: "carl", Role: access.Contributor},
		Request: &protocol.Request{ID: uuid.NewString(), Name: name}, Object: new(string)}
}

// A contributor needs everything that a command reaches to be shared, and
// nothing else: not what the export of a run uses now, but what the run used.
func TestEveryCommandNeedsWhatItReaches(t *testing.T) {
	for name, p := range permissions {
		if p.who != contributors || aboutNothing[name] {
			continue
		}
		t.Run(name, func(t *testing.T) {
			var needed []string
			for object := range catalogued {
				s := newPermissionBench(t)
				s.share(object)
				if refused, err := s.as(access.Contributor, name, p.args); refused {
					require.ErrorContains(t, err, fmt.Sprintf("needs the %s %q", catalogued[object], object))
					needed = append(needed, object)
				}
			}
			require.ElementsMatch(t, strings.Fields(p.reaches), needed)
		})
	}
}

// A run keeps what it used when its export is gone.
func TestARunOfAnExportThatWasRemoved(t *testing.T) {
	for _, unshared := range []string{"oldshop", "oldcrm", "shop", "crm"} {
		s := newPermissionBench(t)
		s.share(unshared)
		require.NoError(t, s.Store.DeleteObject(t.Context(), string(catalogue.KindExport), "spring", ""))
		refused, err := s.as(access.Contributor, protocol.RunsRejects, `{"run":"spring","page":0}`)
		require.Equal(t, strings.HasPrefix(unshared, "old"), refused, "without %s: %v", unshared, err)
	}
}

// What a run keeps is not opened by a source or connection that was added later
// under the name of the one that it used.
func TestARunOfASourceThatWasAddedAgain(t *testing.T) {
	for kind, name := range map[catalogue.Kind]string{catalogue.KindSource: "oldcrm", catalogue.KindConnection: "oldshop"} {
		s := newPermissionBench(t)
		s.share()
		refused, err := s.as(access.Contributor, protocol.RunsRejects, `{"run":"spring","page":0}`)
		require.False(t, refused, "%v", err)
		o, err := s.Store.Object(t.Context(), string(kind), name)
		require.NoError(t, err)
		var body map[string]any
		require.NoError(t, json.Unmarshal(o.Body, &body))
		body["created_at"] = time.Now().Add(time.Hour)
		o.Body, o.Sealed = record.Encode(body), nil
		require.NoError(t, s.Store.UpdateObject(t.Context(), o))
		refused, err = s.as(access.Contributor, protocol.RunsRejects, `{"run":"spring","page":0}`)
		require.True(t, refused, "%s", name)
		require.ErrorContains(t, err, fmt.Sprintf("needs the %s %q", kind, name))
	}
}

// A run notes the source that it reads when it begins, and that stays when it
// has ended.
func TestARunNotesItsSource(t *testing.T) {
	s := newSteps(t, sandbox.Options{})
	s.Write("ann@example.com,Ann")
	r := s.Run()
	require.Equal(t, "crm", s.Stored(r.RunID).Source)
	r = s.Begin(run.Request{})
	require.Equal(t, "crm", s.Finish(r, run.Canceled).Source)
	require.Equal(t, "crm", s.Stored(r.RunID).Source)
}

// explain searches the rejects of those runs only that the caller may see.
func TestExplainLeavesOutWhatIsNotShared(t *testing.T) {
	s := newPermissionBench(t)
	old, err := s.FindRun(t.Context(), "spring")
	require.NoError(t, err)
	rejects, err := s.Keyring.SealBlob(record.Encode([]protocol.Reject{{Email: "ann@example.com", Reason: "odd"}}), job.BlobContext(old.ID, store.BlobReject))
	require.NoError(t, err)
	require.NoError(t, s.Store.CommitStep(t.Context(), store.Step{Run: old.ID, Blobs: []store.Blob{{Kind: store.BlobReject, Group: job.RejectsRead, Data: rejects}}}))
	explain := func() protocol.ExplainAnswer {
		c := carl(protocol.Explain)
		c.Request.Sealed, err = s.Keyring.PublicKey().Seal(record.Encode(protocol.Address{Email: "ann@example.com"}), protocol.Context(c.Request.ID))
		require.NoError(t, err)
		answer, err := s.explain(t.Context(), c)
		require.NoError(t, err)
		return answer.(protocol.ExplainAnswer)
	}
	for _, unshared := range []string{"shop", "crm"} {
		s.share(unshared)
		a := explain()
		require.Equal(t, 1, a.Hidden, "without %s", unshared)
		require.Empty(t, a.Exports)
	}
	for _, unshared := range []string{"oldshop", "oldcrm"} {
		s.share(unshared)
		a := explain()
		require.Equal(t, 1, a.Exports[0].HiddenRuns, "without %s", unshared)
		require.Empty(t, a.Exports[0].Rejects)
	}
	s.share()
	require.Len(t, explain().Exports[0].Rejects, 1)
}

func TestRunAllLeavesOutWhatIsNotShared(t *testing.T) {
	s := newPermissionBench(t)
	s.Put(catalogue.KindRefresh, catalogue.RefreshName, catalogue.Refresh{On: true}, nil)
	for _, unshared := range []string{"shop", "crm"} {
		s.share(unshared)
		answer, err := s.runAll(t.Context(), carl(protocol.RunAll), protocol.RunAllArgs{})
		require.NoError(t, err)
		start := answer.(protocol.RunAllAnswer).Exports[0]
		require.Equal(t, protocol.ErrNotAllowed, start.Class, "without %s", unshared)
		require.Nil(t, start.Run)
	}
}

// A run that nobody is asked for, by a schedule or after an edit, uses what the
// user whom it acts as may use.
func TestARunUsesWhatItsUserMayUse(t *testing.T) {
	s := newPermissionBench(t)
	s.Identity = user{access.Contributor}
	_, err := s.Store.SeePrincipal(t.Context(), store.Principal{Subject: "idp#carl", Name: "carl", Role: access.Contributor.String()})
	require.NoError(t, err)
	s.Export.RunAs = "carl"
	s.Remap(s.Export.ExportSpec)
	s.Write("ann@example.com,Ann")
	begin := func(request run.Request) *run.Halt {
		id := uuid.NewString()
		require.NoError(t, s.Store.CreateRun(t.Context(), store.Run{ID: id, Export: "spring", Connection: "shop", Brand: omnisendtest.Brand,
			Status: string(run.Queued), Request: record.Encode(request)}))
		return s.Preflight(id).Halt
	}
	s.share()
	require.Nil(t, begin(run.Request{}))
	for _, unshared := range []string{"shop", "crm"} {
		s.share(unshared)
		halt := begin(run.Request{Trigger: run.BySchedule})
		require.Equal(t, run.HaltSkip, halt.Kind)
		require.Contains(t, halt.Reason, fmt.Sprintf("may not use the %s %q any more", catalogued[unshared], unshared))
		require.NotContains(t, halt.Reason, "carl")
	}
	require.Nil(t, begin(run.Request{Remove: "command"}), "it reads no source")
}
