package omnisend

import (
	"encoding/json"
	"time"
)

// UnmarshalJSON reads a batch of the Batches API. Its dates are plain strings
// in the contract, so one that is missing, empty or no RFC 3339 leaves the
// zero time and does not spoil the rest.
func (b *Batch) UnmarshalJSON(data []byte) error {
	type plain Batch
	wire := struct {
		*plain
		CreatedAt looseTime `json:"createdAt"`
		StartedAt looseTime `json:"startedAt"`
		EndedAt   looseTime `json:"endedAt"`
	}{plain: (*plain)(b)}
	if err := json.Unmarshal(data, &wire); err != nil {
		return err
	}
	b.CreatedAt, b.StartedAt, b.EndedAt = time.Time(wire.CreatedAt), time.Time(wire.StartedAt), time.Time(wire.EndedAt)
	return nil
}

type looseTime time.Time

func (t *looseTime) UnmarshalJSON(data []byte) error {
	var text string
	if json.Unmarshal(data, &text) != nil {
		return nil
	}
	if at, err := time.Parse(time.RFC3339, text); err == nil {
		*t = looseTime(at)
	}
	return nil
}
