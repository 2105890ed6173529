package access_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/segment-export/segment-export/internal/access"
)

var (
	issued = time.Date(2026, 3, 15, 12, 0, 0, 123456789, time.UTC)
	ours   = access.Secret("0123456789abcdef0123456789abcdef")
)

func claim() access.Claim {
	return access.Claim{CommandID: "4b0e", Command: "connection add", Digest: [32]byte{1, 2, 3}, IssuedAt: issued}
}

func TestProofHolds(t *testing.T) {
	proof := access.Prove(ours, claim())
	raw, err := json.Marshal(proof)
	require.NoError(t, err)
	require.NotContains(t, string(raw), string(ours))
	require.NotContains(t, string(raw), "connection")
	var received access.Proof
	require.NoError(t, json.Unmarshal(raw, &received))

	// The claim's time travels as JSON, and comes back in another zone.
	rawTime, err := json.Marshal(issued.In(time.FixedZone("", 7200)))
	require.NoError(t, err)
	c := claim()
	require.NoError(t, json.Unmarshal(rawTime, &c.IssuedAt))
	require.NoError(t, access.Verify(ours, c, received, issued))
}

func TestProofIsForOneCommand(t *testing.T) {
	proof := access.Prove(ours, claim())
	cases := map[string]func(*access.Claim){
		"another id":          func(c *access.Claim) { c.CommandID = "4b0f" },
		"another command":     func(c *access.Claim) { c.Command = "connection remove" },
		"other arguments":     func(c *access.Claim) { c.Digest[31] = 1 },
		"another second":      func(c *access.Claim) { c.IssuedAt = issued.Add(time.Second) },
		"another nanosecond":  func(c *access.Claim) { c.IssuedAt = issued.Add(1) },
		"parts moved":         func(c *access.Claim) { c.CommandID, c.Command = "4b0ec", "onnection add" },
		"parts moved back":    func(c *access.Claim) { c.CommandID, c.Command = "4b0", "econnection add" },
		"everything in an id": func(c *access.Claim) { c.CommandID, c.Command = "4b0econnection add", "" },
	}
	for name, change := range cases {
		t.Run(name, func(t *testing.T) {
			c := claim()
			change(&c)
			require.ErrorIs(t, access.Verify(ours, c, proof, issued), access.ErrNotProven)
		})
	}
}

func TestProofNeedsTheSecret(t *testing.T) {
	proof := access.Prove(ours, claim())
	other := bytes.Repeat([]byte("x"), access.SecretSize)
	require.ErrorIs(t, access.Verify(other, claim(), proof, issued), access.ErrNotProven)
	require.ErrorIs(t, access.Verify(ours, claim(), access.Proof{}, issued), access.ErrNotProven)
	require.ErrorIs(t, access.Verify(ours, claim(), access.Proof{MAC: proof.MAC[:16]}, issued), access.ErrNotProven)
	require.ErrorIs(t, access.Verify(ours, claim(), access.Proof{MAC: append(proof.MAC, 0)}, issued), access.ErrNotProven)

	for _, short := range []access.Secret{nil, {}, ours[:31]} {
		made := access.Prove(short, claim())
		require.Empty(t, made.MAC)
		require.ErrorIs(t, access.Verify(short, claim(), made, issued), access.ErrNotProven)
		require.ErrorIs(t, access.Verify(short, claim(), proof, issued), access.ErrNotProven)
	}
}

func TestProofExpires(t *testing.T) {
	proof := access.Prove(ours, claim())
	cases := []struct {
		after time.Duration
		want  error
	}{
		{0, nil},
		{access.ProofWindow, nil},
		{access.ProofWindow + 1, access.ErrExpired},
		{-access.ProofWindow, nil},
		{-access.ProofWindow - 1, access.ErrExpired},
		{24 * time.Hour, access.ErrExpired},
	}
	for _, c := range cases {
		require.ErrorIs(t, access.Verify(ours, claim(), proof, issued.Add(c.after)), c.want, c.after)
	}
	never := claim()
	never.IssuedAt = time.Time{} // 2026 years before: the difference does not fit a duration
	require.ErrorIs(t, access.Verify(ours, never, access.Prove(ours, never), issued), access.ErrExpired)
	require.ErrorIs(t, access.Verify(ours, claim(), access.Proof{}, issued.Add(time.Hour)), access.ErrNotProven,
		"without a proof nothing is learnt of the clock")
}

func TestSecretHidesItself(t *testing.T) {
	id := &access.Identity{Name: "anna", Secret: ours}
	var out bytes.Buffer
	for _, v := range []any{ours, id, *id} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%q", "%d"} {
			fmt.Fprintf(&out, verb, v)
		}
		raw, err := json.Marshal(v)
		require.NoError(t, err)
		out.Write(raw)
		slog.New(slog.NewTextHandler(&out, nil)).Info("m", "v", v)
		slog.New(slog.NewJSONHandler(&out, nil)).Info("m", "v", v)
	}
	require.NotContains(t, out.String(), string(ours))
	require.NotContains(t, out.String(), fmt.Sprintf("%x", []byte(ours)))
	require.NotContains(t, out.String(), "MDEyMzQ1Njc4OWFi")
}

func FuzzVerify(f *testing.F) {
	proof := access.Prove(ours, claim())
	f.Add("4b0e", "connection add", proof.MAC, issued.UnixNano())
	f.Add("", "", []byte{}, int64(0))
	f.Fuzz(func(t *testing.T, id, command string, mac []byte, at int64) {
		c := access.Claim{CommandID: id, Command: command, Digest: claim().Digest, IssuedAt: time.Unix(0, at)}
		err := access.Verify(ours, c, access.Proof{MAC: mac}, issued)
		if bytes.Equal(mac, proof.MAC) && id == "4b0e" && command == "connection add" && c.IssuedAt.Equal(issued) {
			require.NoError(t, err)
			return
		}
		require.ErrorIs(t, err, access.ErrNotProven)
		require.NotErrorIs(t, access.Verify(ours, c, access.Prove(ours, c), issued), access.ErrNotProven)
	})
}
