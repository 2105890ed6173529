package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/segment-export/segment-export/internal/access"
	"github.com/segment-export/segment-export/internal/catalogue"
	"github.com/segment-export/segment-export/internal/command"
	"github.com/segment-export/segment-export/internal/connect"
	"github.com/segment-export/segment-export/internal/protocol"
	"github.com/segment-export/segment-export/internal/reason"
	"github.com/segment-export/segment-export/internal/record"
	"github.com/segment-export/segment-export/internal/secretref"
	"github.com/segment-export/segment-export/internal/segment"
	"github.com/segment-export/segment-export/internal/store"
)

// sourceHandlers are the commands about sources.
func (a *Commands) sourceHandlers() map[string]command.Handler {
	return map[string]command.Handler{
		protocol.SourceAdd:    command.With(a.sourceAdd),
		protocol.SourceList:   command.Without(a.sourceList),
		protocol.SourceShow:   command.With(a.sourceShow),
		protocol.SourceEdit:   command.With(a.sourceEdit),
		protocol.SourceTest:   command.With(a.sourceTest),
		protocol.SourceShare:  command.With(a.sourceShare),
		protocol.SourceOwner:  command.With(a.sourceOwner),
		protocol.SourceRemove: command.With(a.sourceRemove),
	}
}

func (a *Commands) sourceAdd(ctx context.Context, c command.Caller, args protocol.SourceAddArgs) (any, error) {
	m, err := command.Meta(catalogue.KindSource, args.Name, c)
	if err != nil {
		return nil, err
	}
	s := catalogue.Source{Meta: m, Type: args.Kind, Owner: c.Name, Shared: catalogue.SharedAdmins}
	if err := settleSource(&s, args.SourceSettings); err != nil {
		return nil, err
	}
	secret, sealed, err := a.newCredential(c, &s, args.SourceSettings, nil)
	if err != nil {
		return nil, err
	}
	answer, err := a.tried(ctx, s, secret, args.Untested)
	if err != nil {
		return nil, err
	}
	return answer, a.Create(ctx, c, &s, sealed)
}

func (a *Commands) sourceEdit(ctx context.Context, c command.Caller, args protocol.SourceEditArgs) (any, error) {
	s, o, err := record.Find[catalogue.Source](ctx, a.Store, catalogue.KindSource, args.Name)
	if err != nil {
		return nil, err
	}
	if err := ofVersion(args.Version, s.Meta, catalogue.KindSource); err != nil {
		return nil, err
	}
	before := s
	if err := settleSource(&s, args.SourceSettings); err != nil {
		return nil, err
	}
	secret, sealed, err := a.newCredential(c, &s, args.SourceSettings, &was{before, o.Sealed})
	if err != nil {
		return nil, err
	}
	answer, err := a.tried(ctx, s, secret, args.Untested)
	if err != nil {
		return nil, err
	}
	if err := a.Replace(ctx, c, o, &s, sealed); err != nil {
		return nil, err
	}
	answer.Source = s
	return answer, nil
}

// settleSource changes what is said of a source.
func settleSource(s *catalogue.Source, said protocol.SourceSettings) error {
	if said.Files != nil {
		s.Files = said.Files
	}
	if said.Dataverse != nil {
		s.Dataverse = said.Dataverse
	}
	if said.Postgres != nil {
		s.Postgres = said.Postgres
	}
	if said.Dates != nil {
		s.Dates = *said.Dates
	}
	if said.Shared != nil {
		shared, err := catalogue.ParseSharing(string(*said.Shared))
		if err != nil {
			return err
		}
		s.Shared = shared
	}
	if said.Owner != nil {
		if strings.TrimSpace(*said.Owner) == "" {
			return protocol.Refuse(protocol.ErrUsage, "the source %q needs an owner: the person who answers for it", s.Name)
		}
		s.Owner = *said.Owner
	}
	return s.Check()
}

// was is a source before it is changed.
type was struct {
	source catalogue.Source
	sealed []byte
}

// newCredential enters in s how it logs in from now on, and returns what with
// and what to store of it: nil to leave what is stored, something empty and
// sealed to forget it.
func (a *Commands) newCredential(c command.Caller, s *catalogue.Source, said protocol.SourceSettings, before *was) (secret, sealed []byte, err error) {
	switch {
	case len(c.Request.Sealed) > 0 && said.Credential != nil:
		return nil, nil, protocol.Refuse(protocol.ErrUsage, "the source %q gets a credential or a reference to one, not both", s.Name)
	case len(c.Request.Sealed) > 0:
		if secret, err = a.sealedCredential(c); err != nil {
			return nil, nil, err
		}
		s.Credential = catalogue.CredentialStored
	case said.Credential != nil && *said.Credential == "":
		s.Credential = ""
	case said.Credential != nil:
		if err := secretref.Check(*said.Credential); err != nil {
			return nil, nil, protocol.Refuse(protocol.ErrUsage, "%v", err)
		}
		s.Credential = *said.Credential
		if secret, err = a.Connect().Credential(s, nil); err != nil {
			if _, ok := errors.AsType[*segment.AccessError](err); !ok || !said.Untested {
				return nil, nil, sourceRefusal(s.Name, err)
			}
		}
	case before == nil:
		return nil, nil, nil
	default:
		if s.Credential == catalogue.CredentialStored && s.Destination() != before.source.Destination() {
			return nil, nil, protocol.Refuse(protocol.ErrUsage, "the source %q would show its stored credential to another place or under another login; give the credential again with this change", s.Name)
		}
		secret, err = a.Connect().Credential(&before.source, before.sealed)
		if err != nil && !said.Untested {
			return nil, nil, sourceRefusal(s.Name, err)
		}
		return secret, nil, nil
	}
	var stored []byte
	if s.Credential == catalogue.CredentialStored {
		stored = secret
	}
	sealed, err = a.Keyring.Seal(stored, connect.CredentialContext(s))
	return secret, sealed, err
}

// sealedCredential opens the credential that came with a command.
func (a *Commands) sealedCredential(c command.Caller) ([]byte, error) {
	data, err := a.Keyring.OpenEnvelope(c.Request.Sealed, protocol.Context(c.Request.ID))
	if err != nil {
		return nil, protocol.Refuse(protocol.ErrUsage, "the credential did not arrive: it was sealed to another worker's key")
	}
	var secret protocol.SourceSecret
	if err := json.Unmarshal(data, &secret); err != nil {
		return nil, protocol.Refuse(protocol.ErrUsage, "the credential did not arrive whole")
	}
	if credential := secretref.Trim(secret.Credential); len(credential) > 0 {
		return credential, nil
	}
	return nil, protocol.Refuse(protocol.ErrUsage, "the credential is empty")
}

// tried shows what a source has, which is the check of a new or changed one;
// untested takes it as it is.
func (a *Commands) tried(ctx context.Context, s catalogue.Source, secret []byte, untested bool) (*protocol.SourceAnswer, error) {
	src, err := a.OpenSource(s, secret)
	if err != nil {
		return nil, sourceRefusal(s.Name, err)
	}
	if untested {
		return &protocol.SourceAnswer{Source: s, SegmentList: []protocol.SegmentAnswer{}, Notes: []string{
			fmt.Sprintf("it was not tested; do that with: starter source test %q", s.Name)}}, connect.Close(src)
	}
	answer, err := a.describeSource(ctx, s, src, "")
	if answer != nil {
		withoutRows(answer)
	}
	return answer, errors.Join(err, connect.Close(src))
}

// sourceRefusal says for a command why a source cannot be used.
func sourceRefusal(name string, err error) error {
	class := protocol.ErrFailed
	_, missing := errors.AsType[*segment.MissingFieldsError](err)
	switch {
	case errors.Is(err, context.Canceled):
		return err
	case errors.Is(err, segment.ErrNotFound):
		class = protocol.ErrNotFound
	case missing, errors.Is(err, segment.ErrMalformed), errors.Is(err, segment.ErrEmpty):
		class = protocol.ErrUsage
	case errors.Is(err, segment.ErrBusy):
		class = protocol.ErrConflict
	}
	return protocol.Refuse(class, "source %q: %v", name, err)
}

// sourceList lists all sources for administrators, and the names and kinds of
// those that they may use for others.
func (a *Commands) sourceList(ctx context.Context, c command.Caller) (any, error) {
	all, err := record.List[catalogue.Source](ctx, a.Store, catalogue.KindSource)
	if err != nil || c.Role >= access.Admin {
		return all, err
	}
	shared := []catalogue.Source{}
	for _, s := range all {
		if access.May(c.Principal, access.OfSource(s)) {
			shared = append(shared, s.Outline())
		}
	}
	return shared, nil
}

// sourceShow shows a source with its segments; to those who may only use it,
// not where it is.
func (a *Commands) sourceShow(ctx context.Context, c command.Caller, args protocol.SourceShowArgs) (any, error) {
	s, o, err := record.Find[catalogue.Source](ctx, a.Store, catalogue.KindSource, args.Name)
	if err != nil {
		return nil, err
	}
	answer := &protocol.SourceAnswer{Source: s, SegmentList: []protocol.SegmentAnswer{}}
	if !args.Stored {
		src, err := a.openStored(s, o)
		if err != nil {
			return nil, err
		}
		answer, err = a.describeSource(ctx, s, src, args.Segment)
		if err := errors.Join(err, connect.Close(src)); err != nil {
			return nil, err
		}
	}
	if c.Role < access.Admin {
		answer.Source = s.Outline()
	}
	if args.Rows && c.Request.ReplyTo != "" && access.May(c.Principal, access.OfSource(s)) {
		*c.People = true
		return answer, nil
	}
	withoutRows(answer)
	return answer, nil
}

// openStored opens a source for a command.
func (a *Commands) openStored(s catalogue.Source, o store.Object) (segment.Source, error) {
	secret, err := a.Connect().Credential(&s, o.Sealed)
	if err != nil {
		return nil, sourceRefusal(s.Name, err)
	}
	src, err := a.OpenSource(s, secret)
	if err != nil {
		return nil, sourceRefusal(s.Name, err)
	}
	return src, nil
}

func (a *Commands) sourceShare(ctx context.Context, c command.Caller, args protocol.SourceShareArgs) (any, error) {
	return a.sourceChange(ctx, c, args.Name, protocol.SourceSettings{Shared: &args.With})
}

func (a *Commands) sourceOwner(ctx context.Context, c command.Caller, args protocol.SourceOwnerArgs) (any, error) {
	return a.sourceChange(ctx, c, args.Name, protocol.SourceSettings{Owner: &args.To})
}

// sourceChange changes what has nothing to do with how the source is read.
func (a *Commands) sourceChange(ctx context.Context, c command.Caller, name string, said protocol.SourceSettings) (any, error) {
	s, o, err := record.Find[catalogue.Source](ctx, a.Store, catalogue.KindSource, name)
	if err != nil {
		return nil, err
	}
	if err := settleSource(&s, said); err != nil {
		return nil, err
	}
	return &s, a.Replace(ctx, c, o, &s, nil)
}

func (a *Commands) sourceRemove(ctx context.Context, c command.Caller, args protocol.Named) (any, error) {
	s, _, err := record.Find[catalogue.Source](ctx, a.Store, catalogue.KindSource, args.Name)
	if err != nil {
		return nil, err
	}
	exports, err := record.List[catalogue.Export](ctx, a.Store, catalogue.KindExport)
	if err != nil {
		return nil, err
	}
	var users []string
	for _, e := range exports {
		if e.Source == s.Name {
			users = append(users, e.Name)
		}
	}
	if len(users) > 0 {
		return nil, protocol.Refuse(protocol.ErrConflict, "the source %q is read by %s: %s; remove them first, or give them another source", s.Name, reason.Count(len(users), "export", "exports"), strings.Join(users, ", "))
	}
	r, _, err := a.Refresh(ctx)
	if err != nil {
		return nil, err
	}
	if r.Follow == s.Name {
		return nil, protocol.Refuse(protocol.ErrConflict, "the system refresh follows the source %q; give it other times first: starter refresh set", s.Name)
	}
	return s, a.Remove(ctx, c, &s)
}
