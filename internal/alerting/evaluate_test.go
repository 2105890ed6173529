package alerting_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/segment-export/segment-export/internal/alerting"
	"github.com/segment-export/segment-export/internal/alerting/alertingtest"
	"github.com/segment-export/segment-export/internal/catalogue"
	"github.com/segment-export/segment-export/internal/delivery/deliverytest"
	"github.com/segment-export/segment-export/internal/omnisend/omnisendtest"
	"github.com/segment-export/segment-export/internal/omnisend/sandbox"
	"github.com/segment-export/segment-export/internal/record"
	"github.com/segment-export/segment-export/internal/run"
	"github.com/segment-export/segment-export/internal/store"
)

// watch evaluates the alert "ops" about failed and parked runs.
type watch struct {
	*deliverytest.Steps
	*alerting.Alerts

	receiver *alertingtest.Receiver
	started  []alerting.AlertInput
	fails    error // of the next start
}

func newWatch(t *testing.T) *watch {
	t.Helper()
	s := deliverytest.New(t, sandbox.Options{})
	w := &watch{Steps: s, receiver: alertingtest.NewReceiver(t, key)}
	w.Alerts = &alerting.Alerts{Store: s.Store, Keyring: s.Keyring, Work: s.Work, Roots: w.receiver.Roots,
		Start: func(_ context.Context, in alerting.AlertInput, summary string) error {
			require.Contains(t, summary, "spring")
			if err := w.fails; err != nil {
				w.fails = nil
				return err
			}
			w.started = append(w.started, in)
			return nil
		}}
	target := alerting.Target{Type: catalogue.ChannelWebhook, Webhook: &alerting.Webhook{URL: w.receiver.URL, Key: key, Format: alerting.FormatText}}
	sealed, err := s.Keyring.Seal(record.Encode(target), alerting.TargetContext("ops"))
	require.NoError(t, err)
	s.Put(catalogue.KindAlert, "ops", catalogue.Alert{Meta: catalogue.Meta{Name: "ops"}, Channel: catalogue.ChannelWebhook,
		On: []catalogue.Condition{catalogue.ConditionFailed, catalogue.ConditionParked}}, sealed)
	return w
}

// parked puts a run on record that waits for an operator.
func (w *watch) parked() string {
	w.T.Helper()
	id := uuid.NewString()
	require.NoError(w.T, w.Steps.Store.CreateRun(w.T.Context(), store.Run{ID: id, Export: "spring", Connection: "shop", Brand: omnisendtest.Brand,
		Status: string(run.Parked), Report: record.Encode(run.Report{Reason: "no such column"}), Request: record.Encode(run.Request{})}))
	return id
}

// evaluated returns the deliveries that an evaluation starts.
func (w *watch) evaluated() []alerting.AlertInput {
	w.T.Helper()
	w.started = nil
	require.NoError(w.T, w.EvaluateAlerts(w.T.Context()))
	return w.started
}

func (w *watch) states() []store.Object {
	w.T.Helper()
	states, err := w.Steps.Store.Objects(w.T.Context(), alerting.KindAlertState)
	require.NoError(w.T, err)
	return states
}

// What begins is sent once, and what is over once more.
func TestAnAlertIsSentWhenARunParksAndWhenItIsOver(t *testing.T) {
	w := newWatch(t)
	require.Empty(t, w.evaluated(), "all is well")
	id := w.parked()
	first := w.evaluated()
	require.Len(t, first, 1)
	require.Equal(t, first, w.evaluated(), "a delivery that may have been lost is started again; Temporal refuses it twice")
	require.NoError(t, w.DeliverAlert(t.Context(), first[0]))
	require.NoError(t, w.DeliverAlert(t.Context(), first[0]), "it may be repeated")
	bodies, ids := w.receiver.Bodies()
	require.Len(t, ids, 1)
	require.Contains(t, bodies[0], "no such column")
	require.Empty(t, w.evaluated(), "nothing has changed")

	report := run.Report{Export: "spring", RunID: id, Status: run.Completed}
	require.NoError(t, w.Steps.Store.SaveRun(t.Context(), id, string(run.Completed), record.Encode(report), true))
	second := w.evaluated()
	require.Len(t, second, 1)
	require.Greater(t, second[0].Seq, first[0].Seq)
	require.NoError(t, w.DeliverAlert(t.Context(), second[0]))
	bodies, _ = w.receiver.Bodies()
	require.Len(t, bodies, 2)
}

// An evaluation that is cut off before a delivery starts loses nothing.
func TestAnAlertWhoseDeliveryDoesNotStart(t *testing.T) {
	w := newWatch(t)
	w.parked()
	w.fails = errors.New("Temporal is away")
	require.ErrorContains(t, w.EvaluateAlerts(t.Context()), "Temporal is away")
	require.Len(t, w.evaluated(), 1)
}

// A message that could not be delivered for days is no news any more.
func TestAnAlertThatIsTooOld(t *testing.T) {
	w := newWatch(t)
	w.parked()
	pending := w.evaluated()
	require.Len(t, pending, 1)
	w.receiver.Away.Store(true)
	require.Error(t, w.DeliverAlert(t.Context(), pending[0]), "it is tried again by Temporal")
	w.StoreNow.Advance(alerting.Kept + time.Second)
	require.Empty(t, w.evaluated())
	w.receiver.Away.Store(false)
	require.NoError(t, w.DeliverAlert(t.Context(), pending[0]), "nothing is left to deliver")
	bodies, _ := w.receiver.Bodies()
	require.Empty(t, bodies)
}

// What an alert or an export has said goes with it, and a delivery that is on
// its way ends.
func TestWhatWasSentIsForgottenWithTheAlert(t *testing.T) {
	w := newWatch(t)
	w.parked()
	pending := w.evaluated()
	require.Len(t, w.states(), 1)
	require.NoError(t, w.Steps.Store.DeleteObject(t.Context(), string(catalogue.KindAlert), "ops", ""))
	require.NoError(t, w.DeliverAlert(t.Context(), pending[0]))
	require.Empty(t, w.evaluated())
	require.Empty(t, w.states())
	require.NoError(t, w.DeliverAlert(t.Context(), pending[0]))
	bodies, _ := w.receiver.Bodies()
	require.Empty(t, bodies)
}

// One worker at a time evaluates.
func TestAlertsAreEvaluatedByOneWorker(t *testing.T) {
	w := newWatch(t)
	w.parked()
	held, err := w.Steps.Store.AcquireLease(t.Context(), "alerts", time.Minute)
	require.NoError(t, err)
	require.Empty(t, w.evaluated(), "the other does it")
	require.NoError(t, w.Steps.Store.ReleaseLease(t.Context(), held))
	require.Len(t, w.evaluated(), 1)
}

// What an alert has sent is read by later releases.
func TestWhatAnAlertRemembers(t *testing.T) {
	at := time.Date(2026, 11, 24, 6, 0, 0, 0, time.UTC)
	v := alerting.Told{State: alerting.State{Seq: 2, Active: []alerting.Finding{{Condition: catalogue.ConditionParked, Since: at, RunID: "r", Reason: "why", Action: "do"}}},
		Pending: []alerting.Notice{{Alert: "ops", Export: "spring", Seq: 2, At: at, Began: []alerting.Finding{{Condition: catalogue.ConditionParked, Since: at, Reason: "why"}}}}}
	const stored = `{"seq":2,"active":[{"condition":"parked","since":"2026-11-24T06:00:00Z","run_id":"r","reason":"why","action":"do"}],` +
		`"pending":[{"alert":"ops","export":"spring","seq":2,"at":"2026-11-24T06:00:00Z","began":[{"condition":"parked","since":"2026-11-24T06:00:00Z","reason":"why"}]}]}`
	require.Equal(t, stored, string(record.Encode(v)))
	got, err := record.Decode[alerting.Told]([]byte(stored))
	require.NoError(t, err)
	require.Equal(t, v, got)
}
