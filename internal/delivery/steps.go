// Package delivery holds the steps of a run that send, and those that find out
// what was confirmed: uploads, verdicts, the ledger's update and the run's end.
package delivery

import "github.com/segment-export/segment-export/internal/job"

// Steps are the steps.
type Steps struct{ *job.Runs }
