package cli

import (
	"bytes"
	"encoding/json"
	"strings"

	"github.com/segment-export/segment-export/internal/protocol"
)

// samples writes contacts as they would be sent, and rows that would not be.
func samples(p *page, a *protocol.SamplesAnswer) {
	sampledAll(p, "Samples of new contacts, as they would be sent", a.New)
	if len(a.Changed) > 0 {
		p.line("Samples of changed contacts:")
		for _, c := range a.Changed {
			p.line("  differs in: %s", or(strings.Join(c.Differs, ", "), "nothing, all contacts are sent"))
			sampled(p, c.Contact)
		}
	}
	sampledAll(p, "Samples of leavers, whose marker would be cleared", a.Leavers)
	if len(a.Dates) > 0 {
		p.line("Dates of consent, and how they were read:")
		var rows [][]any
		for _, d := range a.Dates {
			rows = append(rows, []any{d.Text, d.Read})
		}
		p.table([]string{"date", "read as"}, rows)
	}
	if len(a.Invalid) == 0 {
		return
	}
	p.line("Samples of rows that would not be sent:")
	var rows [][]any
	for _, r := range a.Invalid {
		rows = append(rows, []any{r.Reason, r.Segment, row(r), r.ID, r.Email})
	}
	p.table([]string{"reason", "segment", "row", "id", "email"}, rows)
}

func sampledAll(p *page, title string, items []json.RawMessage) {
	if len(items) == 0 {
		return
	}
	p.line("%s:", title)
	for _, item := range items {
		sampled(p, item)
	}
}

func sampled(p *page, item json.RawMessage) {
	var b bytes.Buffer
	if json.Indent(&b, item, "  ", "  ") == nil {
		p.line("  %s", b.String())
	}
}
