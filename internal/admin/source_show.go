package admin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/segment-export/segment-export/internal/catalogue"
	"github.com/segment-export/segment-export/internal/command"
	"github.com/segment-export/segment-export/internal/connect"
	"github.com/segment-export/segment-export/internal/protocol"
	"github.com/segment-export/segment-export/internal/record"
	"github.com/segment-export/segment-export/internal/segment"
)

const (
	// describing is how long segments are asked for their fields one by one: a
	// command has 30 s, and a source may have hundreds of them.
	describing = 15 * time.Second
	// mostNames bounds the characters of all field names in one answer, which
	// passes through Temporal: 2 MiB at most.
	mostNames = 500_000
	// mostSegments is how many segments are shown at once, for the same reason.
	mostSegments = 2_000
)

// inTime lets a source answer while the command still has the time to say so.
func (a *Commands) inTime(ctx context.Context, ask func(ctx context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, a.Tuning.SourceShows)
	defer cancel()
	err := ask(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("it did not answer within %s; see whether it is up, and whether something on the way to it lets nothing through", a.Tuning.SourceShows)
	}
	return err
}

// describeSource shows what a source has, or one segment of it.
func (a *Commands) describeSource(ctx context.Context, s catalogue.Source, src segment.Source, only string) (answer *protocol.SourceAnswer, err error) {
	err = a.inTime(ctx, func(ctx context.Context) error {
		answer, err = whatItHas(ctx, s, src, only)
		if err == nil {
			addSamples(ctx, src, answer.SegmentList)
		}
		return err
	})
	if err != nil {
		return nil, sourceRefusal(s.Name, err)
	}
	return answer, nil
}

func whatItHas(ctx context.Context, s catalogue.Source, src segment.Source, only string) (*protocol.SourceAnswer, error) {
	answer := &protocol.SourceAnswer{Source: s, SegmentList: []protocol.SegmentAnswer{}}
	if only != "" {
		info, err := src.Describe(ctx, only)
		if err != nil && !errors.Is(err, segment.ErrEmpty) {
			return nil, err
		}
		info.Name = only
		answer.SegmentList = append(answer.SegmentList, segmentAnswer(info, err))
		return answer, nil
	}
	segments, err := src.Segments(ctx)
	if err != nil {
		return nil, err
	}
	if more := len(segments) - mostSegments; more > 0 {
		answer.Notes = append(answer.Notes, fmt.Sprintf("%d more segments are left out; see one with: starter source show %q --segment NAME", more, s.Name))
		segments = segments[:mostSegments]
	}
	until := time.Now().Add(describing)
	for _, i := range segments {
		var failed error
		if len(i.Fields) == 0 && time.Now().Before(until) {
			var described segment.Info
			if described, failed = src.Describe(ctx, i.Name); failed == nil {
				i.Fields = described.Fields
			}
		}
		answer.SegmentList = append(answer.SegmentList, segmentAnswer(i, failed))
	}
	foldFields(answer)
	if t, ok := src.(segment.Tester); ok && len(segments) == 0 {
		if answer.Notes, err = whyEmpty(ctx, t); err != nil {
			return nil, err
		}
	}
	return answer, ctx.Err()
}

const (
	// sampling is how long segments are looked into one by one.
	sampling = 5 * time.Second
	// mostSampled is of how many segments rows are shown, mostCells how many
	// values of a row, and mostCell how many characters of a value.
	mostSampled, mostCells, mostCell = 20, 20, 60
)

// addSamples adds how the source takes each segment, and its first rows.
func addSamples(ctx context.Context, src segment.Source, all []protocol.SegmentAnswer) {
	s, ok := src.(segment.Sampler)
	if !ok {
		return
	}
	until := time.Now().Add(sampling)
	for i := range all[:min(len(all), mostSampled)] {
		if all[i].Error != "" || ctx.Err() != nil || time.Now().After(until) {
			continue
		}
		sample, err := s.Sample(ctx, all[i].Name)
		if err != nil && !errors.Is(err, segment.ErrEmpty) && ctx.Err() == nil {
			all[i].Error = err.Error()
		}
		all[i].How, all[i].Looked, all[i].Problems = sample.How, sample.Looked, sample.Problems
		for _, row := range sample.Rows {
			cells := make([]string, min(len(row), mostCells))
			for c := range cells {
				if cells[c] = row[c]; utf8.RuneCountInString(row[c]) > mostCell {
					cells[c] = string([]rune(row[c])[:mostCell]) + "…"
				}
			}
			all[i].Rows = append(all[i].Rows, cells)
		}
	}
}

// withoutRows takes away what not everybody may see.
func withoutRows(answer *protocol.SourceAnswer) {
	for i := range answer.SegmentList {
		answer.SegmentList[i].Rows = nil
	}
}

// whyEmpty says what keeps a source from showing any segment, such as a missing
// permission.
func whyEmpty(ctx context.Context, t segment.Tester) ([]string, error) {
	checks, err := t.Test(ctx)
	var notes []string
	for _, c := range checks {
		if c.OK {
			continue
		}
		note := c.Name + ": " + c.Detail
		if c.Action != "" {
			note += "; " + c.Action
		}
		notes = append(notes, note)
	}
	return notes, err
}

func segmentAnswer(i segment.Info, failed error) protocol.SegmentAnswer {
	a := protocol.SegmentAnswer{Name: i.Name, Title: i.Title, Members: i.Members, RefreshedAt: i.RefreshedAt, Bytes: i.Bytes, Fields: i.Fields}
	if failed != nil {
		a.Error = failed.Error()
	}
	return a
}

// foldFields names fields once that all segments have, as those of one customer
// profile do, and leaves out what would not fit the answer.
func foldFields(answer *protocol.SourceAnswer) {
	all := answer.SegmentList
	same := len(all) > 1
	for _, s := range all {
		same = same && s.Error == "" && slices.Equal(s.Fields, all[0].Fields)
	}
	if same {
		answer.Fields = all[0].Fields
	}
	room, left := mostNames, 0
	for i := range all {
		if same {
			all[i].Fields = nil
			continue
		}
		for _, name := range all[i].Fields {
			room -= len(name)
		}
		if room < 0 || len(all[i].Fields) == 0 && all[i].Error == "" {
			all[i].Fields = nil
			left++
		}
	}
	if left > 0 {
		answer.Notes = append(answer.Notes, fmt.Sprintf("the fields of %d segments are left out; see those of one with: starter source show %q --segment NAME", left, answer.Name))
	}
}

// sourceTest looks whether runs would work: login, permissions and one page.
func (a *Commands) sourceTest(ctx context.Context, _ command.Caller, args protocol.Named) (any, error) {
	s, o, err := record.Find[catalogue.Source](ctx, a.Store, catalogue.KindSource, args.Name)
	if err != nil {
		return nil, err
	}
	tested := &protocol.SourceTested{Name: s.Name}
	secret, err := a.Connect().Credential(&s, o.Sealed)
	if err != nil {
		tested.Checks = []segment.Check{failedCheck("credential", err)}
		return tested, nil
	}
	src, err := a.OpenSource(s, secret)
	if err != nil {
		tested.Checks = []segment.Check{failedCheck("settings", err)}
		return tested, nil
	}
	err = a.inTime(ctx, func(ctx context.Context) error {
		if t, ok := src.(segment.Tester); ok {
			tested.Checks, err = t.Test(ctx)
		} else {
			tested.Checks = testPlainly(ctx, src)
		}
		return errors.Join(err, ctx.Err())
	})
	if err := errors.Join(err, connect.Close(src)); err != nil {
		return nil, sourceRefusal(s.Name, err)
	}
	tested.OK = !slices.ContainsFunc(tested.Checks, func(c segment.Check) bool { return !c.OK })
	return tested, nil
}

// testPlainly tests a source that does not know better by reading from it.
func testPlainly(ctx context.Context, src segment.Source) []segment.Check {
	segments, err := src.Segments(ctx)
	if err != nil {
		return []segment.Check{failedCheck("segments", err)}
	}
	checks := []segment.Check{{Name: "segments", OK: true, Detail: fmt.Sprintf("%d found", len(segments))}}
	if len(segments) == 0 {
		checks[0].Action = "put the data of a segment there"
		return checks
	}
	name := segments[0].Name
	rows, err := firstRows(ctx, src, name)
	if err != nil && !errors.Is(err, segment.ErrEmpty) {
		return append(checks, failedCheck("first page", err))
	}
	return append(checks, segment.Check{Name: "first page", OK: true, Detail: fmt.Sprintf("%d rows of segment %q read", rows, name)})
}

// firstRows reads the first rows of a segment and counts them.
func firstRows(ctx context.Context, src segment.Source, name string) (int, error) {
	const page = 100
	info, err := src.Describe(ctx, name)
	if err != nil {
		return 0, err
	}
	r, err := src.Open(ctx, name, info.Fields, nil)
	if err != nil {
		return 0, err
	}
	rows := 0
	for rows < page {
		if _, err = r.Next(); err != nil {
			break
		}
		rows++
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return rows, errors.Join(err, r.Close())
}

func failedCheck(name string, err error) segment.Check {
	c := segment.Check{Name: name, Detail: err.Error()}
	if e, ok := errors.AsType[*segment.AccessError](err); ok {
		c.Detail, c.Action = e.Message, e.Action
	}
	return c
}
