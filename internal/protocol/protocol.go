// Package protocol is what travels between the starter and a worker: each
// command of the command line is one short workflow with a Request and a
// Response. Both pass through Temporal, so nothing secret or personal stands
// in them in clear.
package protocol

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"time"

	"github.com/segment-export/segment-export/internal/access"
	"github.com/segment-export/segment-export/internal/catalogue"
)

// Request asks a worker to carry out one command.
type Request struct {
	ID       string          `json:"id"`   // a UUID, used once
	Name     string          `json:"name"` // "connection add"
	Args     json.RawMessage `json:"args,omitempty"`
	Sealed   []byte          `json:"sealed,omitempty"`   // an envelope to the worker with context Context(ID)
	ReplyTo  string          `json:"reply_to,omitempty"` // public key that a personal answer is sealed to
	IssuedAt time.Time       `json:"issued_at"`
	Proof    access.Proof    `json:"proof"`
	// Credential is a token of who gives the command, sealed to the worker and
	// bound to the rest of the request: access.SealToken.
	Credential []byte `json:"credential,omitempty"`
}

// Response is a worker's answer. Body is shown to anyone who may see the
// workflow; Sealed, in its place when ReplyTo was given, opens only with the key
// made for the command.
type Response struct {
	Body   json.RawMessage `json:"body,omitempty"`
	Sealed []byte          `json:"sealed,omitempty"`
	// Refusal is there in place of an answer when the command was not carried out.
	Refusal *Refusal `json:"refusal,omitempty"`
}

// Refusal says why a command was not carried out. The workflow that carried it
// has completed all the same: nothing is wrong with it.
type Refusal struct {
	Class   string `json:"class"` // one of Classes
	Message string `json:"message"`
}

// Context is the context of envelopes that belong to one command, so that none
// can be moved to another.
func Context(id string) string { return "command/" + id }

// Claim is what the proof or the credential of a request covers: all of it.
func (r *Request) Claim() access.Claim {
	h := sha256.New()
	for _, part := range [][]byte{r.Args, r.Sealed, []byte(r.ReplyTo)} {
		var n [8]byte
		binary.BigEndian.PutUint64(n[:], uint64(len(part)))
		h.Write(n[:])
		h.Write(part)
	}
	c := access.Claim{CommandID: r.ID, Command: r.Name, IssuedAt: r.IssuedAt}
	h.Sum(c.Digest[:0])
	return c
}

// KindRun is the kind of a subject that is a run.
const KindRun = access.KindRun

// Subject names something that a command is about.
type Subject struct {
	Kind catalogue.Kind
	Name string
}

// Args are the arguments of a command. About names everything that it is about:
// before the worker does anything, it checks that the caller may use each of
// them. name is the command's.
type Args interface {
	About(name string) []Subject
}

// The classes of a command's failure: the type of its application error.
const (
	ErrUsage      = "usage"       // the input is wrong
	ErrNotFound   = "not found"   // no such object
	ErrExists     = "exists"      // the name or marker is taken
	ErrConflict   = "conflict"    // changed by another user, or in a state that does not allow it
	ErrNotAllowed = "not allowed" // the role does not allow it, or no proof
	ErrRepeated   = "repeated"    // the command's id was used before
	ErrFailed     = "failed"      // carried out and failed: the message says why
)

// Classes are all classes. They are the types of application errors that are
// not retried.
var Classes = []string{ErrUsage, ErrNotFound, ErrExists, ErrConflict, ErrNotAllowed, ErrRepeated, ErrFailed, ErrMarkers}
