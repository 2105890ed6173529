package operate

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/segment-export/segment-export/internal/access"
	"github.com/segment-export/segment-export/internal/catalogue"
	"github.com/segment-export/segment-export/internal/command"
	"github.com/segment-export/segment-export/internal/omnisend/omnisendtest"
	"github.com/segment-export/segment-export/internal/protocol"
	"github.com/segment-export/segment-export/internal/record"
	"github.com/segment-export/segment-export/internal/run"
	"github.com/segment-export/segment-export/internal/store"
)

// The specification of a command says what its arguments say that it is about.
func TestCommandsAreAboutWhatTheirSpecificationSays(t *testing.T) {
	s := newPermissionBench(t)
	for _, name := range s.Names() {
		spec, ok := access.Specified(name)
		require.True(t, ok, name)
		require.Equal(t, permissions[name].who, spec.Role, name)
		about, err := s.About(name, json.RawMessage(permissions[name].args))
		require.NoError(t, err, name)
		var kinds []catalogue.Kind
		for _, subject := range about {
			kinds = append(kinds, subject.Kind)
		}
		require.ElementsMatch(t, spec.About, kinds, name)
	}
}

// A personal answer never travels in clear: without a key there is none.
func TestPersonalAnswersAreSealed(t *testing.T) {
	for _, spec := range access.Commands {
		if !spec.Personal || permissions[spec.Name].args == "" {
			continue
		}
		t.Run(spec.Name, func(t *testing.T) {
			s := newPermissionBench(t)
			s.Identity = user{access.Admin}
			response, err := s.Command(t.Context(), protocol.Request{ID: uuid.NewString(), Name: spec.Name,
				Args: json.RawMessage(permissions[spec.Name].args), IssuedAt: time.Now()}, command.Attempt{Number: 1, Execution: "it"})
			require.Error(t, err)
			require.Nil(t, response)
		})
	}
}

// another makes a newer run of the export, over a connection that is not shared,
// when the rights to the run before it were checked.
type another struct {
	store.Store
	make func()
}

func (a *another) Object(ctx context.Context, kind, name string) (store.Object, error) {
	if name == "oldcrm" && a.make != nil {
		a.make()
		a.make = nil
	}
	return a.Store.Object(ctx, kind, name)
}

// A command works on the run that the caller may use, though its export's name
// means another one by then.
func TestACommandWorksOnTheRunThatWasChecked(t *testing.T) {
	s := newPermissionBench(t)
	s.share("shop", "crm")
	old, err := s.FindRun(t.Context(), "spring")
	require.NoError(t, err)
	s.StoreNow.Advance(time.Minute)
	all := s.Store
	made := false
	s.Store = &another{all, func() {
		made = true
		require.NoError(t, all.CreateRun(t.Context(), store.Run{ID: uuid.NewString(), Export: "spring", Connection: "shop", Brand: omnisendtest.Brand,
			Status: string(run.Running), Report: record.Encode(run.Report{Source: "crm"}), Request: record.Encode(run.Request{})}))
	}}
	refused, err := s.as(access.Contributor, protocol.RunsApprove, `{"run":"spring","guard":"first-run"}`)
	require.True(t, made)
	require.False(t, refused)
	require.ErrorContains(t, err, "run "+old.ID)
}
