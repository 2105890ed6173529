// Package omnisend is a client of the Omnisend API, version 2026-03-15: what
// a bulk export of contacts needs of it, its outcome classes, and the budget
// that all requests to one brand share.
//
// Facts about the API come from Omnisend's OpenAPI documents of that version;
// a fact that was observed and is not in the contract is marked in the comment
// beside it.
package omnisend

import (
	"context"
	"encoding/json"
	"time"
)

const (
	// Version is sent as Omnisend-Version with every request.
	Version = "2026-03-15"
	// DefaultURL is the base of the real API.
	DefaultURL = "https://api.omnisend.com/api"
	// MaxItems is the most contacts that one POST /batches takes.
	MaxItems = 100
	// MaxBody is the most bytes of a POST /batches body. The figure comes from
	// an older guide of Omnisend's; 100 ordinary contacts stay far below it.
	MaxBody = 1_000_000
	// MaxListed is the most batches that one page of GET /batches holds.
	MaxListed = 250
	// CallsPerMinute is Omnisend's limit for one brand, over all its keys.
	CallsPerMinute = 400
)

// Brand is one Omnisend account's shop.
type Brand struct {
	ID       string `json:"brandID"`
	Name     string `json:"name,omitempty"`
	Website  string `json:"website,omitempty"`
	Platform string `json:"platform,omitempty"`
	Timezone string `json:"timezone,omitempty"`
}

// BatchStatus is how far Omnisend is with a batch.
type BatchStatus string

// The statuses of the Batches API. Finished says that every item has an
// answer, not that every item succeeded; stopped, that Omnisend gave up after
// too many errors and left the remaining items alone.
const (
	BatchPending    BatchStatus = "pending"
	BatchInProgress BatchStatus = "inProgress"
	BatchFinished   BatchStatus = "finished"
	BatchStopped    BatchStatus = "stopped"
)

// Ended says that the status will not change any more.
func (s BatchStatus) Ended() bool { return s == BatchFinished || s == BatchStopped }

// Batch is the summary of one batch; Errors and Responses are filled by
// BatchItems only.
type Batch struct {
	ID            string      `json:"batchID"`
	Endpoint      string      `json:"endpoint,omitempty"`
	Method        string      `json:"method,omitempty"`
	Status        BatchStatus `json:"status"`
	Origin        string      `json:"origin,omitempty"`
	CreatedAt     time.Time   `json:"createdAt,omitzero"`
	StartedAt     time.Time   `json:"startedAt,omitzero"`
	EndedAt       time.Time   `json:"endedAt,omitzero"`
	TotalCount    int         `json:"totalCount"`
	FinishedCount int         `json:"finishedCount"`
	ErrorsCount   int         `json:"errorsCount"`
	Errors        []Item      `json:"errors,omitempty"`
	Responses     []Item      `json:"responses,omitempty"`
}

// Item is the outcome of one contact of a batch. Items are matched to what was
// sent by the e-mail address in Request: no order is promised.
type Item struct {
	ID           string          `json:"itemID,omitempty"`
	Request      json.RawMessage `json:"request,omitempty"`
	Response     json.RawMessage `json:"response,omitempty"`
	ResponseCode int             `json:"responseCode"`
	Status       string          `json:"status,omitempty"`
}

// BatchPage is one page of GET /batches.
type BatchPage struct {
	Batches []Batch
	More    bool // a next page exists; false after an empty page, whatever the answer says
}

// ListQuery selects a page of GET /batches. Zero values leave a filter out.
type ListQuery struct {
	DateFrom time.Time // only its UTC day counts: the API filters by day
	Offset   int
	Limit    int // 1 to MaxListed; 0 is MaxListed
}

// API is what the export needs of Omnisend. Every method makes exactly one
// HTTP request and never retries; it makes none when the context has ended
// already, which gives the context's own error, or when the call breaks a limit
// of its own accord (too many contacts). Every other failure is an *Error, which
// says what may be done about it; when the context ended on the way, it matches
// the context's error (errors.Is) and still says whether a POST is Unanswered.
// Implementations may be used by several goroutines at once.
type API interface {
	// CurrentBrand tells whose key this is. A valid key without the
	// permission brands.read gets an *Error of class Park with Status 403.
	CurrentBrand(ctx context.Context) (Brand, error)
	// CreateBatch posts 1 to MaxItems contacts, each one a JSON object, and
	// returns the id of the new batch. Calling it again makes a second batch.
	// When Error.Unanswered is set the batch may exist all the same.
	CreateBatch(ctx context.Context, origin string, items [][]byte) (batchID string, err error)
	// ListBatches returns one page of the brand's contact batches, in no
	// promised order.
	ListBatches(ctx context.Context, q ListQuery) (BatchPage, error)
	// Batch returns the summary of one batch.
	Batch(ctx context.Context, id string) (Batch, error)
	// BatchItems returns a batch with the outcome of each item.
	BatchItems(ctx context.Context, id string) (Batch, error)
	// ContactByEmail returns the contact with that address as raw JSON, and
	// false when the brand has none.
	ContactByEmail(ctx context.Context, email string) (json.RawMessage, bool, error)
	// CreateSegment makes a segment of all contacts whose custom property is
	// true. Calling it again makes a second one: see EnsureSegment.
	CreateSegment(ctx context.Context, name, marker string) (Segment, error)
	// ListSegments returns the page of the account's segments after a cursor;
	// the first one after an empty cursor.
	ListSegments(ctx context.Context, after string) (SegmentPage, error)
}
