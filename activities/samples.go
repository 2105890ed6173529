package activities

import (
	"bytes"
	"context"
	"encoding/json"

	"github.com/segment-export/segment-export/internal/contact"
	"github.com/segment-export/segment-export/internal/decide"
	"github.com/segment-export/segment-export/internal/protocol"
	"github.com/segment-export/segment-export/internal/spool"
	"github.com/segment-export/segment-export/internal/store"
)

// samples are the first few contacts of each kind, for whoever asks what a
// plan would send.
type samples struct {
	New     []json.RawMessage        `json:"new,omitempty"`
	Changed []protocol.ChangedSample `json:"changed,omitempty"`
	Leavers []json.RawMessage        `json:"leavers,omitempty"`
	Dates   []contact.DateSample     `json:"dates,omitempty"`
}

// maxSamples is how many contacts of a kind are shown.
const maxSamples = 3

func (s *samples) add(d decide.Decision) {
	item := json.RawMessage(bytes.Clone(d.Item))
	switch {
	case d.Kind == spool.Changed && len(s.Changed) < maxSamples:
		s.Changed = append(s.Changed, protocol.ChangedSample{Differs: d.Differs.Names(), Contact: item})
	case d.Kind == spool.Leaver && len(s.Leavers) < maxSamples:
		s.Leavers = append(s.Leavers, item)
	case d.Kind == spool.New && len(s.New) < maxSamples:
		s.New = append(s.New, item)
	}
}

func (d *decider) loadSamples(ctx context.Context) error {
	blobs, err := d.Store.Blobs(ctx, d.job.RunID, store.BlobSamples, 0)
	if err != nil || len(blobs) == 0 {
		return err
	}
	data, err := d.openBlob(d.job.RunID, blobs[0])
	if err != nil {
		return err
	}
	d.samples, err = decode[samples](data)
	return err
}
