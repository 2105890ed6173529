package cli

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/urfave/cli/v2"

	"github.com/segment-export/segment-export/internal/protocol"
)

func (s *session) rejectsCommand() *cli.Command {
	return s.leaf("runs", leaf{
		name: "rejects", args: whichRun, usage: "list the rejects of a run, with the reason of each",
		detail:  whichRunDetail + "\nThe output holds personal data. Only you can read the CSV file.",
		example: "starter runs rejects spring --csv rejects.csv",
		flags: []cli.Flag{
			&cli.StringFlag{Name: "csv", Usage: "write a CSV `FILE`, - for standard output"},
			&cli.BoolFlag{Name: "force", Usage: "replace an existing CSV file", DisableDefaultText: true},
		},
		do: s.runsRejects,
	})
}

func (s *session) retryCommand() *cli.Command {
	return s.leaf("runs", leaf{
		name: "retry-rejects", args: whichRun, usage: "run an export again, and also send refused contacts",
		detail: "Usually a contact that Omnisend refused is sent again only when its data changes. This run also sends refused\n" +
			"contacts whose data has not changed.\n" + whichRunDetail + "\n\n" + failOnHelp + "\n\n" + exitHelp,
		example: "starter runs retry-rejects spring",
		flags:   []cli.Flag{&cli.BoolFlag{Name: "detach", Usage: "return at once; the run continues", DisableDefaultText: true}, failOnFlag()},
		follows: true,
		do: func(c *cli.Context) error {
			return s.beginRun(c, order{name: protocol.RunsRetry, args: ref(c), object: ref(c).Run})
		},
	})
}

func (s *session) runsRejects(c *cli.Context) error {
	file := c.String("csv")
	if file == "" {
		return s.showRejects(c)
	}
	if file == "-" {
		return s.writeRejects(c, s.o.Out)
	}
	if !c.Bool("force") {
		if _, err := os.Lstat(file); err == nil {
			return usage("%s exists already: choose another file, or replace it with --force", file)
		}
	}
	err := private(file, c.Bool("force"), func(w io.Writer) error { return s.writeRejects(c, w) })
	if errors.Is(err, fs.ErrExist) {
		return usage("%s exists already: choose another file, or replace it with --force", file)
	}
	return err
}

// rejects gets a run's rejects page by page. Total and kept are reported
// before the first page.
func (s *session) rejects(ctx context.Context, which protocol.RunRef, take func(*protocol.RejectsPage) error) error {
	for n := 0; ; n++ {
		page, err := answer[protocol.RejectsPage](ctx, s, order{name: protocol.RunsRejects, personal: true,
			args: protocol.RejectsArgs{RunRef: which, Page: n}})
		if err != nil {
			return err
		}
		if n == 0 && page.Total > page.Kept {
			s.say("only %s of %s were kept", count(page.Kept), plural(page.Total, "reject", "rejects"))
		}
		if err := take(&page); err != nil {
			return err
		}
		if !page.More {
			return nil
		}
	}
}

// settled names the run that ref means once and for all: between two pages a
// newer one might begin.
func (s *session) settled(c *cli.Context) (protocol.RunRef, error) {
	a, err := answer[protocol.RunAnswer](c.Context, s, order{name: protocol.RunsShow, args: ref(c)})
	return protocol.RunRef{Run: a.RunID}, err
}

func (s *session) showRejects(c *cli.Context) error {
	which, err := s.settled(c)
	if err != nil {
		return err
	}
	all := []protocol.Reject{}
	err = s.rejects(c.Context, which, func(p *protocol.RejectsPage) error {
		all = append(all, p.Rejects...)
		return nil
	})
	if err != nil {
		return err
	}
	raw, err := json.Marshal(all)
	if err != nil {
		return err
	}
	return s.print(raw, func(p *page) {
		if len(all) == 0 {
			p.line("Run %s has no rejects", which.Run)
			return
		}
		var rows [][]any
		for _, r := range all {
			rows = append(rows, []any{r.Segment, row(r), r.ID, r.Email, because(r), verdict(r)})
		}
		p.table([]string{"segment", "row", "id", "email", "reason", "verdict"}, rows)
	})
}

// because is the reason, with Omnisend's own words where there are some.
func because(r protocol.Reject) string {
	if r.Said == "" {
		return r.Reason
	}
	return r.Reason + ": " + r.Said
}

func verdict(r protocol.Reject) string {
	if r.Refused {
		return "refused by Omnisend"
	}
	return "not sent"
}

// row is the line of the file; empty for a contact that is in several.
func row(r protocol.Reject) string {
	if r.Row == 0 {
		return ""
	}
	return strconv.FormatInt(r.Row, 10)
}

func (s *session) writeRejects(c *cli.Context, w io.Writer) error {
	which, err := s.settled(c)
	if err != nil {
		return err
	}
	out := csv.NewWriter(w)
	if err := out.Write([]string{"segment", "row", "id", "email", "reason", "refused", "said"}); err != nil {
		return err
	}
	n := 0
	err = s.rejects(c.Context, which, func(p *protocol.RejectsPage) error {
		for _, r := range p.Rejects {
			n++
			if err := out.Write([]string{inert(r.Segment), row(r), inert(r.ID), inert(r.Email), inert(r.Reason), strconv.FormatBool(r.Refused), inert(r.Said)}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	if out.Flush(); out.Error() != nil {
		return out.Error()
	}
	s.say("wrote %s of run %s", plural(n, "reject", "rejects"), which.Run)
	return nil
}

// formulaStarts are the characters that make a spreadsheet read a value as a
// formula, full-width ones included: some versions treat them alike.
const formulaStarts = "=+-@\t\r\n|%＝＋－＠｜％"

// inert keeps a spreadsheet from taking a value for a formula: such values get
// an apostrophe in front.
func inert(value string) string {
	if first, _ := utf8.DecodeRuneInString(value); value != "" && strings.ContainsRune(formulaStarts, first) {
		return "'" + value
	}
	return value
}

// private makes a file that only its owner may read: whole, or not at all.
// Without replace it never takes the place of another.
func private(path string, replace bool, write func(io.Writer) error) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*.tmp") // made with 0600
	if err != nil {
		return usage("--csv: %v", err)
	}
	defer func() {
		// Gone already when all went well.
		_ = os.Remove(f.Name())
	}()
	if err := errors.Join(write(f), f.Close()); err != nil {
		return err
	}
	if replace {
		err = os.Rename(f.Name(), path)
	} else {
		err = os.Link(f.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}
