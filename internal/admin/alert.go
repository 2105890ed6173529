package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"

	"github.com/segment-export/segment-export/internal/alerting"
	"github.com/segment-export/segment-export/internal/catalogue"
	"github.com/segment-export/segment-export/internal/command"
	"github.com/segment-export/segment-export/internal/protocol"
	"github.com/segment-export/segment-export/internal/record"
)

// alertHandlers are the commands about alerts.
func (a *Commands) alertHandlers() map[string]command.Handler {
	return map[string]command.Handler{
		protocol.AlertAdd:    command.With(a.alertAdd),
		protocol.AlertEdit:   command.With(a.alertEdit),
		protocol.AlertList:   command.Without(a.alertList),
		protocol.AlertShow:   command.With(a.alertShow),
		protocol.AlertRemove: command.With(a.alertRemove),
		protocol.AlertTest:   command.With(a.alertTest),
	}
}

func (a *Commands) alertAdd(ctx context.Context, c command.Caller, args protocol.AlertAddArgs) (any, error) {
	m, err := command.Meta(catalogue.KindAlert, args.Name, c)
	if err != nil {
		return nil, err
	}
	v := &catalogue.Alert{Meta: m, Exports: args.Exports, On: args.On, Rejects: args.Rejects, Late: args.Late}
	if err := a.checkAlert(ctx, v); err != nil {
		return nil, err
	}
	target, err := a.alertSecret(c)
	if err != nil {
		return nil, err
	}
	v.Channel, v.Target = target.Type, target.Describe()
	if err := target.Check(); err != nil {
		return nil, protocol.Refuse(protocol.ErrUsage, "%v", err)
	}
	if target.Mail != nil {
		target.Mail.Roots = a.Alerts.Roots
		if err := target.Mail.Try(ctx); err != nil {
			return nil, protocol.Refuse(protocol.ErrFailed, "%v; the alert was not stored", err)
		}
	}
	sealed, err := a.Keyring.Seal(record.Encode(target), alerting.TargetContext(v.Name))
	if err != nil {
		return nil, err
	}
	return v, a.Create(ctx, c, v, sealed)
}

// alertEdit changes what an alert reports. Its destination stays.
func (a *Commands) alertEdit(ctx context.Context, c command.Caller, args protocol.AlertEditArgs) (any, error) {
	v, o, err := record.Find[catalogue.Alert](ctx, a.Store, catalogue.KindAlert, args.Name)
	if err != nil {
		return nil, err
	}
	v.Exports, v.On, v.Rejects, v.Late = args.Exports, args.On, args.Rejects, args.Late
	if bytes.Equal(o.Body, record.Encode(&v)) { // nothing to do, or an earlier attempt did it
		return v, nil
	}
	if err := ofVersion(args.Version, v.Meta, catalogue.KindAlert); err != nil {
		return nil, err
	}
	if err := a.checkAlert(ctx, &v); err != nil {
		return nil, err
	}
	return v, a.Replace(ctx, c, o, &v, nil)
}

// checkAlert checks an alert against itself, and that the exports exist.
func (a *Commands) checkAlert(ctx context.Context, v *catalogue.Alert) error {
	if err := v.Check(); err != nil {
		return err
	}
	for _, e := range v.Exports {
		if _, _, err := record.Find[catalogue.Export](ctx, a.Store, catalogue.KindExport, e); err != nil {
			return err
		}
	}
	return nil
}

func (a *Commands) alertSecret(c command.Caller) (*alerting.Target, error) {
	data, err := a.Keyring.OpenEnvelope(c.Request.Sealed, protocol.Context(c.Request.ID))
	if err != nil {
		return nil, protocol.Refuse(protocol.ErrUsage, "cannot decrypt the alert destination: it was not sealed to this worker's key")
	}
	var s protocol.AlertSecret
	if err := json.Unmarshal(data, &s); err != nil || (s.Mail == nil) == (s.Webhook == nil) {
		return nil, protocol.Refuse(protocol.ErrUsage, "an alert goes by mail or to a webhook, one of the two")
	}
	if m := s.Mail; m != nil {
		return &alerting.Target{Type: catalogue.ChannelMail, Mail: &alerting.Mail{Server: m.Server, From: m.From, To: m.To,
			Username: m.Username, Password: m.Password, Plain: m.Plain}}, nil
	}
	format := alerting.Format(s.Webhook.Format)
	if format == "" {
		format = alerting.FormatFor(s.Webhook.URL)
	}
	return &alerting.Target{Type: catalogue.ChannelWebhook, Webhook: &alerting.Webhook{URL: s.Webhook.URL, Key: s.Webhook.Key, Format: format}}, nil
}

func (a *Commands) alertList(ctx context.Context, _ command.Caller) (any, error) {
	return record.List[catalogue.Alert](ctx, a.Store, catalogue.KindAlert)
}

func (a *Commands) alertShow(ctx context.Context, _ command.Caller, args protocol.Named) (any, error) {
	v, _, err := record.Find[catalogue.Alert](ctx, a.Store, catalogue.KindAlert, args.Name)
	return v, err
}

func (a *Commands) alertRemove(ctx context.Context, c command.Caller, args protocol.Named) (any, error) {
	v, _, err := record.Find[catalogue.Alert](ctx, a.Store, catalogue.KindAlert, args.Name)
	if err != nil {
		return nil, err
	}
	return v, a.Remove(ctx, c, &v)
}

// alertTest delivers a message now, once, and says what came of it.
func (a *Commands) alertTest(ctx context.Context, c command.Caller, args protocol.Named) (any, error) {
	v, o, err := record.Find[catalogue.Alert](ctx, a.Store, catalogue.KindAlert, args.Name)
	if err != nil {
		return nil, err
	}
	channel, err := a.Alerts.Channel(v.Name, o.Sealed)
	if err != nil {
		return nil, protocol.Refuse(protocol.ErrFailed, "%v", err)
	}
	n := &alerting.Notice{Alert: v.Name, Export: strings.Join(v.Exports, ", "), At: c.Request.IssuedAt, Test: true}
	err = channel.Deliver(ctx, alerting.NoticeMessage(n, "test-"+c.Request.ID))
	a.Work.Alert(v.Name, err)
	if err != nil {
		return nil, protocol.Refuse(protocol.ErrFailed, "%v", err)
	}
	return protocol.AlertTested{Name: v.Name, Target: v.Target}, nil
}
