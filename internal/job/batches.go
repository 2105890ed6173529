package job

import (
	"github.com/segment-export/segment-export/internal/omnisend"
)

// A run's batches are numbered by phase, generation, and place: uploads before
// leavers; generation 0 as decided, later ones hold contacts whose call came to
// nothing and which go again.
const (
	PhaseUploads = 0
	PhaseLeavers = 1

	batchesPerGeneration = 1_000_000
	generationsPerPhase  = 100
	// MaxGeneration is how often a contact is sent again when Omnisend gives no
	// final verdict on it; then it counts as refused.
	MaxGeneration = 5
)

// FirstBatch is the number of the first batch of a phase and a generation.
func FirstBatch(phase, generation int) int {
	return (phase*generationsPerPhase + generation) * batchesPerGeneration
}

// GenerationOf returns the generation of a batch.
func GenerationOf(batch int) int { return batch / batchesPerGeneration % generationsPerPhase }

// PhaseOf returns the phase of a batch.
func PhaseOf(batch int) int { return batch / batchesPerGeneration / generationsPerPhase }

// FirstUpload and FirstLeaver are the numbers of the first batch of each
// generation, for the workflow.
func FirstUpload(generation int) int { return FirstBatch(PhaseUploads, generation) }

// FirstLeaver is the number of the first batch of leavers of a generation.
func FirstLeaver(generation int) int { return FirstBatch(PhaseLeavers, generation) }

// Calls is how many calls a number of contacts takes.
func Calls(contacts int) int { return (contacts + omnisend.MaxItems - 1) / omnisend.MaxItems }
