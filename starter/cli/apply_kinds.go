package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/segment-export/segment-export/internal/catalogue"
	"github.com/segment-export/segment-export/internal/manifest"
	"github.com/segment-export/segment-export/internal/protocol"
)

// stored reads all objects of a kind, by name, with the fields of their
// documents.
func (s *session) stored(ctx context.Context, kind catalogue.Kind) (map[string]json.RawMessage, error) {
	switch kind {
	case catalogue.KindSchedule:
		return s.storedSchedules(ctx)
	case catalogue.KindRefresh:
		return s.storedRefresh(ctx)
	case catalogue.KindAlert:
		return s.storedAlerts(ctx)
	}
	return s.objects(ctx, kind)
}

// storedSchedules reads the schedules of exports, by export.
func (s *session) storedSchedules(ctx context.Context) (map[string]json.RawMessage, error) {
	all, err := answer[[]protocol.ScheduleAnswer](ctx, s, order{name: protocol.ScheduleShow, args: protocol.ScheduleShowArgs{}})
	if err != nil {
		return nil, err
	}
	byExport := map[string]json.RawMessage{}
	for _, a := range all {
		if a.Calendar != nil {
			if byExport[a.Export], err = scheduleObject(a); err != nil {
				return nil, err
			}
		}
	}
	return byExport, nil
}

// scheduleObject is a schedule as its document has it, with its name.
func scheduleObject(a protocol.ScheduleAnswer) (json.RawMessage, error) {
	return json.Marshal(struct {
		manifest.Schedule

		Name string `json:"name"`
	}{manifest.Schedule{Calendar: *a.Calendar, Off: a.Mode == protocol.ModeOff}, a.Export})
}

// storedRefresh reads the system refresh; nothing while it has never been set.
func (s *session) storedRefresh(ctx context.Context) (map[string]json.RawMessage, error) {
	a, err := answer[protocol.RefreshAnswer](ctx, s, order{name: protocol.RefreshShow})
	if err != nil || a.Calendar == nil && a.Follow == "" {
		return nil, err
	}
	spec := manifest.Refresh{Follow: a.Follow}
	spec.Off = !a.On
	if a.Calendar != nil {
		spec.Calendar = *a.Calendar
	}
	raw, err := json.Marshal(struct {
		manifest.Refresh

		Name string `json:"name"`
	}{spec, manifest.RefreshName})
	return map[string]json.RawMessage{manifest.RefreshName: raw}, err
}

// alertObject is an alert as its document has it, without its destination, and
// what apply needs besides.
type alertObject struct {
	manifest.Alert

	Name    string                `json:"name"`
	Version int64                 `json:"version"`
	Channel catalogue.ChannelType `json:"channel"`
	Target  string                `json:"target"`
}

func (s *session) storedAlerts(ctx context.Context) (map[string]json.RawMessage, error) {
	all, err := answer[[]catalogue.Alert](ctx, s, order{name: protocol.AlertList})
	if err != nil {
		return nil, err
	}
	byName := map[string]json.RawMessage{}
	for _, a := range all {
		o := alertObject{Alert: manifest.Alert{Exports: a.Exports, On: a.On, Rejects: &a.Rejects},
			Name: a.Name, Version: a.Version, Channel: a.Channel, Target: a.Target}
		if a.Late > 0 {
			o.Late = shortDuration(a.Late)
		}
		if byName[a.Name], err = json.Marshal(o); err != nil {
			return nil, err
		}
	}
	return byName, nil
}

// shortDuration writes 26h, where Go writes 26h0m0s.
func shortDuration(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

// alertSpec fills in the defaults of an alert's spec.
func alertSpec(raw json.RawMessage) (json.RawMessage, error) {
	var spec manifest.Alert
	if err := json.Unmarshal(raw, &spec); err != nil {
		return nil, err
	}
	if len(spec.On) == 0 {
		for _, c := range catalogue.Conditions {
			if c != catalogue.ConditionLate || spec.Late != "" {
				spec.On = append(spec.On, c)
			}
		}
	}
	if spec.Rejects == nil {
		spec.Rejects = new(manifest.AlertRejects)
	}
	if late, err := time.ParseDuration(spec.Late); err == nil {
		spec.Late = shortDuration(late)
	}
	return json.Marshal(spec)
}

// alertProblem says why an alert cannot become what its document says.
func alertProblem(st *step, object json.RawMessage) (string, error) {
	var spec manifest.Alert
	if err := json.Unmarshal(st.doc.Spec, &spec); err != nil {
		return "", err
	}
	late, err := lateOf(spec)
	if err != nil {
		return err.Error(), nil
	}
	if err := (&catalogue.Alert{On: spec.On, Rejects: *spec.Rejects, Late: late}).Check(); err != nil {
		return err.Error(), nil
	}
	switch {
	case object == nil && (spec.Mail == nil) == (spec.Webhook == nil):
		return "it is new: give its destination, as mail or as webhook", nil
	case object == nil || spec.Mail == nil && spec.Webhook == nil:
		return "", nil
	}
	var now alertObject
	if err := decode(object, &now); err != nil {
		return "", err
	}
	if (now.Channel == catalogue.ChannelMail) != (spec.Mail != nil) || spec.Mail != nil && !strings.HasSuffix(now.Target, " through "+spec.Mail.Server) {
		return fmt.Sprintf("its destination is another one (%s), and apply does not change it: remove the alert first with starter alert remove %q", now.Target, st.Name), nil
	}
	return "", nil
}

func lateOf(spec manifest.Alert) (time.Duration, error) {
	if spec.Late == "" {
		return 0, nil
	}
	late, err := time.ParseDuration(spec.Late)
	if err != nil {
		return 0, usage("late %q is not a time span such as 26h", spec.Late)
	}
	return late, nil
}

// without leaves fields out of an object.
func without(object json.RawMessage, names ...string) (json.RawMessage, error) {
	var all map[string]json.RawMessage
	if err := json.Unmarshal(object, &all); err != nil {
		return nil, err
	}
	for name := range all {
		if slices.Contains(names, name) {
			delete(all, name)
		}
	}
	return json.Marshal(all)
}

// applySchedule gives an export its schedule. Setting one turns it on; one that
// is off in the file is turned off then.
func (s *session) applySchedule(ctx context.Context, st *step) error {
	var spec manifest.Schedule
	if err := json.Unmarshal(st.doc.Spec, &spec); err != nil {
		return err
	}
	export := protocol.ScheduleRef{Export: st.Name}
	_, err := s.call(ctx, order{name: protocol.ScheduleSet, object: st.Name,
		args: protocol.ScheduleSetArgs{ScheduleRef: export, Calendar: spec.Calendar}})
	if err == nil && spec.Off {
		_, err = s.call(ctx, order{name: protocol.ScheduleOff, object: st.Name, args: export})
	}
	return err
}

// applyRefresh sets the system refresh, and turns it off when the file says so.
func (s *session) applyRefresh(ctx context.Context, st *step) error {
	var spec manifest.Refresh
	if err := json.Unmarshal(st.doc.Spec, &spec); err != nil {
		return err
	}
	args := protocol.RefreshSetArgs{Follow: spec.Follow}
	if spec.Follow == "" {
		args.Calendar = &spec.Calendar
	}
	_, err := s.call(ctx, order{name: protocol.RefreshSet, object: spec.Follow, args: args})
	if err == nil && spec.Off {
		_, err = s.call(ctx, order{name: protocol.RefreshOff})
	}
	return err
}

// applyAlert adds an alert, or changes what it is about.
func (s *session) applyAlert(ctx context.Context, st *step) error {
	var spec manifest.Alert
	if err := json.Unmarshal(st.doc.Spec, &spec); err != nil {
		return err
	}
	late, err := lateOf(spec)
	if err != nil {
		return err
	}
	add := protocol.AlertAddArgs{Name: st.Name, Exports: spec.Exports, On: spec.On, Rejects: *spec.Rejects, Late: late}
	if st.Action == actionChange {
		_, err := s.call(ctx, order{name: protocol.AlertEdit, object: st.Name, args: protocol.AlertEditArgs{AlertAddArgs: add, Version: st.version}})
		return err
	}
	secret, err := s.alertDestination(spec)
	if err != nil {
		return err
	}
	_, err = s.call(ctx, order{name: protocol.AlertAdd, object: st.Name, args: add, secret: secret})
	return err
}

// alertDestination reads the files that an alert's spec names.
func (s *session) alertDestination(spec manifest.Alert) (*protocol.AlertSecret, error) {
	if m := spec.Mail; m != nil {
		mail := &protocol.AlertMail{Server: m.Server, From: m.From, To: m.To, Username: m.User, Plain: m.Plain}
		if m.PasswordFile != "" {
			var err error
			if mail.Password, err = s.secretFile("password_file", m.PasswordFile); err != nil {
				return nil, err
			}
		}
		return &protocol.AlertSecret{Mail: mail}, nil
	}
	url, err := s.secretFile("url_file", spec.Webhook.URLFile)
	if err != nil {
		return nil, err
	}
	key, err := s.secretFile("signing_key_file", spec.Webhook.SigningKeyFile)
	if err != nil {
		return nil, err
	}
	return &protocol.AlertSecret{Webhook: &protocol.AlertWebhook{URL: url, Key: key, Format: spec.Webhook.Format}}, nil
}

// checkExport has the worker make the checks of export add or edit without
// storing anything. It is left out while the same file adds the connection, or
// adds or changes the source: the worker cannot know them yet.
func (s *session) checkExport(ctx context.Context, st *step, before *planned, there map[catalogue.Kind]map[string]json.RawMessage) (string, error) {
	var spec catalogue.ExportSpec
	if err := json.Unmarshal(st.doc.Spec, &spec); err != nil {
		return "", err
	}
	for kind, name := range map[catalogue.Kind]string{catalogue.KindSource: spec.Source, catalogue.KindConnection: spec.Connection} {
		changes := slices.ContainsFunc(before.Steps, func(o *step) bool {
			return o.Kind == kind && o.Name == name && (o.Action == actionAdd || o.Action == actionChange && kind == catalogue.KindSource)
		})
		if _, exists := there[kind][name]; name != "" && (!exists || changes) {
			return "", nil
		}
	}
	_, err := s.call(ctx, order{name: protocol.ExportCheck, object: st.Name, args: protocol.ExportCheckArgs{ExportSpec: spec, Name: st.Name}})
	if isClass(err, protocol.ErrUsage, protocol.ErrExists, protocol.ErrConflict, protocol.ErrNotFound) {
		return err.Error(), nil
	}
	return "", err
}
