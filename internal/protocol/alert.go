package protocol

import (
	"time"

	"github.com/segment-export/segment-export/internal/catalogue"
)

// The names of the commands about alerts.
const (
	AlertAdd    = "alert add"
	AlertList   = "alert list"
	AlertShow   = "alert show"
	AlertEdit   = "alert edit"
	AlertRemove = "alert remove"
	AlertTest   = "alert test"
)

// AlertAddArgs are the arguments of alert add; where it goes travels sealed.
type AlertAddArgs struct {
	Name    string                `json:"name"`
	Exports []string              `json:"exports,omitempty"`
	On      []catalogue.Condition `json:"on"`
	Rejects float64               `json:"rejects"`
	Late    time.Duration         `json:"late,omitempty"`
}

// About names nothing: an alert is an administrator's.
func (AlertAddArgs) About(string) []Subject { return nil }

// AlertEditArgs are the arguments of alert edit: all that the alert reports.
// Its destination stays as it is.
type AlertEditArgs struct {
	AlertAddArgs

	Version int64 `json:"version"` // of which it was made; 0: whatever it is now
}

// About names the alert.
func (a AlertEditArgs) About(string) []Subject { return []Subject{{catalogue.KindAlert, a.Name}} }

// AlertSecret is the sealed part of alert add: one of the two.
type AlertSecret struct {
	Mail    *AlertMail    `json:"mail,omitempty"`
	Webhook *AlertWebhook `json:"webhook,omitempty"`
}

// AlertMail is where mail goes and through which server.
type AlertMail struct {
	Server   string   `json:"server"`
	From     string   `json:"from"`
	To       []string `json:"to"`
	Username string   `json:"username,omitempty"`
	Password string   `json:"password,omitempty"`
	Plain    bool     `json:"plain,omitempty"`
}

// AlertWebhook is where requests go and what they are signed with.
type AlertWebhook struct {
	URL    string `json:"url"`
	Key    string `json:"key"`
	Format string `json:"format,omitempty"` // empty: guessed from the URL
}

// AlertTested is the outcome of a test message.
type AlertTested struct {
	Name   string `json:"name"`
	Target string `json:"target"`
}
