package e2e

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"

	"github.com/segment-export/segment-export/activities"
	"github.com/segment-export/segment-export/internal/alerting/alertingtest"
	"github.com/segment-export/segment-export/internal/omnisend/sandbox"
	"github.com/segment-export/segment-export/internal/protocol"
	"github.com/segment-export/segment-export/internal/run"
)

// Mail and webhook report when an export fails and when it is well again,
// once each, although both are away when it happens.
func TestAlertsArriveOnceAlthoughTheirServersWereAway(t *testing.T) {
	t.Parallel()
	const key = "a signing key of some length"
	mail, hook := alertingtest.NewMailServer(t), alertingtest.NewReceiver(t, key)
	s := newShop(t, 50, sandbox.Options{Seed: 5})
	s.alertRoots = mail.Roots // both certificates are httptest's own
	s.open(activities.Tuning{})
	s.define("--calls-per-minute", "0")
	for name, content := range map[string]string{"password": alertingtest.Password, "url": hook.URL, "signing-key": key} {
		require.NoError(t, os.WriteFile(s.path(name), []byte(content), 0o600))
	}
	s.must("alert", "add", "ops", "--mail-server", mail.Address, "--mail-from", "exports@example.com", "--mail-to", "ops@example.com",
		"--mail-user", alertingtest.User, "--mail-password-file", s.path("password"), "--rejects", "90%")
	s.must("alert", "add", "chat", "--webhook-url-file", s.path("url"), "--signing-key-file", s.path("signing-key"), "--export", "spring", "--rejects", "90%")
	s.must("alert", "test", "ops")
	s.must("alert", "test", "chat")
	require.Contains(t, mail.Letters()[0].Data, "a test of the alert ops")

	mail.Stop()
	hook.Away.Store(true)
	code, _, errs := s.starter("alert", "test", "ops")
	require.Equal(t, 1, code)
	require.Contains(t, errs, "is out of reach")
	tries := hook.Tries()
	content, err := os.ReadFile(s.path("segments", "spring_buyers.csv"))
	require.NoError(t, err)
	s.replace(append(content, "x,\"never closed\n"...))
	code, _, _ = s.starter("run", "spring", "--yes")
	require.Equal(t, 1, code)
	s.eventually("the webhook is tried and away", func() bool { return hook.Tries() > tries+1 })
	require.Len(t, mail.Letters(), 1)
	mail.Start()
	hook.Away.Store(false)
	s.eventually("both arrive", func() bool {
		bodies, _ := hook.Bodies()
		return len(mail.Letters()) == 2 && len(bodies) == 2
	})
	s.record("alert", protocol.AlertWorkflowType, enumspb.WORKFLOW_EXECUTION_STATUS_COMPLETED)
	require.Contains(t, mail.Letters()[1].Data, "Subject: Segment export: spring failed")
	require.Contains(t, mail.Letters()[1].Data, "spring_buyers.csv: line ")
	// A second failure is no change.
	code, _, _ = s.starter("run", "spring", "--yes")
	require.Equal(t, 1, code)
	s.replace(content)
	code, _, _ = s.starter("run", "spring", "--yes")
	require.Equal(t, 3, code)
	s.eventually("both report that it is well", func() bool {
		bodies, _ := hook.Bodies()
		return len(mail.Letters()) == 3 && len(bodies) == 3
	})
	bodies, ids := hook.Bodies()
	var told struct {
		Text   string `json:"text"`
		Fields struct {
			Event  string `json:"event"`
			Export string `json:"export"`
			Last   struct {
				Status run.Status `json:"status"`
			} `json:"last_run"`
		} `json:"segment_export"`
	}
	require.NoError(t, json.Unmarshal([]byte(bodies[2]), &told))
	require.Equal(t, "over", told.Fields.Event)
	require.Equal(t, run.CompletedWithRejects, told.Fields.Last.Status)
	require.Contains(t, told.Text, "runs end well again")
	require.NotEqual(t, ids[1], ids[2])
	for _, body := range append(bodies, mail.Letters()[2].Data) {
		for _, row := range strings.Split(string(content), "\n")[1:20] {
			require.NotContains(t, body, strings.Split(row, ",")[1], "nothing personal")
		}
	}
}
