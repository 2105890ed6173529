package admin

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/segment-export/segment-export/internal/access"
	"github.com/segment-export/segment-export/internal/catalogue"
	"github.com/segment-export/segment-export/internal/command"
	"github.com/segment-export/segment-export/internal/contact"
	"github.com/segment-export/segment-export/internal/omnisend/omnisendtest"
	"github.com/segment-export/segment-export/internal/omnisend/sandbox"
	"github.com/segment-export/segment-export/internal/protocol"
	"github.com/segment-export/segment-export/internal/record"
)

func anna(name string) command.Caller {
	return command.Caller{Principal: access.Principal{Name: "anna", Role: access.Admin}, Object: new(string),
		Request: &protocol.Request{ID: uuid.NewString(), Name: name, IssuedAt: time.Now()}}
}

// A check refuses what add and edit would refuse, and claims and stores nothing.
func TestExportCheck(t *testing.T) {
	s := newSteps(t, sandbox.Options{})
	s.Write("ann@example.com,Ann")
	ctx := t.Context()
	require.NoError(t, s.Store.ClaimMarkers(ctx, omnisendtest.Brand, "spring", []string{"segment_buyers"}))
	spec := func(change func(*catalogue.ExportSpec)) catalogue.ExportSpec {
		e := s.Export.ExportSpec
		e.Segments = []catalogue.ExportedSegment{{Segment: "buyers", Marker: "another"}}
		change(&e)
		return e
	}
	for name, c := range map[string]struct {
		export string
		spec   catalogue.ExportSpec
		want   string
	}{
		"fine":             {"summer", spec(func(*catalogue.ExportSpec) {}), ""},
		"as it is":         {"spring", s.Export.ExportSpec, ""},
		"inactive":         {"summer", spec(func(e *catalogue.ExportSpec) { e.Connection = "" }), ""},
		"a wrong field":    {"summer", spec(func(e *catalogue.ExportSpec) { e.Mapping = contact.Mapping{contact.Email: "Mail"} }), `Mail`},
		"no such segment":  {"summer", spec(func(e *catalogue.ExportSpec) { e.Segments[0].Segment = "gone" }), "gone"},
		"a taken marker":   {"summer", s.Export.ExportSpec, `the marker segment_buyers belongs to the export "spring"`},
		"no such source":   {"summer", spec(func(e *catalogue.ExportSpec) { e.Source = "gone" }), `there is no source "gone"`},
		"no mapped e-mail": {"summer", spec(func(e *catalogue.ExportSpec) { e.Mapping = nil }), "email"},
	} {
		_, checked := s.exportCheck(ctx, anna(protocol.ExportCheck), protocol.ExportCheckArgs{Name: c.export, ExportSpec: c.spec})
		if c.want == "" {
			require.NoError(t, checked, name)
		} else {
			require.ErrorContains(t, checked, c.want, name)
			_, added := s.exportAdd(ctx, anna(protocol.ExportAdd), protocol.ExportAddArgs{Name: c.export, ExportSpec: c.spec})
			require.EqualError(t, added, checked.Error(), "%s: it says what the command itself says", name)
		}
	}
	owners, err := s.Store.MarkerOwners(ctx, omnisendtest.Brand)
	require.NoError(t, err)
	require.Equal(t, map[string]string{"segment_buyers": "spring"}, owners)
	exports, err := record.List[catalogue.Export](ctx, s.Store, catalogue.KindExport)
	require.NoError(t, err)
	require.Len(t, exports, 1)
}

// What an alert reports can be changed; its destination stays sealed as it was.
func TestAlertEdit(t *testing.T) {
	s := newSteps(t, sandbox.Options{})
	ctx := t.Context()
	alert := catalogue.Alert{Meta: catalogue.Meta{Name: "ops", Version: 1}, Channel: catalogue.ChannelMail, Target: "1 address through mail:587",
		On: []catalogue.Condition{catalogue.ConditionFailed}, Rejects: 0.05}
	s.Put(catalogue.KindAlert, "ops", alert, []byte("sealed"))
	args := protocol.AlertEditArgs{Version: 1, AlertAddArgs: protocol.AlertAddArgs{Name: "ops", Exports: []string{"spring"},
		On: []catalogue.Condition{catalogue.ConditionFailed, catalogue.ConditionLate}, Rejects: 0.1, Late: time.Hour}}
	for range 2 { // an attempt that is repeated changes nothing
		_, err := s.alertEdit(ctx, anna(protocol.AlertEdit), args)
		require.NoError(t, err)
	}
	got, o, err := record.Find[catalogue.Alert](ctx, s.Store, catalogue.KindAlert, "ops")
	require.NoError(t, err)
	require.Equal(t, time.Hour, got.Late)
	require.Equal(t, []string{"spring"}, got.Exports)
	require.Equal(t, int64(2), got.Version)
	require.Equal(t, "anna", got.UpdatedBy)
	require.Equal(t, "sealed", string(o.Sealed))

	args.Late = 2 * time.Hour
	_, err = s.alertEdit(ctx, anna(protocol.AlertEdit), args)
	require.ErrorContains(t, err, "has version 2 now")
	args.Version, args.Exports = 2, []string{"gone"}
	_, err = s.alertEdit(ctx, anna(protocol.AlertEdit), args)
	require.ErrorContains(t, err, `there is no export "gone"`)
	args.On = nil
	_, err = s.alertEdit(ctx, anna(protocol.AlertEdit), args)
	require.ErrorContains(t, err, "--on")
}
