package dataverse

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/segment-export/segment-export/internal/segment"
)

// Test looks whether runs would work, in the order in which they would stop:
// the login, the user's rights, the tables, a page of each, the refresh. It
// ends with the first thing that is wrong.
func (s *Source) Test(ctx context.Context) ([]segment.Check, error) {
	var t tables
	var checks []segment.Check
	for _, step := range []struct {
		name string
		look func(context.Context, *tables) (segment.Check, error)
	}{
		{"login", s.testLogin}, {"user", s.testUser}, {"tables", s.testTables},
		{"memberships", s.testMemberships}, {"profiles", s.testProfiles}, {"segments", s.testSegments}, {"refresh", s.testRefresh},
	} {
		check, err := step.look(ctx, &t)
		if ctx.Err() != nil {
			return checks, ctx.Err()
		}
		if err != nil {
			check = segment.Check{Detail: err.Error()}
			if refused, ok := errors.AsType[*segment.AccessError](err); ok {
				check = segment.Check{Detail: refused.Message, Action: refused.Action}
			}
		}
		check.Name, check.OK = step.name, err == nil
		checks = append(checks, check)
		if err != nil {
			break
		}
	}
	return checks, nil
}

func (s *Source) testLogin(ctx context.Context, _ *tables) (segment.Check, error) {
	_, err := s.client.login.token(ctx)
	return segment.Check{Detail: fmt.Sprintf("%s gives a token for %s", s.config.authority(), s.client.origin)}, err
}

func (s *Source) testUser(ctx context.Context, _ *tables) (segment.Check, error) {
	var who struct {
		User string `json:"UserId"`
	}
	_, err := s.client.get(ctx, request{url: s.client.address("WhoAmI"), table: "the login's user"}, func(body io.Reader) error {
		if err := json.NewDecoder(body).Decode(&who); err != nil {
			return shape(err)
		}
		return nil
	})
	if isRefusal(err, 404) {
		err = &segment.AccessError{Message: s.client.origin + " has no Dataverse Web API", Action: "check the environment's URL in the Power Platform admin center"}
	}
	return segment.Check{Detail: "the login is the user " + plainWord(who.User) + " of the environment"}, err
}

func (s *Source) testTables(ctx context.Context, t *tables) (segment.Check, error) {
	found, err := s.define(ctx)
	if err != nil {
		return segment.Check{}, err
	}
	*t = *found
	return segment.Check{Detail: fmt.Sprintf("%s (%s) and %s (%s, %d fields)", t.members.name, strings.ToLower(string(t.members.kind)),
		t.profiles.name, strings.ToLower(string(t.profiles.kind)), len(t.profiles.fields()))}, nil
}

func (s *Source) testMemberships(ctx context.Context, t *tables) (segment.Check, error) {
	rows, unreadable := 0, 0
	sc := &scan{client: s.client, table: t.members, columns: []string{customerID, segmentList}}
	err := sc.next(ctx, func() { rows, unreadable = 0, 0 }, func(values []string, p segment.Problem) error {
		rows++
		if p != "" || segmentNames(values[1]) == nil {
			unreadable++
		}
		return nil
	})
	if err == nil && unreadable == rows && rows > 0 {
		err = segment.Malformed("the column %s of %s holds no lists of segments", segmentList, t.members.name)
	}
	return segment.Check{Detail: fmt.Sprintf("a page of %d memberships was read", rows)}, err
}

func (s *Source) testProfiles(ctx context.Context, t *tables) (segment.Check, error) {
	rows := 0
	sc := &scan{client: s.client, table: t.profiles, columns: []string{customerID}}
	err := sc.next(ctx, func() { rows = 0 }, func([]string, segment.Problem) error { rows++; return nil })
	return segment.Check{Detail: fmt.Sprintf("a page of %d profiles was read", rows)}, err
}

func (s *Source) testSegments(ctx context.Context, _ *tables) (segment.Check, error) {
	all, ok, err := s.client.segmentsMetadata(ctx)
	if err == nil && !ok {
		return segment.Check{Detail: "the private table " + metadataTable + " may not be read: segments are known by the names of their output tables only, " +
			"without counts and times, and a running refresh is noticed by the times of the rows alone",
			Action: "optional: a security role with read access to " + metadataTable}, nil
	}
	return segment.Check{Detail: fmt.Sprintf("%d segments are listed", len(all))}, err
}

func (s *Source) testRefresh(ctx context.Context, t *tables) (segment.Check, error) {
	st, err := s.look(ctx, "", t)
	if err != nil {
		return segment.Check{}, err
	}
	all, _, err := s.client.segmentsMetadata(ctx)
	if err != nil {
		return segment.Check{}, err
	}
	running := 0
	for i := range all {
		if all[i].running() {
			running++
		}
	}
	switch busy := st.busy(s.config.settle()); {
	case running > 0:
		return segment.Check{Detail: fmt.Sprintf("Customer Insights is refreshing %d segments; runs wait until that is done", running)}, nil
	case busy != nil:
		return segment.Check{Detail: "runs would wait: " + busy.Error()}, nil
	case st.blind():
		return segment.Check{Detail: "this environment shows no time of refresh, so a refresh during a read cannot be noticed"}, nil
	}
	return segment.Check{Detail: "no refresh is running"}, nil
}
