package operate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/segment-export/segment-export/internal/access"
	"github.com/segment-export/segment-export/internal/catalogue"
	"github.com/segment-export/segment-export/internal/command"
	"github.com/segment-export/segment-export/internal/contact"
	"github.com/segment-export/segment-export/internal/job"
	"github.com/segment-export/segment-export/internal/ledger"
	"github.com/segment-export/segment-export/internal/protocol"
	"github.com/segment-export/segment-export/internal/record"
	"github.com/segment-export/segment-export/internal/spool"
	"github.com/segment-export/segment-export/internal/store"
)

// personHandlers are the commands about one person.
func (a *Commands) personHandlers() map[string]command.Handler {
	return map[string]command.Handler{
		protocol.Explain: command.Without(a.explain),
		protocol.Forget:  command.With(a.forget),
	}
}

// sealedAddress opens the address that came with a command, in the form in which
// it is sent.
func (a *Commands) sealedAddress(c command.Caller) (string, error) {
	data, err := a.Keyring.OpenEnvelope(c.Request.Sealed, protocol.Context(c.Request.ID))
	if err != nil {
		return "", protocol.Refuse(protocol.ErrUsage, "the address did not arrive: it was sealed to another worker's key, or not at all")
	}
	var sent protocol.Address
	if err := json.Unmarshal(data, &sent); err != nil {
		return "", protocol.Refuse(protocol.ErrUsage, "the address did not arrive whole")
	}
	email, ok := contact.NormaliseEmail(sent.Email)
	if !ok {
		return "", protocol.Refuse(protocol.ErrUsage, "this is no e-mail address that would ever be sent: a row with it is invalid (email_invalid)")
	}
	return email, nil
}

// exports returns the names of all exports.
func (a *Commands) exports(ctx context.Context) ([]string, error) {
	objects, err := a.Store.Objects(ctx, string(catalogue.KindExport))
	names := make([]string, 0, len(objects))
	for _, o := range objects {
		names = append(names, o.Name)
	}
	return names, err
}

// forget erases an address from everything that is kept, and keeps later runs
// from carrying it. What Omnisend has stays there.
func (a *Commands) forget(ctx context.Context, c command.Caller, args protocol.ForgetArgs) (any, error) {
	email, err := a.sealedAddress(c)
	if err != nil {
		return nil, err
	}
	key, err := a.Ledgers().AddressKey(ctx)
	if err != nil {
		return nil, err
	}
	digest := key.Address(email)
	c.Named(digest)
	if args.AllowAgain {
		was, err := a.Store.AllowAgain(ctx, digest[:])
		if err == nil && !was {
			err = protocol.Refuse(protocol.ErrNotFound, "this address is not forgotten: nothing keeps it out of runs")
		}
		return protocol.ForgetAnswer{Allowed: true}, err
	}
	// First, so that nothing learns it again while it is erased.
	if err := a.Store.Forget(ctx, digest[:]); err != nil {
		return nil, err
	}
	e := eraser{Commands: a, email: email}
	if err := e.erase(ctx); err != nil {
		return nil, err
	}
	e.answer.Notes = []string{"what Omnisend has of this address stays there: delete the contact in Omnisend too",
		"the source still has it: its rows count as invalid, for the reason " + string(ledger.ReasonForgotten),
		"when it opted out was forgotten too: if it is allowed again, an opt-out without a date counts from the run that sees it then, and nobody knows that it was subscribed"}
	return e.answer, nil
}

// explainRuns is how many runs of an export are searched for rejects.
const explainRuns = 5

// explain tells all that is known of an address, by export.
func (a *Commands) explain(ctx context.Context, c command.Caller) (any, error) {
	email, err := a.sealedAddress(c)
	if err != nil {
		return nil, err
	}
	key, err := a.Ledgers().AddressKey(ctx)
	if err != nil {
		return nil, err
	}
	c.Named(key.Address(email))
	gone, err := a.Ledgers().Forgotten(ctx)
	if err != nil {
		return nil, err
	}
	answer := protocol.ExplainAnswer{Forgotten: gone.Has(email), Exports: []protocol.ExplainedExport{}}
	exports, err := record.List[catalogue.Export](ctx, a.Store, catalogue.KindExport)
	if err != nil {
		return nil, err
	}
	for _, e := range exports {
		err := a.MayHave(ctx, c, &e)
		if r, refused := errors.AsType[*protocol.RefusalError](err); refused && r.Class == protocol.ErrNotAllowed {
			answer.Hidden++
			continue
		}
		if err != nil {
			return nil, err
		}
		explained, err := a.explainIn(ctx, c, e, email)
		if err != nil {
			return nil, err
		}
		if answer.Forgotten {
			explained.Next = "it is forgotten: no run carries it, until: starter forget ADDRESS --allow-again"
		}
		answer.Exports = append(answer.Exports, *explained)
	}
	return answer, nil
}

// explainIn tells what one export knows of an address.
func (a *Commands) explainIn(ctx context.Context, c command.Caller, e catalogue.Export, email string) (*protocol.ExplainedExport, error) {
	x := &protocol.ExplainedExport{Export: e.Name, Verdict: protocol.VerdictUnknown}
	n, key, err := a.Ledgers().Note(ctx, e.Name)
	if err != nil {
		return nil, err
	}
	if n != nil {
		x.LastRun, x.LastAt = n.LastRun, n.LastAt
		entry, err := a.Ledgers().Entry(ctx, e.Name, contact.NewDigester(key).Address(email))
		if err != nil {
			return nil, err
		}
		describe(x, entry, n)
	}
	if err := a.explainRejects(ctx, c, x, email); err != nil {
		return nil, err
	}
	x.Next = next(e, x)
	planned, err := a.ScheduleAnswer(ctx, e.Name)
	if err != nil {
		return nil, err
	}
	x.Starts = planned.Starts
	if len(planned.Next) > 0 {
		x.NextStart = planned.Next[0]
	}
	return x, nil
}

// next says what a next run does with an address.
func next(e catalogue.Export, x *protocol.ExplainedExport) string {
	switch {
	case x.Verdict == protocol.VerdictRefused:
		return "it is sent again when its data changes, or with: starter runs retry-rejects " + e.Name
	case x.Verdict != protocol.VerdictUnknown:
		full := ""
		if e.FullEvery > 0 {
			full = fmt.Sprintf(", and with all others every %d days", e.FullEvery)
		}
		return "it is sent again when its data, its consent or its segments change" + full
	case len(x.Rejects) > 0:
		return "each run checks its row again: correct it at the source"
	case x.LastRun == "":
		return "the export has not completed a run yet: one that finds the address in a segment sends it"
	}
	return "it was in no segment when the last complete run read them: one that finds it there sends it"
}

// explainRejects searches the newest runs of an export for rows of an address
// that were not carried over. It leaves out runs over a connection or from a
// source that the caller may not use.
func (a *Commands) explainRejects(ctx context.Context, c command.Caller, x *protocol.ExplainedExport, email string) error {
	runs, err := a.Store.ListRuns(ctx, store.RunFilter{Export: x.Export, Limit: explainRuns})
	if err != nil {
		return err
	}
	for _, r := range runs {
		reached, err := a.ReachedByRun(ctx, r)
		if err != nil {
			return err
		}
		if access.Check(c.Principal, protocol.RunsRejects, reached...) != nil {
			x.HiddenRuns++
			continue
		}
		err = a.EachReject(ctx, r.ID, func(reject protocol.Reject) {
			if sameAddress(reject.Email, email) {
				x.Rejects = append(x.Rejects, protocol.ExplainedReject{Run: r.ID, At: r.CreatedAt, Reject: reject})
			}
		}, job.RejectsRead, job.RejectsRefused)
		if err != nil {
			return err
		}
	}
	return nil
}

// why are the rules of consent in words.
var why = map[contact.Rule]string{
	contact.RuleConsent:   "the source consents, with this date",
	contact.RuleOptOut:    "the source opts out, with this date (a day counts at its end, a date in the future as the moment it was first seen)",
	contact.RuleUndated:   "the source opts out without a date that can be read: that counts from when it was first seen",
	contact.RuleRefusal:   "the source refuses, with this date",
	contact.RuleWithdrawn: "it was sent as subscribed, and the source does not consent any more",
	contact.RuleIgnored:   "the source opts out without a date, which this export ignores: it changes nothing at Omnisend",
	contact.RuleNone:      "the source has no consent that counts: it changes nothing at Omnisend",
}

// explainedStatus puts a channel into words; nil when nothing is known of it.
func explainedStatus(c contact.Channel) *protocol.ExplainedStatus {
	if c == (contact.Channel{}) {
		return nil
	}
	return &protocol.ExplainedStatus{Status: string(c.Sent), Date: c.SentAt, Rule: string(c.Rule), Why: why[c.Rule], Consented: c.Consented, FirstSeen: c.Seen}
}

// describe puts a ledger's entry into words.
func describe(x *protocol.ExplainedExport, entry *spool.Entry, n *ledger.Note) {
	if entry == nil {
		return
	}
	x.Mail, x.SMS = explainedStatus(entry.Memory.Mail), explainedStatus(entry.Memory.SMS)
	if entry.State == spool.Remembered {
		return // it left, or was never sent: only its consent is remembered
	}
	x.At, x.Markers, x.Verdict = time.Unix(entry.SentAt, 0).UTC(), n.Names(entry.Segments), protocol.VerdictConfirmed
	switch {
	case entry.State == spool.Refused:
		x.Verdict, x.Reason = protocol.VerdictRefused, entry.Reason
	case entry.Reason == ledger.Adopted:
		x.Verdict = protocol.VerdictAdopted
	}
}
