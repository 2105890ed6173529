package job

import (
	"context"
	"fmt"

	"github.com/segment-export/segment-export/internal/connect"
	"github.com/segment-export/segment-export/internal/decide"
	"github.com/segment-export/segment-export/internal/record"
	"github.com/segment-export/segment-export/internal/run"
)

// stepState returns what a step of a run has left behind; the zero value when it
// has left nothing.
func stepState[T any](ctx context.Context, a *Runs, runID, step string) (T, error) {
	state, err := a.Store.StepState(ctx, runID, step)
	if err != nil {
		var none T
		return none, err
	}
	return record.Decode[T](state)
}

// AdoptState is the progress of taking over.
type AdoptState struct {
	Checked int `json:"checked"`
	Carry   int `json:"carry"`
	Booked  int `json:"booked"` // batches
}

// AdoptStep is the step whose state is an AdoptState.
const AdoptStep = "adopt"

// Adoption returns how far taking over an audience is.
func (a *Runs) Adoption(ctx context.Context, runID string) (AdoptState, error) {
	return stepState[AdoptState](ctx, a, runID, AdoptStep)
}

// CollectResult is how far the segment has been read.
type CollectResult struct {
	Done    bool `json:"done"`
	Read    int  `json:"read"`
	Invalid int  `json:"invalid"`
	// Unreadable are the invalid rows that could not be read as rows.
	Unreadable int            `json:"unreadable,omitempty"`
	Reasons    map[string]int `json:"reasons,omitempty"`
	LeftOut    map[string]int `json:"left_out,omitempty"`  // values that were left out, by why; their rows are not invalid
	Corrected  map[string]int `json:"corrected,omitempty"` // corrections of addresses, by what
	OptOuts    int            `json:"opt_outs,omitempty"`  // invalid rows that say an opt-out
	Notes      []string       `json:"notes,omitempty"`
	Halt       *run.Halt      `json:"halt,omitempty"`
}

// CollectState is the progress of reading one segment; stored with each part.
type CollectState struct {
	CollectResult
	Cursor  []byte          `json:"cursor,omitempty"` // encrypted: it may hold the id of a customer
	Seen    []byte          `json:"seen,omitempty"`   // encrypted contact.Seen: it holds values of rows
	View    []byte          `json:"view,omitempty"`   // of the source that the cursor belongs to
	Trouble connect.Trouble `json:"trouble,omitzero"`
	Parts   int             `json:"parts"`   // parts stored, also of reads that were started again
	Bytes   int64           `json:"bytes"`   // of the contacts stored
	Kept    int             `json:"kept"`    // rejects stored
	Rereads int             `json:"rereads"` // how often the read began again
}

// CollectStep is the step whose state is the CollectState of a segment.
func CollectStep(segment int) string { return fmt.Sprintf("collect/%d", segment) }

// Collected returns how far a segment of a run has been read.
func (a *Runs) Collected(ctx context.Context, runID string, segment int) (CollectState, error) {
	return stepState[CollectState](ctx, a, runID, CollectStep(segment))
}

// AgainState counts the batches made of contacts that go again, by phase and
// generation. It is counted up before the batch is stored: a number may stay
// without a batch, never be used twice.
type AgainState struct {
	Made [2][]int `json:"made"`
}

// AgainStep is the step whose state is an AgainState.
const AgainStep = "again"

// Again returns which batches a run has of contacts that go again.
func (a *Runs) Again(ctx context.Context, runID string) (AgainState, error) {
	return stepState[AgainState](ctx, a, runID, AgainStep)
}

// DecideState is the progress of deciding; stored after each shard.
type DecideState struct {
	NextShard int           `json:"next_shard"`
	Done      bool          `json:"done"`
	Counts    decide.Counts `json:"counts"`
	Uploads   int           `json:"uploads"`
	Leavers   int           `json:"leavers"`
	// Of a canary: contacts chosen to be sent, and those of them as subscribed.
	Chosen     int `json:"chosen,omitempty"`
	Subscribed int `json:"subscribed,omitempty"`
	// Report has the exact numbers and the guards that ask, once Done.
	Report *run.Report `json:"report,omitempty"`
}

// DecideStep is the step whose state is a DecideState.
const DecideStep = "decide"

// Decision returns the progress of deciding, and whether it has started. Its Report is
// nil until all is decided.
func (a *Runs) Decision(ctx context.Context, runID string) (d DecideState, began bool, err error) {
	state, err := a.Store.StepState(ctx, runID, DecideStep)
	if err != nil || state == nil {
		return d, false, err
	}
	d, err = record.Decode[DecideState](state)
	return d, true, err
}
