package cli_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/segment-export/segment-export/internal/catalogue"
	"github.com/segment-export/segment-export/internal/protocol"
)

func TestAlertAdd(t *testing.T) {
	b := newBench(t)
	dir := t.TempDir()
	file := func(name, content string) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
		return path
	}
	added := catalogue.Alert{Meta: catalogue.Meta{Name: "ops"}, Channel: catalogue.ChannelMail, Target: "1 address through smtp:587",
		On: []catalogue.Condition{catalogue.ConditionFailed}, Rejects: 0.05, Late: 26 * time.Hour}
	b.answers(added)
	require.Zero(t, b.run("alert", "add", "ops", "--mail-server", "smtp:587", "--mail-from", "a@example.com", "--mail-to", "b@example.com",
		"--mail-user", "u", "--mail-password-file", file("password", "pass word\n"), "--late", "26h", "--rejects", "2.5%"), b.err.String())
	args := args[protocol.AlertAddArgs](b, 0)
	require.Equal(t, protocol.AlertAddArgs{Name: "ops", On: catalogue.Conditions, Rejects: 0.025, Late: 26 * time.Hour}, args)
	require.NotContains(t, string(b.server.requests[0].Args), "example.com")
	plain, err := b.keyring.OpenEnvelope(b.server.requests[0].Sealed, protocol.Context(b.server.requests[0].ID))
	require.NoError(t, err)
	var secret protocol.AlertSecret
	require.NoError(t, json.Unmarshal(plain, &secret))
	require.Equal(t, protocol.AlertSecret{Mail: &protocol.AlertMail{Server: "smtp:587", From: "a@example.com", To: []string{"b@example.com"},
		Username: "u", Password: "pass word"}}, secret)
	require.Contains(t, b.out.String(), "starter alert test ops")

	// A webhook's signing key is made, and shown once.
	b.answers(added)
	require.Zero(t, b.run("alert", "add", "ops", "--on", "failed", "--webhook-url-file", file("url", "https://hooks.example.com/x"), "-o", "json"))
	plain, err = b.keyring.OpenEnvelope(b.server.requests[1].Sealed, protocol.Context(b.server.requests[1].ID))
	require.NoError(t, err)
	secret = protocol.AlertSecret{}
	require.NoError(t, json.Unmarshal(plain, &secret))
	require.GreaterOrEqual(t, len(secret.Webhook.Key), 16)
	require.Contains(t, b.out.String(), `"signing_key":"`+secret.Webhook.Key+`"`)

	for _, line := range [][]string{
		{"alert", "add", "ops"},
		{"alert", "add", "ops", "--mail-server", "smtp:587", "--mail-from", "a@example.com"},
		{"alert", "add", "ops", "--mail-server", "smtp:587", "--webhook-url-file", "x"},
		{"alert", "add", "ops", "--webhook-url-file", filepath.Join(dir, "missing")},
		{"alert", "add", "ops", "--webhook-url-file", file("two", "a\nb")},
		{"alert", "add", "ops", "--on", "late", "--mail-server", "smtp:587", "--mail-from", "a@example.com", "--mail-to", "a@example.com"},
		{"alert", "add", "ops", "--on", "nonsense"},
		{"alert", "add", "ops", "--rejects", "many"},
	} {
		require.Equal(t, 2, b.run(line...), "%v: %s", line, b.out.String())
	}
	require.Len(t, b.server.requests, 2, "nothing else was asked of the worker")
}

func TestAlertTables(t *testing.T) {
	b := newBench(t)
	b.answers([]catalogue.Alert{{Meta: catalogue.Meta{Name: "ops"}, Channel: catalogue.ChannelWebhook, Target: "hooks.example.com, as text",
		Exports: []string{"spring"}, On: []catalogue.Condition{catalogue.ConditionFailed, catalogue.ConditionLate}}}, []catalogue.Alert{})
	require.Zero(t, b.run("alert", "list"))
	require.Regexp(t, `ops +webhook +hooks.example.com, as text +spring +failed, late`, b.out.String())
	require.Zero(t, b.run("alert", "list"))
	require.Contains(t, b.out.String(), "No alerts yet")
	b.answers(protocol.AlertTested{Name: "ops", Target: "there"})
	require.Zero(t, b.run("alert", "test", "ops"))
	require.Contains(t, b.out.String(), "The test of ops was taken: there")
}
