package access

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"time"
)

const (
	// SecretSize is the length of a secret in bytes.
	SecretSize = 32
	// ProofWindow is how far a worker's clock may be from the time at which a
	// command was issued, in either direction. It leaves room for clocks that
	// differ and for a command that is tried again within its timeout.
	ProofWindow = 60 * time.Second
	// proofLabel keeps proofs apart from whatever else a secret may be used for.
	proofLabel = "segment-export/proof/1"
)

var (
	// ErrNotProven is the error of a command whose proof is missing or false:
	// made with another secret, or for a command that differs in any part.
	ErrNotProven = errors.New("the command carries no valid proof of who gives it")
	// ErrExpired is the error of a proof that is too old, or from the future.
	ErrExpired = fmt.Errorf("the command was issued more than %v before or after the worker's time: "+
		"compare the clocks of both machines and give it again", ProofWindow)
)

// Secret is what an identity proves itself with. It hides itself from printing
// and logging.
type Secret []byte

// Format prints a placeholder, whatever the verb.
func (Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("[secret]")) }

// LogValue logs a placeholder.
func (Secret) LogValue() slog.Value { return slog.StringValue("[secret]") }

// MarshalJSON writes a placeholder: a secret is stored on purpose or not at all.
func (Secret) MarshalJSON() ([]byte, error) { return []byte(`"[secret]"`), nil }

// Claim is what a proof says: this command, with exactly these arguments, was
// given at this time.
type Claim struct {
	CommandID string
	Command   string
	Digest    [sha256.Size]byte // of arguments, sealed parts and reply key
	IssuedAt  time.Time
}

// Proof shows that the maker of a claim holds the secret, and reveals neither.
// It proves the same command again if it is given again within ProofWindow: the
// worker sees to it that a command's id is used once.
type Proof struct {
	MAC []byte `json:"mac,omitempty"`
}

// Prove makes the proof of a claim. With a secret that is too short the proof
// is empty and proves nothing.
func Prove(secret Secret, claim Claim) Proof {
	if len(secret) < SecretSize {
		return Proof{}
	}
	return Proof{MAC: claim.mac(secret)}
}

// Verify tells with ErrNotProven or ErrExpired why a proof does not hold at
// time now. It says ErrExpired only of proofs that were true.
func Verify(secret Secret, claim Claim, proof Proof, now time.Time) error {
	// An identity that was never loaded must not be one that anybody can prove.
	if len(secret) < SecretSize || !hmac.Equal(proof.MAC, claim.mac(secret)) {
		return ErrNotProven
	}
	return claim.Fresh(now)
}

// mac authenticates every part of the claim. Parts of variable length are
// preceded by their length, so that no two claims have the same encoding.
func (c Claim) mac(secret Secret) []byte {
	msg := make([]byte, 0, 128)
	for _, part := range []string{proofLabel, c.CommandID, c.Command} {
		msg = binary.BigEndian.AppendUint64(msg, uint64(len(part)))
		msg = append(msg, part...)
	}
	msg = append(msg, c.Digest[:]...)
	// The instant, without zone or monotonic reading, which do not travel.
	msg = binary.BigEndian.AppendUint64(msg, uint64(c.IssuedAt.Unix()))
	msg = binary.BigEndian.AppendUint32(msg, uint32(c.IssuedAt.Nanosecond()))
	h := hmac.New(sha256.New, secret)
	h.Write(msg)
	return h.Sum(nil)
}
