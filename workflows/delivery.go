package workflows

import (
	"time"

	"github.com/segment-export/segment-export/activities"
	"github.com/segment-export/segment-export/internal/job"
	"github.com/segment-export/segment-export/internal/store"
)

// Delivery is how far the batches of a run are.
type Delivery struct {
	Leavers       bool  `json:"leavers"`        // the uploads are all confirmed, leavers follow
	LeaverBatches int   `json:"leaver_batches"` // of generation 0
	Batches       []int `json:"batches"`        // of this phase, by generation
	Begun         []int `json:"begun"`          // how many of them
	Again         []int `json:"again"`          // batches whose last attempt did not finish them
	Unswept       int   `json:"unswept"`        // calls answered since the last sweep
	Open          int   `json:"open"`           // calls without a verdict, as far as is known
	Unsure        bool  `json:"unsure"`         // an upload has ended since the last sweep began
	SweepAt       int   `json:"sweep_at"`       // calls that make a sweep due
	Idle          int   `json:"idle"`           // sweeps in a row that found nothing
	Sent          int   `json:"sent"`           // contacts in answered calls

	// The rate counts from Since, when SentBefore contacts had been sent.
	Since      time.Time `json:"since"`
	SentBefore int       `json:"sent_before"`

	Totals store.CallTotals `json:"totals"` // as of the last sweep
}

const (
	// sweepAt is how many calls are due before the list of batches is read: a
	// page of it shows 250.
	sweepAt = 200
	// sweepAtMost bounds how long sweeps are put off when the list shows old
	// batches first, so that its first pages say nothing about ours.
	sweepAtMost = 5000
)

// next returns the number of the batch to deliver next.
func (d *Delivery) next() (int, bool) {
	if n := len(d.Again); n > 0 {
		batch := d.Again[0]
		d.Again = append([]int(nil), d.Again[1:]...)
		return batch, true
	}
	for g := range d.Batches {
		if d.Begun[g] < d.Batches[g] {
			d.Begun[g]++
			if d.Leavers {
				return job.FirstLeaver(g) + d.Begun[g] - 1, true
			}
			return job.FirstUpload(g) + d.Begun[g] - 1, true
		}
	}
	return 0, false
}

// mayBeOpen says whether there are calls without a verdict, or may be: an upload
// that was cut off after its last answer counts no calls when it is repeated,
// and a sweep may have counted before an upload that ended before it. Only a
// sweep after all uploads knows.
func (d *Delivery) mayBeOpen() bool { return d.Open > 0 || d.Unsure }

// begunAll says that no batch is left to begin.
func (d *Delivery) begunAll() bool {
	for g := range d.Batches {
		if d.Begun[g] < d.Batches[g] {
			return false
		}
	}
	return len(d.Again) == 0
}

// swept takes in what a sweep found.
func (d *Delivery) swept(r activities.SweepResult, due int) {
	d.Totals, d.Open = r.Totals, r.Totals.Unsettled
	again := r.Uploads
	if d.Leavers {
		again = r.Leavers
	}
	for len(d.Batches) < len(again)+1 {
		d.Batches, d.Begun = append(d.Batches, 0), append(d.Begun, 0)
	}
	for g, n := range again {
		d.Batches[g+1] = n
	}
	d.Idle++
	if r.Found > 0 {
		d.Idle = 0
	}
	d.SweepAt = min(2*d.SweepAt, sweepAtMost)
	if r.Found*2 >= due {
		d.SweepAt = sweepAt
	}
}
