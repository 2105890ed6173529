package activities

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/segment-export/segment-export/internal/alerting"
	"github.com/segment-export/segment-export/internal/catalogue"
	"github.com/segment-export/segment-export/internal/protocol"
	"github.com/segment-export/segment-export/internal/reason"
)

// alertHandlers are the commands about alerts.
var alertHandlers = map[string]handler{
	protocol.AlertAdd:    with((*Activities).alertAdd),
	protocol.AlertList:   without((*Activities).alertList),
	protocol.AlertShow:   with((*Activities).alertShow),
	protocol.AlertRemove: with((*Activities).alertRemove),
	protocol.AlertTest:   with((*Activities).alertTest),
}

// targetContext is the context that an alert's target is sealed with.
func targetContext(name string) string { return "alert/" + name + "/target" }

func (a *Activities) alertAdd(ctx context.Context, c caller, args protocol.AlertAddArgs) (any, error) {
	m, err := meta(catalogue.KindAlert, args.Name, c)
	if err != nil {
		return nil, err
	}
	v := &catalogue.Alert{Meta: m, Exports: args.Exports, On: args.On, Rejects: args.Rejects, Late: args.Late}
	if err := v.Check(); err != nil {
		return nil, err
	}
	for _, e := range v.Exports {
		if _, _, err := get[catalogue.Export](ctx, a, catalogue.KindExport, e); err != nil {
			return nil, err
		}
	}
	target, err := a.alertSecret(c)
	if err != nil {
		return nil, err
	}
	v.Channel, v.Target = target.Type, target.describe()
	if err := target.check(); err != nil {
		return nil, refuse(protocol.ErrUsage, "%v", err)
	}
	if target.Mail != nil {
		target.Mail.Roots = a.AlertRoots
		if err := target.Mail.Try(ctx); err != nil {
			return nil, refuse(protocol.ErrFailed, "%v; the alert was not stored", err)
		}
	}
	sealed, err := a.Keyring.Seal(encode(target), targetContext(v.Name))
	if err != nil {
		return nil, err
	}
	return v, a.create(ctx, c, v, sealed)
}

// alertTarget is where an alert goes, as it is stored.
type alertTarget struct {
	Type    catalogue.ChannelType `json:"type"`
	Mail    *alerting.Mail        `json:"mail,omitempty"`
	Webhook *alerting.Webhook     `json:"webhook,omitempty"`
}

func (a *Activities) alertSecret(c caller) (*alertTarget, error) {
	data, err := a.Keyring.OpenEnvelope(c.request.Sealed, protocol.Context(c.request.ID))
	if err != nil {
		return nil, refuse(protocol.ErrUsage, "cannot decrypt the alert destination: it was not sealed to this worker's key")
	}
	var s protocol.AlertSecret
	if err := json.Unmarshal(data, &s); err != nil || (s.Mail == nil) == (s.Webhook == nil) {
		return nil, refuse(protocol.ErrUsage, "an alert goes by mail or to a webhook, one of the two")
	}
	if m := s.Mail; m != nil {
		return &alertTarget{Type: catalogue.ChannelMail, Mail: &alerting.Mail{Server: m.Server, From: m.From, To: m.To,
			Username: m.Username, Password: m.Password, Plain: m.Plain}}, nil
	}
	format := alerting.Format(s.Webhook.Format)
	if format == "" {
		format = alerting.FormatFor(s.Webhook.URL)
	}
	return &alertTarget{Type: catalogue.ChannelWebhook, Webhook: &alerting.Webhook{URL: s.Webhook.URL, Key: s.Webhook.Key, Format: format}}, nil
}

func (t *alertTarget) check() error {
	if t.Mail != nil {
		return t.Mail.Check()
	}
	return t.Webhook.Check()
}

// describe says where it goes without an address or a secret.
func (t *alertTarget) describe() string {
	if t.Mail == nil {
		return fmt.Sprintf("%s, as %s", t.Webhook.Host(), t.Webhook.Format)
	}
	return reason.Count(len(t.Mail.To), "address", "addresses") + " through " + t.Mail.Server
}

// channel opens what an alert's target was sealed with.
func (a *Activities) channel(name string, sealed []byte) (alerting.Channel, error) {
	data, err := a.Keyring.Open(sealed, targetContext(name))
	if err != nil {
		return nil, fmt.Errorf("the target of the alert %q cannot be decrypted with this keyring: make the alert again", name)
	}
	t, err := decode[alertTarget](data)
	if err != nil {
		return nil, err
	}
	if t.Mail != nil {
		t.Mail.Roots = a.AlertRoots
		return t.Mail, nil
	}
	t.Webhook.Roots = a.AlertRoots
	return t.Webhook, nil
}

func (a *Activities) alertList(ctx context.Context, _ caller) (any, error) {
	return list[catalogue.Alert](ctx, a, catalogue.KindAlert)
}

func (a *Activities) alertShow(ctx context.Context, _ caller, args protocol.Named) (any, error) {
	v, _, err := get[catalogue.Alert](ctx, a, catalogue.KindAlert, args.Name)
	return v, err
}

func (a *Activities) alertRemove(ctx context.Context, c caller, args protocol.Named) (any, error) {
	v, _, err := get[catalogue.Alert](ctx, a, catalogue.KindAlert, args.Name)
	if err != nil {
		return nil, err
	}
	return v, a.remove(ctx, c, &v)
}

// alertTest delivers a message now, once, and says what came of it.
func (a *Activities) alertTest(ctx context.Context, c caller, args protocol.Named) (any, error) {
	v, o, err := get[catalogue.Alert](ctx, a, catalogue.KindAlert, args.Name)
	if err != nil {
		return nil, err
	}
	channel, err := a.channel(v.Name, o.Sealed)
	if err != nil {
		return nil, refuse(protocol.ErrFailed, "%v", err)
	}
	n := &alerting.Notice{Alert: v.Name, Export: strings.Join(v.Exports, ", "), At: c.request.IssuedAt, Test: true}
	err = channel.Deliver(ctx, noticeMessage(n, "test-"+c.request.ID))
	a.Work.Alert(v.Name, err)
	if err != nil {
		return nil, refuse(protocol.ErrFailed, "%v", err)
	}
	return protocol.AlertTested{Name: v.Name, Target: v.Target}, nil
}
