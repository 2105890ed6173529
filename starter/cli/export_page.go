package cli

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/segment-export/segment-export/internal/catalogue"
	"github.com/segment-export/segment-export/internal/protocol"
	"github.com/segment-export/segment-export/internal/spelling"
)

// sortings are the columns that exports can be sorted by.
var sortings = map[string]func(a, b *protocol.ExportAnswer) int{
	"name":       func(a, b *protocol.ExportAnswer) int { return cmp.Compare(a.Name, b.Name) },
	"connection": func(a, b *protocol.ExportAnswer) int { return cmp.Compare(a.Connection, b.Connection) },
	"source":     func(a, b *protocol.ExportAnswer) int { return cmp.Compare(a.Source, b.Source) },
	"schedule":   func(a, b *protocol.ExportAnswer) int { return cmp.Compare(a.Schedule, b.Schedule) },
	"segments":   func(a, b *protocol.ExportAnswer) int { return cmp.Compare(segmentNames(a), segmentNames(b)) },
	"status":     func(a, b *protocol.ExportAnswer) int { return cmp.Compare(lastStatus(a), lastStatus(b)) },
	"last-run":   func(a, b *protocol.ExportAnswer) int { return lastTime(a).Compare(lastTime(b)) },
	"updated":    func(a, b *protocol.ExportAnswer) int { return a.UpdatedAt.Compare(b.UpdatedAt) },
	"updated-by": func(a, b *protocol.ExportAnswer) int { return cmp.Compare(a.UpdatedBy, b.UpdatedBy) },
}

func sortColumns() []string {
	return []string{"name", "connection", "source", "segments", "schedule", "status", "last-run", "updated", "updated-by"}
}

func lastStatus(a *protocol.ExportAnswer) string {
	if a.LastRun == nil {
		return ""
	}
	return string(a.LastRun.Status)
}

func lastTime(a *protocol.ExportAnswer) time.Time {
	switch {
	case a.LastRun == nil:
		return time.Time{}
	case a.LastRun.EndedAt != nil:
		return *a.LastRun.EndedAt
	}
	return a.LastRun.StartedAt
}

func segmentNames(a *protocol.ExportAnswer) string {
	var names []string
	for _, seg := range a.Segments {
		names = append(names, seg.Segment)
	}
	return strings.Join(names, ", ")
}

// exportList lists exports in the order that was asked for, whatever the format.
func (s *session) exportList(c *cli.Context) error {
	column, down := strings.CutPrefix(c.String("sort"), "-")
	if column == "" {
		column = "name"
	}
	compare, ok := sortings[column]
	if !ok {
		hint := ""
		if near := spelling.Nearest(column, sortColumns()); near != "" {
			hint = fmt.Sprintf("; did you mean %q?", near)
		}
		return usage("--sort %q is none of %s%s", column, strings.Join(sortColumns(), ", "), hint)
	}
	raw, err := s.call(c.Context, order{name: protocol.ExportList})
	if err != nil {
		return err
	}
	var each []json.RawMessage
	if err := decode(raw, &each); err != nil {
		return err
	}
	type row struct {
		raw    json.RawMessage
		answer protocol.ExportAnswer
	}
	rows := make([]row, len(each))
	for i := range each {
		rows[i].raw = each[i]
		if err := decode(each[i], &rows[i].answer); err != nil {
			return err
		}
	}
	slices.SortStableFunc(rows, func(a, b row) int {
		if down {
			a, b = b, a
		}
		return cmp.Or(compare(&a.answer, &b.answer), cmp.Compare(a.answer.Name, b.answer.Name))
	})
	answers := make([]protocol.ExportAnswer, len(rows))
	for i, r := range rows {
		each[i], answers[i] = r.raw, r.answer
	}
	if raw, err = json.Marshal(each); err != nil {
		return err
	}
	return s.print(raw, func(p *page) { exportTable(p, answers) })
}

func exportTable(p *page, all []protocol.ExportAnswer) {
	if len(all) == 0 {
		p.line("No exports yet; add one with: starter export add NAME …")
		return
	}
	var rows [][]any
	for i := range all {
		a := &all[i]
		rows = append(rows, []any{a.Name, or(a.Connection, "No connection"), a.Source, segmentNames(a), a.Schedule, lastRunCell(p, a.LastRun), a.Permissions})
	}
	p.table([]string{"name", "connection", "source", "segments", "schedule", "last run", "you may"}, rows)
}

func exportPage(p *page, a protocol.ExportAnswer) {
	p.fields("name", a.Name, "connection", or(a.Connection, "No connection"), "source", a.Source, "id", a.ID,
		"leavers", string(a.Leavers), "full run", fullEvery(a.FullEvery), "consent values", strings.Join(a.Consent.Consent, ", "), "opt-out values", strings.Join(a.Consent.OptOut, ", "),
		"undated opt-outs", string(a.Consent.UndatedOptOuts), "refusals", string(a.Consent.Refusals), "time zone", a.TimeZone, "date format", a.DateFormat, "emptied values", string(a.Empty), "addresses", lenient(a.LenientLocalPart),
		"runs as", a.RunAs, "created", by(p, a.CreatedAt, a.CreatedBy), "updated", by(p, a.UpdatedAt, a.UpdatedBy), "version", fmt.Sprint(a.Version),
		"schedule", a.Starts, "last run", lastRun(p, a.LastRun), "you may", a.Permissions)
	p.line("")
	var rows [][]any
	for _, seg := range a.Segments {
		rows = append(rows, []any{seg.Segment, seg.Marker})
	}
	p.table([]string{"segment", "marker"}, rows)
	p.line("")
	rows = nil
	for _, attribute := range a.Mapping.Sorted() {
		field := a.Mapping[attribute]
		if policy := a.EmptyOf[attribute]; policy != "" {
			field += ",empty=" + string(policy)
		}
		rows = append(rows, []any{attribute, field})
	}
	p.table([]string{"attribute", "field"}, rows)
	for _, g := range sortedGuards(a.Export) {
		p.line("guard %s asks above %g %%", g, 100*float64(a.Guards[g]))
	}
	if len(a.Notes) > 0 {
		p.line("")
		notes(p, a.Notes)
	}
}

func sortedGuards(e catalogue.Export) []catalogue.Guard {
	var names []catalogue.Guard
	for g := range e.Guards {
		names = append(names, g)
	}
	slices.Sort(names)
	return names
}

func notes(p *page, all []string) {
	for _, n := range all {
		p.line("- %s", n)
	}
}

func lenient(yes bool) string {
	if yes {
		return "lenient before the @"
	}
	return ""
}

// fullEvery says how often all contacts are sent; empty for never.
func fullEvery(days int) string {
	if days == 0 {
		return ""
	}
	return "every " + plural(days, "day", "days")
}
