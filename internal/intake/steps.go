// Package intake holds the steps of a run before anything is sent: Preflight
// checks, Collect reads the segments, Decide compares them with the ledger and
// packs batches.
package intake

import "github.com/segment-export/segment-export/internal/job"

// Steps are the steps.
type Steps struct{ *job.Runs }
