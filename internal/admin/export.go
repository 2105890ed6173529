package admin

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/segment-export/segment-export/internal/access"
	"github.com/segment-export/segment-export/internal/catalogue"
	"github.com/segment-export/segment-export/internal/command"
	"github.com/segment-export/segment-export/internal/contact"
	"github.com/segment-export/segment-export/internal/job"
	"github.com/segment-export/segment-export/internal/protocol"
	"github.com/segment-export/segment-export/internal/record"
	"github.com/segment-export/segment-export/internal/store"
)

// exportHandlers are the commands about exports.
func (a *Commands) exportHandlers() map[string]command.Handler {
	return map[string]command.Handler{
		protocol.ExportAdd:       command.With(a.exportAdd),
		protocol.ExportList:      command.Without(a.exportList),
		protocol.ExportShow:      command.With(a.exportShow),
		protocol.ExportEdit:      command.With(a.exportEdit),
		protocol.ExportCheck:     command.With(a.exportCheck),
		protocol.ExportPreview:   command.With(a.exportPreview),
		protocol.ExportDuplicate: command.With(a.exportDuplicate),
		protocol.ExportAttach:    command.With(a.exportAttach),
		protocol.ExportDetach:    command.With(a.exportDetach),
		protocol.ExportRemove:    command.With(a.exportRemove),
		protocol.ExportReset:     command.With(a.exportReset),
	}
}

func (a *Commands) exportAdd(ctx context.Context, c command.Caller, args protocol.ExportAddArgs) (any, error) {
	m, err := command.Meta(catalogue.KindExport, args.Name, c)
	if err != nil {
		return nil, err
	}
	e := catalogue.Export{Meta: m, ExportSpec: args.ExportSpec}
	return a.addExport(ctx, c, e, args.CreateSegment)
}

// addExport checks and stores a new export.
func (a *Commands) addExport(ctx context.Context, c command.Caller, e catalogue.Export, createSegment bool) (*protocol.ExportAnswer, error) {
	// Before anything is claimed in its name: there may be another one of it.
	there, _, err := record.Object[catalogue.Export](ctx, a.Store, catalogue.KindExport, e.Name)
	switch {
	case err == nil && !there.CreatedAt.Equal(e.CreatedAt):
		return nil, protocol.Refuse(protocol.ErrExists, "there is an export %q already; see: starter export show %q", e.Name, e.Name)
	case err != nil && !errors.Is(err, store.ErrNotFound):
		return nil, err
	}
	if err := a.settleExport(ctx, &e); err != nil {
		return nil, err
	}
	if err := a.Create(ctx, c, &e, nil); err != nil {
		return nil, err
	}
	segments, made, err := a.createSegments(ctx, e, createSegment)
	if err != nil {
		return nil, err
	}
	rivals, err := a.RivalNotes(ctx, e)
	if err != nil {
		return nil, err
	}
	notes := slices.Concat(segments, exportNotes(e, made), rivals)
	answer := &protocol.ExportAnswer{Export: e, Permissions: protocol.MayEdit, Notes: notes}
	if answer.Starts, err = a.Starts(ctx, e.Name); err != nil {
		return nil, err
	}
	answer.Notes = append(answer.Notes, "it runs automatically: "+answer.Starts)
	return answer, nil
}

// exportNotes says what an administrator should know about an export that is
// new or has been changed; made are the markers that Omnisend has a segment of.
func exportNotes(e catalogue.Export, made []string) []string {
	var notes []string
	for _, s := range e.Segments {
		rule := ""
		if !slices.Contains(made, s.Marker) {
			rule = "; make a segment there with the rule: custom property " + s.Marker + " is true"
		}
		notes = append(notes, fmt.Sprintf("members of %s get the custom property %s = true at Omnisend%s", s.Segment, s.Marker, rule))
	}
	switch {
	case e.Mapping[contact.ConsentFlag] == "":
		notes = append(notes, "no consent is mapped: nobody will be subscribed, contacts that are new at Omnisend become nonSubscribed")
	case e.Mapping[contact.ConsentDate] == "":
		notes = append(notes, "no consent date is mapped: consent without a date never subscribes anybody")
	}
	if e.Mapping[contact.Phone] != "" && e.Mapping[contact.SMSConsentDate] == "" {
		notes = append(notes, "no sms-consent-date is mapped: only numbers of people who opted out of being texted are sent")
	}
	if e.Connection == "" {
		return append(notes, fmt.Sprintf("it has no connection and is inactive; give it one: starter export attach %q --connection NAME", e.Name))
	}
	return append(notes, "saving does not run it; run it with: starter run "+e.Name)
}

func (a *Commands) exportList(ctx context.Context, c command.Caller) (any, error) {
	exports, err := record.List[catalogue.Export](ctx, a.Store, catalogue.KindExport)
	if err != nil {
		return nil, err
	}
	answers := make([]*protocol.ExportAnswer, 0, len(exports))
	for _, e := range exports {
		answer, err := a.exportAnswer(ctx, c, e)
		if err != nil {
			return nil, err
		}
		answers = append(answers, answer)
	}
	return answers, nil
}

func (a *Commands) exportShow(ctx context.Context, c command.Caller, args protocol.Named) (any, error) {
	e, _, err := record.Find[catalogue.Export](ctx, a.Store, catalogue.KindExport, args.Name)
	if err != nil {
		return nil, err
	}
	return a.exportAnswer(ctx, c, e)
}

// exportAnswer shows an export with its last run, and what the caller may do
// with it.
func (a *Commands) exportAnswer(ctx context.Context, c command.Caller, e catalogue.Export) (*protocol.ExportAnswer, error) {
	reached, err := a.Reached(ctx, &e)
	if err != nil {
		return nil, err
	}
	answer := &protocol.ExportAnswer{Export: e, Permissions: protocol.MayEdit}
	for _, o := range reached {
		if !access.May(c.Principal, o) {
			answer.Permissions = protocol.MayView
		}
	}
	if answer.Starts, err = a.Starts(ctx, e.Name); err != nil {
		return nil, err
	}
	if answer.Schedule, err = a.ScheduleInShort(ctx, e.Name); err != nil {
		return nil, err
	}
	answer.LastRun, err = a.lastRun(ctx, e.Name)
	return answer, err
}

// lastRun returns an export's newest run; nil when it has none.
func (a *Commands) lastRun(ctx context.Context, export string) (*protocol.RunAnswer, error) {
	if open, err := a.OpenRun(ctx, export, false); err != nil || open != nil {
		if err != nil {
			return nil, err
		}
		return job.Answer(*open)
	}
	runs, err := a.Store.ListRuns(ctx, store.RunFilter{Export: export, Limit: 1})
	if err != nil || len(runs) == 0 {
		return nil, err
	}
	return job.Answer(runs[0])
}
