package delivery

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/segment-export/segment-export/internal/reason"

	"github.com/segment-export/segment-export/internal/job"
	"github.com/segment-export/segment-export/internal/lease"
	"github.com/segment-export/segment-export/internal/omnisend"
	"github.com/segment-export/segment-export/internal/run"
	"github.com/segment-export/segment-export/internal/spool"
	"github.com/segment-export/segment-export/internal/store"
)

// UploadInput selects a batch of a run.
type UploadInput struct {
	RunID string `json:"run_id"`
	Batch int    `json:"batch"`
}

// OfRun returns the id of the run.
func (in UploadInput) OfRun() string { return in.RunID }

// UploadResult is what one attempt at a batch came to.
type UploadResult struct {
	Done     bool      `json:"done"`     // every contact is in a call that Omnisend has answered
	Calls    int       `json:"calls"`    // answered in this attempt
	Contacts int       `json:"contacts"` // in them
	Halt     *run.Halt `json:"halt,omitempty"`
}

const (
	// originPrefix begins the origin of all of this program's calls.
	originPrefix = "segment-export/"
	// tries is how often one attempt makes a call that meets a passing fault
	// before it leaves the rest to Temporal's retries, where it can be seen.
	tries = 4
	// lookPages is how many pages of batches are read to find out whether a call
	// took effect whose answer was lost. If that does not show it the call is
	// made again: everything in it may be sent twice without harm.
	lookPages = 2
)

// UploadBatch delivers a batch in calls of at most 100 contacts. The intent of
// each call is stored before it is made and its answer after, so an attempt
// begins where the last one ended. It may be repeated.
func (a *Steps) UploadBatch(ctx context.Context, in UploadInput) (*UploadResult, error) {
	defer a.Work.Uploading()()
	result := &UploadResult{}
	err := a.UnderLease(ctx, fmt.Sprintf("run/%s/batch/%d", in.RunID, in.Batch), func(ctx context.Context, h lease.Hold) error {
		u, halt, err := a.uploader(ctx, in, h)
		if halt != nil || err != nil {
			result.Halt = halt
			return err
		}
		result.Halt, err = u.upload(ctx)
		result.Done, result.Calls, result.Contacts = len(u.todo) == 0, u.calls, u.contacts
		return err
	})
	return result, err
}

// uploader delivers one batch.
type uploader struct {
	*Steps
	in       UploadInput
	hold     lease.Hold
	job      job.Job
	api      omnisend.API
	items    []spool.BatchItem
	todo     []store.Call // in order; those with an intent stored first
	stored   int          // how many calls of the batch are stored: makes origins unique
	answered *store.Call  // its answer is stored with the next intent
	calls    int
	contacts int
	refused  sameRefusal
}

// sameRefusal counts the contacts that were refused one after the other, each
// alone in its call, for the same reason.
type sameRefusal struct {
	reason string
	times  int
}

// sameRefusals is how many contacts are refused alone and for the same reason
// before it is taken to be no matter of the contacts: finding out the reason of
// each costs two calls.
const sameRefusals = 10

func (a *Steps) uploader(ctx context.Context, in UploadInput, h lease.Hold) (*uploader, *run.Halt, error) {
	u := &uploader{Steps: a, in: in, hold: h}
	var err error
	if u.job, err = a.Job(ctx, in.RunID); err != nil {
		return nil, nil, err
	}
	if err := a.mayDeliver(ctx, u.job, in.Batch); err != nil {
		return nil, nil, err
	}
	if u.items, err = a.Batch(ctx, in.RunID, in.Batch); err != nil {
		return nil, nil, err
	}
	stored, err := a.Store.CallsOfBatch(ctx, in.RunID, in.Batch)
	if err != nil {
		return nil, nil, err
	}
	if u.items == nil && len(stored) > 0 {
		return nil, &run.Halt{Kind: run.HaltFail, Reason: reason.Format("the contacts of batch %d have expired", in.Batch),
			Action: "run the export again: it sends what Omnisend has not confirmed"}, nil
	}
	u.stored = len(stored)
	u.todo = u.plan(stored)
	if len(u.todo) == 0 {
		return u, nil, nil
	}
	var halt *run.Halt
	u.api, _, halt, err = a.Connect().Target(ctx, u.job.Export.Connection, in.RunID)
	return u, halt, err
}

// plan lists the calls that are still to be made: intents without an answer,
// and new calls for contacts that no call covers.
func (u *uploader) plan(stored []store.Call) []store.Call {
	covered := make([]bool, len(u.items))
	size := make([]int, len(u.items)) // of the call that an item goes in
	for i := range size {
		size[i] = omnisend.MaxItems
	}
	var todo []store.Call
	for _, c := range stored {
		for i := c.First; i < c.First+c.Count; i++ {
			if c.State != store.CallVoid {
				covered[i] = true
			} else if c.Verdict.Split {
				size[i] = min(size[i], (c.Count+1)/2)
			}
		}
		if c.State == store.CallIntended {
			todo = append(todo, c)
		}
	}
	for first := 0; first < len(u.items); {
		if covered[first] {
			first++
			continue
		}
		end := first + 1
		for end < len(u.items) && end-first < size[first] && !covered[end] {
			end++
		}
		todo = append(todo, u.call(first, end-first))
		first = end
	}
	return todo
}

// call makes up a call that is not stored yet.
func (u *uploader) call(first, count int) store.Call {
	c := store.Call{Run: u.in.RunID, Export: u.job.Export.Name, Brand: u.job.Brand,
		Batch: u.in.Batch, First: first, Count: count, State: store.CallIntended}
	for _, item := range u.items[first : first+count] {
		switch item.Kind {
		case spool.New:
			c.New++
		case spool.Changed:
			c.Changed++
		case spool.Leaver:
			c.Leavers++
		}
	}
	return c
}

// upload makes the calls one after the other until all are answered, the work
// should stop, or something halts it.
func (u *uploader) upload(ctx context.Context) (halt *run.Halt, err error) {
	defer func() {
		err = errors.Join(err, u.flush(ctx))
	}()
	for len(u.todo) > 0 && !u.hold.Stopping() {
		if halt, err := u.toldToStop(ctx); halt != nil || err != nil {
			return halt, err
		}
		c := &u.todo[0]
		known := c.Origin != "" // an earlier attempt was cut off before the answer
		if !known {
			c.Origin = fmt.Sprintf("%s%s/%d/%d", originPrefix, u.in.RunID, u.in.Batch, u.stored)
			u.stored++
			if err := u.Store.IntendCalls(ctx, u.hold.Lease, u.answered, *c); err != nil {
				return nil, err
			}
			u.answered = nil
		}
		id, unknown, err := u.make(ctx, c, known)
		if err == nil {
			if err := u.flush(ctx); err != nil {
				return nil, err
			}
			c.BatchID, c.State = id, store.CallAnswered
			done := *c
			u.answered = &done
			u.calls++
			u.contacts += c.Count
			u.refused = sameRefusal{}
			u.Work.Sent(u.job.Export.Name, c.Count)
			u.todo = u.todo[1:]
			continue
		}
		if unknown {
			// Left as intended: the next attempt looks for it.
			return u.RunHalt(ctx, u.in.RunID, err, u.job.Export.Connection)
		}
		if halt, err := u.failed(ctx, c, err); halt != nil || err != nil {
			return halt, err
		}
	}
	return nil, nil
}

// UntilTold is longer than the workflow needs to hear of a decision that is in
// the store already, so that it does not begin the batch again meanwhile.
const UntilTold = time.Second

// toldToStop looks for a decision to send nothing more. The workflow has it too
// and asks this attempt to end, but that may take seconds to arrive here, in
// which dozens of calls would be made.
func (u *uploader) toldToStop(ctx context.Context) (*run.Halt, error) {
	control, err := u.Control(ctx, job.RunInput{RunID: u.in.RunID})
	if err != nil || !control.Paused && !control.Canceled {
		return nil, err
	}
	return &run.Halt{Kind: run.HaltWait, Wait: UntilTold}, nil
}

// flush stores an answer that no next intent took along.
func (u *uploader) flush(ctx context.Context) error {
	if u.answered == nil {
		return nil
	}
	err := u.Store.IntendCalls(ctx, u.hold.Lease, u.answered)
	if err == nil {
		u.answered = nil
	}
	return err
}

// make makes a call, and again when a passing fault broke it. Where it is not
// known whether the call took effect, the list of batches is asked first; when
// that stays unknown it says so.
func (u *uploader) make(ctx context.Context, c *store.Call, unknown bool) (id string, stillUnknown bool, err error) {
	var items [][]byte
	for _, item := range u.items[c.First : c.First+c.Count] {
		items = append(items, item.Item)
	}
	waits := omnisend.NewBackoff()
	for try := 1; ; try++ {
		if unknown {
			id, err := u.look(ctx, c)
			if id != "" || err != nil {
				return id, true, err
			}
		}
		id, err := u.api.CreateBatch(ctx, c.Origin, items)
		if err == nil {
			return id, false, nil
		}
		e, ok := errors.AsType[*omnisend.Error](err)
		unknown = ok && e.Unanswered
		if !ok || e.Class != omnisend.Retry || try == tries {
			return "", unknown || !ok, err
		}
		select {
		case <-u.hold.Soft.Done():
			return "", unknown, err
		case <-time.After(waits.NextBackOff()):
		}
	}
}

// look searches the newest batches for one with the call's origin.
func (u *uploader) look(ctx context.Context, c *store.Call) (string, error) {
	q := omnisend.ListQuery{DateFrom: time.Now().UTC().Add(-24 * time.Hour), Limit: omnisend.MaxListed}
	if !c.IntendedAt.IsZero() {
		q.DateFrom = c.IntendedAt.Add(-24 * time.Hour) // clocks differ, days are compared
	}
	for range lookPages {
		page, err := u.api.ListBatches(ctx, q)
		if err != nil {
			return "", err
		}
		for _, b := range page.Batches {
			if b.Origin == c.Origin {
				return b.ID, nil
			}
		}
		if !page.More {
			break
		}
		q.Offset += len(page.Batches)
	}
	return "", nil
}

// failed settles what is known of a call that certainly took no effect: one
// that was refused as a whole is halved until the contact that it is refused
// for stands alone; any other is void, and its contacts go in a later call.
func (u *uploader) failed(ctx context.Context, c *store.Call, cause error) (*run.Halt, error) {
	e, ok := errors.AsType[*omnisend.Error](cause)
	if !ok {
		return nil, cause
	}
	settled := store.Settlement{Origin: c.Origin, State: store.CallVoid}
	halves := []store.Call{}
	var blobs []store.Blob
	if e.Class == omnisend.Split {
		if c.Count > 1 {
			settled.Verdict.Split = true
			half := (c.Count + 1) / 2
			halves = append(halves, u.call(c.First, half), u.call(c.First+half, c.Count-half))
		} else {
			settled.State = store.CallSettled
			settled.Verdict.Refused = []store.Refusal{{Item: c.First, Reason: refusedCall(e)}}
			blob, err := u.refusedBlob(*c, settled.Verdict, u.items, map[int]string{c.First: e.Sentence})
			if err != nil {
				return nil, err
			}
			blobs = append(blobs, blob)
		}
	}
	if err := u.Store.SettleCalls(ctx, u.in.RunID, []store.Settlement{settled}, blobs...); err != nil {
		return nil, err
	}
	if e.Class == omnisend.Split {
		alone := c.Count == 1
		u.todo = append(halves, u.todo[1:]...)
		if alone {
			return u.refusedAlone(refusedCall(e)), nil
		}
		return nil, nil
	}
	c.Origin = ""
	return u.RunHalt(ctx, u.in.RunID, cause, u.job.Export.Connection)
}

// refusedAlone counts a contact for which a call was refused, and parks the run
// when each one is refused for the same reason.
func (u *uploader) refusedAlone(why string) *run.Halt {
	if u.refused.reason != why {
		u.refused = sameRefusal{reason: why}
	}
	if u.refused.times++; u.refused.times < sameRefusals {
		return nil
	}
	u.refused = sameRefusal{}
	return &run.Halt{Kind: run.HaltPark,
		Reason: reason.Format("Omnisend refuses every call for the same reason: %s; the last %d contacts were sent alone, and each was refused for it", why, sameRefusals),
		Action: reason.Format("read Omnisend's words (starter runs rejects %s); correct the source or the export's mapping, cancel this run and run the export again; or resume to send the others", u.in.RunID)}
}

// refusedCall is the reason of a contact for which a whole call was refused.
func refusedCall(e *omnisend.Error) string {
	var reason strings.Builder
	fmt.Fprintf(&reason, "%d", e.Status)
	for _, f := range e.Fields {
		reason.WriteString(" " + f.Field + " " + f.Code)
	}
	return reason.String()
}
