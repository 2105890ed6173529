package cli

import (
	"context"
	"encoding/json"
	"strings"

	"github.com/segment-export/segment-export/internal/catalogue"
	"github.com/segment-export/segment-export/internal/protocol"
)

// initSource chooses a source, or adds one, and asks it for its segments.
func (s *session) initSource(ctx context.Context, set *setUp) error {
	s.say("Step 1 of 3: the source. It is where segments are read from.")
	there, names, err := s.named(ctx, catalogue.KindSource)
	if err != nil {
		return err
	}
	for {
		name, err := s.someName(ctx, "source", names, "crm")
		if err == nil && there[name] == nil {
			err = s.newSource(ctx, name)
		}
		var raw json.RawMessage
		if err == nil {
			raw, err = s.call(ctx, order{name: protocol.SourceShow, object: name, personal: true, args: protocol.SourceShowArgs{Name: name, Rows: true}})
		}
		if err == nil {
			if err = decode(raw, &set.source); err == nil && len(set.source.SegmentList) == 0 {
				err = usage("the source %s has no segments that can be read; see: starter source test %s", name, shellWord(name))
			}
		}
		if err == nil {
			s.say("Found %s in %s.", plural(len(set.source.SegmentList), "segment", "segments"), name)
			return set.add(catalogue.KindSource, raw)
		}
		if err = s.tryAgain(err); err != nil {
			return err
		}
		if there, names, err = s.named(ctx, catalogue.KindSource); err != nil {
			return err
		}
	}
}

// newSource asks for what a source of a kind needs, and adds it.
func (s *session) newSource(ctx context.Context, name string) error {
	kind, err := s.choose(ctx, "Kind (a number)", catalogue.SourceTypes, false)
	if err != nil {
		return err
	}
	args := protocol.SourceAddArgs{Name: name, Kind: kind}
	var secret string
	switch kind {
	case catalogue.TypeDataverse:
		secret, err = s.askDataverse(ctx, &args)
	case catalogue.TypePostgres:
		secret, err = s.askPostgres(ctx, &args)
	default:
		err = s.askFiles(ctx, &args)
	}
	if err != nil {
		return err
	}
	do := order{name: protocol.SourceAdd, args: args, object: name, personal: true}
	if secret != "" {
		do.secret = protocol.SourceSecret{Credential: []byte(secret)}
	}
	_, err = s.call(ctx, do)
	return err
}

func (s *session) askFiles(ctx context.Context, args *protocol.SourceAddArgs) error {
	place, err := s.question(ctx, "Folder below the worker's files root, or URL of a bucket (azblob://, s3://, gs://)", ".")
	args.Files = &catalogue.FilesSettings{Path: place}
	if strings.Contains(place, "://") {
		args.Files = &catalogue.FilesSettings{URL: place}
	}
	return err
}

func (s *session) askDataverse(ctx context.Context, args *protocol.SourceAddArgs) (string, error) {
	d := &catalogue.DataverseSettings{Auth: "secret"}
	args.Dataverse = d
	err := s.questions(ctx, []asked{
		{"URL of the environment, such as https://contoso.crm4.dynamics.com", "", &d.URL},
		{"Microsoft Entra tenant", "", &d.Tenant},
		{"Client id of the app registration", "", &d.ClientID},
	})
	if err != nil {
		return "", err
	}
	secret, err := s.credentialFrom(ctx, "", "Client secret")
	return string(secret), err
}

func (s *session) askPostgres(ctx context.Context, args *protocol.SourceAddArgs) (string, error) {
	p := &catalogue.PostgresSettings{}
	args.Postgres = p
	err := s.questions(ctx, []asked{
		{"Host", "localhost", &p.Host},
		{"Database", "", &p.Database},
		{"User", "", &p.User},
		{"Schema whose tables and views are segments", "public", &p.Schema},
		{"Column with the customer id", "customer_id", &p.ID},
	})
	if err != nil {
		return "", err
	}
	secret, err := s.credentialFrom(ctx, "", "Password of "+p.User)
	return string(secret), err
}

// asked is a question and where its answer goes.
type asked struct {
	text, suggestion string
	into             *string
}

func (s *session) questions(ctx context.Context, all []asked) error {
	for _, one := range all {
		var err error
		for *one.into == "" {
			if *one.into, err = s.question(ctx, one.text, one.suggestion); err != nil {
				return err
			}
		}
	}
	return nil
}
