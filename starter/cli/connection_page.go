package cli

import (
	"fmt"
	"strings"
	"time"

	"github.com/segment-export/segment-export/internal/catalogue"
	"github.com/segment-export/segment-export/internal/protocol"
)

func connectionTable(p *page, all []catalogue.Connection) {
	if len(all) == 0 {
		p.line("No connections yet; add one with: starter connection add NAME")
		return
	}
	var rows [][]any
	for _, a := range all {
		rows = append(rows, []any{a.Name, a.Type, brand(a), sharedWith(a.Shared, a.UpdatedBy), usable(a)})
	}
	p.table([]string{"name", "kind", "brand", "who can use", "state"}, rows)
}

// usable says in a word or two whether a connection can be used.
func usable(a catalogue.Connection) string {
	switch {
	case a.BrandID == "":
		return "" // its outline
	case a.Stopped != nil:
		return "stopped"
	case a.Consent == nil && a.Withdrawn != nil:
		return "consent withdrawn"
	case a.Consent == nil:
		return "no consent"
	}
	return "in use"
}

func connectionPage(p *page, a protocol.ConnectionAnswer) {
	if a.BrandID == "" { // all that those see who do not hold it
		p.fields("name", a.Name, "kind", a.Type)
		return
	}
	consent := "no agreement to the transfer of personal data"
	withdrawn, stopped := "", ""
	if a.Consent != nil {
		consent = fmt.Sprintf("%s (statement %s)", by(p, a.Consent.At, a.Consent.By), a.Consent.Version)
	}
	if a.Withdrawn != nil {
		withdrawn = by(p, a.Withdrawn.At, a.Withdrawn.By)
	}
	if a.Stopped != nil {
		stopped = by(p, a.Stopped.At, a.Stopped.By)
	}
	p.fields("name", a.Name, "kind", a.Type, "brand", brand(a.Connection), "endpoint", a.Endpoint, "API key", or(a.APIKey, catalogue.CredentialStored), "who can use", a.Shared.String(), "budget", limit(a.Connection),
		"max contacts", count(a.MaxContacts), "agreed", consent, "consent withdrawn", withdrawn, "stopped", stopped,
		"created", by(p, a.CreatedAt, a.CreatedBy), "updated", by(p, a.UpdatedAt, a.UpdatedBy), "version", fmt.Sprint(a.Version),
		"exports", strings.Join(a.Exports, ", "), "open runs", strings.Join(a.Running, ", "), "canceled", strings.Join(a.Canceled, ", "))
	notes(p, a.Notes)
}

func testedPage(p *page, a protocol.ConnectionTested) {
	name := a.BrandID
	if a.BrandName != "" {
		name = fmt.Sprintf("%s (%s)", a.BrandName, a.BrandID)
	}
	p.line("The key of the connection %s works: brand %s", a.Name, name)
	if !a.ReadBrand {
		p.line("- the key may not read its brand; the brand was given with --brand")
	}
	if !a.Segments {
		p.line("- the key may not read segments: --create-segment needs that permission")
	}
	p.line("- only a run shows whether the key may write contacts")
}

func resumedPage(p *page, a protocol.ConnectionResumed) {
	if a.Paused == 0 {
		p.line("The calls of the connection %s are not paused", a.Name)
		return
	}
	p.line("The pause of the connection %s is over, %s early: runs continue within a minute", a.Name, time.Duration(a.Paused*float64(time.Second)).Round(time.Second))
}

func brand(a catalogue.Connection) string {
	switch {
	case a.BrandStated:
		return a.BrandID + " (stated, not read with the key)"
	case a.BrandName == "":
		return a.BrandID
	}
	return fmt.Sprintf("%s (%s)", a.BrandName, a.BrandID)
}

func limit(a catalogue.Connection) string {
	if a.CallsPerMinute == 0 {
		return "no limit"
	}
	return fmt.Sprintf("%g of %d calls a minute", a.Share, a.CallsPerMinute)
}

// by is when something was done and by whom.
func by(p *page, at time.Time, who string) string {
	if at.IsZero() {
		return who
	}
	return p.time(at) + " by " + who
}
