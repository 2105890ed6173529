package intake

import (
	"bytes"
	"context"
	"encoding/json"

	"github.com/segment-export/segment-export/internal/contact"
	"github.com/segment-export/segment-export/internal/decide"
	"github.com/segment-export/segment-export/internal/protocol"
	"github.com/segment-export/segment-export/internal/record"
	"github.com/segment-export/segment-export/internal/spool"
	"github.com/segment-export/segment-export/internal/store"
)

// Samples are the first few contacts of each kind, to show what a plan would send.
type Samples struct {
	New     []json.RawMessage        `json:"new,omitempty"`
	Changed []protocol.ChangedSample `json:"changed,omitempty"`
	Leavers []json.RawMessage        `json:"leavers,omitempty"`
	Dates   []contact.DateSample     `json:"dates,omitempty"`
}

// MaxSamples is how many contacts of a kind are shown.
const MaxSamples = 3

func (s *Samples) add(d decide.Decision) {
	switch {
	case d.Kind == spool.Changed && len(s.Changed) < MaxSamples:
		s.Changed = append(s.Changed, protocol.ChangedSample{Differs: d.Differs.Names(), Contact: bytes.Clone(d.Item)})
	case d.Kind == spool.Leaver && len(s.Leavers) < MaxSamples:
		s.Leavers = append(s.Leavers, bytes.Clone(d.Item))
	case d.Kind == spool.New && len(s.New) < MaxSamples:
		s.New = append(s.New, bytes.Clone(d.Item))
	}
}

func (d *decider) loadSamples(ctx context.Context) error {
	blobs, err := d.Store.Blobs(ctx, d.job.RunID, store.BlobSamples, 0)
	if err != nil || len(blobs) == 0 {
		return err
	}
	data, err := d.OpenBlob(d.job.RunID, blobs[0])
	if err != nil {
		return err
	}
	d.samples, err = record.Decode[Samples](data)
	return err
}
