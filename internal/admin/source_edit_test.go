package admin

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/segment-export/segment-export/internal/access"
	"github.com/segment-export/segment-export/internal/catalogue"
	"github.com/segment-export/segment-export/internal/command"
	"github.com/segment-export/segment-export/internal/omnisend/sandbox"
	"github.com/segment-export/segment-export/internal/protocol"
	"github.com/segment-export/segment-export/internal/record"
	"github.com/segment-export/segment-export/internal/segment"
)

// A credential is sealed for one destination; a source that points elsewhere needs
// it again. Of two edits the second is refused.
func TestSourcesAreChanged(t *testing.T) {
	s := newSteps(t, sandbox.Options{})
	s.Write("ann@example.com,Ann")
	var got []byte
	open := s.OpenSource
	s.OpenSource = func(c catalogue.Source, credential []byte) (segment.Source, error) {
		got = credential
		return open(catalogue.Source{Type: catalogue.TypeFiles, Files: &catalogue.FilesSettings{Path: "."}}, nil)
	}
	by := func(secret string) command.Caller {
		request := &protocol.Request{ID: uuid.NewString(), Name: protocol.SourceEdit, IssuedAt: time.Now()}
		if secret != "" {
			var err error
			request.Sealed, err = s.Keyring.PublicKey().Seal(record.Encode(protocol.SourceSecret{Credential: []byte(secret)}), protocol.Context(request.ID))
			require.NoError(t, err)
		}
		return command.Caller{Principal: access.Principal{Name: "anna", Role: access.Admin}, Request: request, Object: new(string)}
	}
	ctx := t.Context()
	database := func(host string) protocol.SourceSettings {
		return protocol.SourceSettings{Postgres: &catalogue.PostgresSettings{Host: host, Database: "crm", User: "reader", ID: "id"}}
	}
	add := protocol.SourceAddArgs{Name: "warehouse", Kind: "postgres", SourceSettings: database("a.example.com")}
	_, err := s.sourceAdd(ctx, by("first\n"), add)
	require.NoError(t, err)
	require.Equal(t, "first", string(got))
	src, o, err := record.Object[catalogue.Source](ctx, s.Store, catalogue.KindSource, "warehouse")
	require.NoError(t, err)
	require.Equal(t, catalogue.CredentialStored, src.Credential)
	require.Equal(t, "anna", src.Owner)
	require.NotContains(t, string(o.Body)+string(o.Sealed), "first", "neither in clear")

	edit := protocol.SourceEditArgs{Name: "warehouse", Version: 1, SourceSettings: database("b.example.com")}
	_, err = s.sourceEdit(ctx, by(""), edit)
	require.ErrorContains(t, err, "give the credential again with this change")
	_, err = s.sourceEdit(ctx, by("second"), edit)
	require.NoError(t, err)
	_, err = s.sourceEdit(ctx, by("third"), edit)
	require.ErrorContains(t, err, "has version 2 now, and the change was made from version 1")
	_, _, err = s.Connect().Source(ctx, "warehouse")
	require.NoError(t, err)
	require.Equal(t, "second", string(got))

	ref := "env:HOME"
	_, err = s.sourceEdit(ctx, by(""), protocol.SourceEditArgs{Name: "warehouse", SourceSettings: protocol.SourceSettings{Credential: &ref}})
	require.ErrorContains(t, err, "not one that may be named")
	none := ""
	_, err = s.sourceEdit(ctx, by(""), protocol.SourceEditArgs{Name: "warehouse", SourceSettings: protocol.SourceSettings{Credential: &none}})
	require.NoError(t, err)
	_, _, err = s.Connect().Source(ctx, "warehouse")
	require.NoError(t, err)
	require.Nil(t, got, "it is forgotten")

	_, err = s.sourceShare(ctx, by(""), protocol.SourceShareArgs{Name: "warehouse", With: catalogue.SharedContributors})
	require.NoError(t, err)
	_, err = s.sourceOwner(ctx, by(""), protocol.SourceOwnerArgs{Name: "warehouse", To: "carl"})
	require.NoError(t, err)
	src, _, err = record.Object[catalogue.Source](ctx, s.Store, catalogue.KindSource, "warehouse")
	require.NoError(t, err)
	require.Equal(t, "carl", src.Owner)
	require.Equal(t, catalogue.SharedContributors, src.Shared)
	src.Shared = catalogue.SharedAdmins
	require.True(t, access.May(access.Principal{Name: "carl", Role: access.Contributor}, access.OfSource(src)))
	require.False(t, access.May(access.Principal{Name: "dora", Role: access.Contributor}, access.OfSource(src)))

	_, err = s.sourceRemove(ctx, by(""), protocol.Named{Name: "crm"})
	require.ErrorContains(t, err, `is read by 1 export: spring`)
	wrong := protocol.SourceAddArgs{Name: "x", Kind: "files", SourceSettings: database("a")}
	_, err = s.sourceAdd(ctx, by(""), wrong)
	require.ErrorContains(t, err, "has no settings of that kind")
}
