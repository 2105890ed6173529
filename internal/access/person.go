package access

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/segment-export/segment-export/internal/seal"
)

// Person is who has proven to give a command.
type Person struct {
	// Subject identifies them at their identity provider, and never changes;
	// empty for the holder of an identity file, of whom there is one.
	Subject string
	Name    string   // what to call them
	Groups  []string // that they are in
	Role    Role
}

// Evidence is what came with a command to show who gives it.
type Evidence struct {
	Claim      Claim
	Proof      Proof  // with the secret of an identity file
	Credential []byte // of SealToken
}

// Identifier finds out who gives a command. An error that is not an
// *IdentityError may pass.
type Identifier interface {
	Identify(ctx context.Context, e Evidence, now time.Time) (Person, error)
	// RoleOf is the role of a person who was seen in these groups, for what is
	// done in their name while they are away. known is false where people
	// are not told apart: then everybody may do everything.
	RoleOf(groups []string) (role Role, known bool)
}

// IdentityError is why it is not believed who gives a command. Its text passes
// through Temporal: it repeats nothing of a token.
type IdentityError struct{ Message string }

func (e *IdentityError) Error() string { return e.Message }

// Refuted makes an IdentityError.
func Refuted(format string, args ...any) error {
	return &IdentityError{fmt.Sprintf(format, args...)}
}

// Identify returns the admin for anyone who proves to hold the file's secret.
func (i *Identity) Identify(_ context.Context, e Evidence, now time.Time) (Person, error) {
	if len(e.Proof.MAC) == 0 && len(e.Credential) > 0 {
		return Person{}, Refuted("this worker knows people by the identity file in its data directory and not by tokens: give the command without a token, on the worker's machine")
	}
	if err := Verify(i.Secret, e.Claim, e.Proof, now); err != nil {
		return Person{}, Refuted("%v", err)
	}
	return Person{Name: i.Name, Role: Admin}, nil
}

// RoleOf knows no people.
func (i *Identity) RoleOf([]string) (Role, bool) { return Admin, false }

// Fresh tells with ErrExpired that a claim is too old, or from the future.
func (c Claim) Fresh(now time.Time) error {
	if age := now.Sub(c.IssuedAt); age > ProofWindow || age < -ProofWindow {
		return ErrExpired
	}
	return nil
}

// ErrNoToken is the error of a credential that does not open: sealed to another
// worker, or taken from another command.
var ErrNoToken = errors.New("no token came with the command, or one that was sealed for another worker or another command")

// SealToken seals a token to the worker, for one command only: the credential
// opens with no other id, arguments or time.
func SealToken(worker seal.PublicKey, claim Claim, token string) ([]byte, error) {
	return worker.Seal([]byte(token), claim.context())
}

// OpenToken opens what SealToken made for this claim.
func OpenToken(open func(sealed []byte, context string) ([]byte, error), claim Claim, credential []byte) (string, error) {
	token, err := open(credential, claim.context())
	if err != nil || len(token) == 0 {
		return "", ErrNoToken
	}
	return string(token), nil
}

// context binds a credential to every part of the claim.
func (c Claim) context() string {
	return "credential/" + hex.EncodeToString(c.mac(nil))
}
