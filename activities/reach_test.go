package activities

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/segment-export/segment-export/internal/access"
	"github.com/segment-export/segment-export/internal/catalogue"
	"github.com/segment-export/segment-export/internal/omnisend/omnisendtest"
	"github.com/segment-export/segment-export/internal/omnisend/sandbox"
	"github.com/segment-export/segment-export/internal/protocol"
	"github.com/segment-export/segment-export/internal/run"
	"github.com/segment-export/segment-export/internal/store"
)

// carl is a contributor who gives a command.
func carl(name string) caller {
	return caller{Principal: access.Principal{Name: "carl", Role: access.Contributor},
		request: &protocol.Request{ID: uuid.NewString(), Name: name}, object: new(string)}
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

// A run notes the source that it reads when it begins, and that stays when it
// has ended.
func TestARunNotesItsSource(t *testing.T) {
	s := newSteps(t, sandbox.Options{})
	s.write("ann@example.com,Ann")
	r := s.run()
	require.Equal(t, "crm", s.stored(r.RunID).Source)
	r = s.begin(run.Request{})
	require.Equal(t, "crm", s.finish(r, run.Canceled).Source)
	require.Equal(t, "crm", s.stored(r.RunID).Source)
}

// explain searches the rejects of those runs only that the caller may see.
func TestExplainLeavesOutWhatIsNotShared(t *testing.T) {
	s := newPermissionBench(t)
	old, err := s.findRun(t.Context(), "spring")
	require.NoError(t, err)
	rejects, err := s.Keyring.SealBlob(encode([]protocol.Reject{{Email: "ann@example.com", Reason: "odd"}}), blobContext(old.ID, store.BlobReject))
	require.NoError(t, err)
	require.NoError(t, s.Store.CommitStep(t.Context(), store.Step{Run: old.ID, Blobs: []store.Blob{{Kind: store.BlobReject, Group: rejectsRead, Data: rejects}}}))
	explain := func() protocol.ExplainAnswer {
		c := carl(protocol.Explain)
		c.request.Sealed, err = s.Keyring.PublicKey().Seal(encode(protocol.Address{Email: "ann@example.com"}), protocol.Context(c.request.ID))
		require.NoError(t, err)
		answer, err := s.explain(t.Context(), c)
		require.NoError(t, err)
		return answer.(sealedAnswer).content.(protocol.ExplainAnswer)
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
	s.put(catalogue.KindRefresh, catalogue.RefreshName, catalogue.Refresh{On: true}, nil)
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
	s.Identity = somebody{access.Contributor}
	_, err := s.Store.SeePrincipal(t.Context(), store.Principal{Subject: "idp#carl", Name: "carl", Role: access.Contributor.String()})
	require.NoError(t, err)
	s.export.RunAs = "carl"
	s.remap(s.export.ExportSpec)
	s.write("ann@example.com,Ann")
	begin := func(request run.Request) *Halt {
		id := uuid.NewString()
		require.NoError(t, s.Store.CreateRun(t.Context(), store.Run{ID: id, Export: "spring", Connection: "shop", Brand: omnisendtest.Brand,
			Status: string(run.Queued), Request: encode(request)}))
		return s.preflight(id).Halt
	}
	s.share()
	require.Nil(t, begin(run.Request{}))
	for _, unshared := range []string{"shop", "crm"} {
		s.share(unshared)
		halt := begin(run.Request{Trigger: run.BySchedule})
		require.Equal(t, HaltSkip, halt.Kind)
		require.Contains(t, halt.Reason, fmt.Sprintf("may not use the %s %q any more", catalogued[unshared], unshared))
		require.NotContains(t, halt.Reason, "carl")
	}
	require.Nil(t, begin(run.Request{Remove: "command"}), "it reads no source")
}
