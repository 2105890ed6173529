package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/urfave/cli/v2"

	"github.com/segment-export/segment-export/internal/access"
	"github.com/segment-export/segment-export/internal/build"
	"github.com/segment-export/segment-export/internal/catalogue"
	"github.com/segment-export/segment-export/internal/protocol"
)

func (s *session) doctorCommand() *cli.Command {
	return s.leaf("", leaf{
		name: "doctor", usage: "check the whole installation and say what to do about each problem",
		detail: `Checks in this order: settings, server, identity, worker, clock, store, disk, API key of each connection, and each
source. It changes nothing and sends no contact. A check that needs a failed one, or a higher role, is skipped.

The exit code is 1 when there is a problem; warnings do not change it.`,
		example: "starter doctor\nstarter doctor --output json",
		do:      s.doctor,
	})
}

// The results of a check.
const (
	resultOK      = "ok"
	resultWarning = "warning"
	resultProblem = "problem"
	resultSkipped = "skipped"
)

// finding is what one check of the doctor found.
type finding struct {
	Check  string `json:"check"`
	Result string `json:"result"`
	Detail string `json:"detail"`
	Action string `json:"action,omitempty"` // what to do about it
}

// diagnosis is all that the doctor found.
type diagnosis struct {
	OK       bool      `json:"ok"` // there is no problem
	Findings []finding `json:"checks"`
}

func (d *diagnosis) add(check, result, detail, action string) {
	d.OK = d.OK && result != resultProblem
	d.Findings = append(d.Findings, finding{check, result, detail, action})
}

func (s *session) doctor(c *cli.Context) error {
	d := &diagnosis{OK: true}
	if err := s.examine(c.Context, d); err != nil {
		return err
	}
	raw, err := json.Marshal(d)
	if err == nil {
		err = s.print(raw, func(p *page) { doctorPage(p, d) })
	}
	if err == nil && !d.OK {
		return ended(exitFailed)
	}
	return err
}

// examine makes the checks. Its error is for what stopped them: the end of ctx.
func (s *session) examine(ctx context.Context, d *diagnosis) error {
	if s.connects(ctx, d) && s.identified(ctx, d) {
		if status := s.answering(ctx, d); status != nil {
			s.examineStatus(d, status)
			s.examineConnections(ctx, d)
			s.examineSources(ctx, d)
			for _, a := range status.Attend {
				d.add(strings.TrimSpace("attention "+a.Export+a.Connection+a.Alert), resultWarning, a.Reason, a.Action)
			}
		}
	}
	return ctx.Err()
}

// connects checks the settings and the server.
func (s *session) connects(ctx context.Context, d *diagnosis) bool {
	server, err := s.o.Connect(ctx, s.verbose)
	switch {
	case isClass(err, protocol.ErrUsage):
		d.add("settings", resultProblem, err.Error(), "correct the variable or the file that the message names")
		return false
	case err != nil:
		d.add("settings", resultOK, "they can be read", "")
		d.add("server", resultProblem, err.Error(), "start the server, or set TEMPORAL_ADDRESS and TEMPORAL_NAMESPACE")
		return false
	}
	s.server = server
	d.add("settings", resultOK, "they can be read", "")
	d.add("server", resultOK, "Temporal answers at "+server.Where(), "")
	return true
}

// identified checks that there is something to prove who gives the commands.
func (s *session) identified(ctx context.Context, d *diagnosis) bool {
	err := s.ready(ctx)
	switch {
	case isClass(err, classNoWorker, classNoServer): // a token needs the worker's key
		d.add("worker", resultProblem, err.Error(), workerAction)
	case err != nil:
		d.add("identity", resultProblem, err.Error(), "set SEGMENT_EXPORT_DATA_DIR to the worker's data directory, or set a token in "+tokenVariable)
	}
	return err == nil
}

const workerAction = "start a worker (standalone, or worker) and look at its log: it says why it stopped"

// answering checks that a worker answers and accepts the identity; nil when not.
func (s *session) answering(ctx context.Context, d *diagnosis) *protocol.StatusAnswer {
	before := s.o.Now()
	who, err := answer[protocol.WhoAmIAnswer](ctx, s, order{name: protocol.WhoAmI})
	switch {
	case isClass(err, classNoWorker, classNoServer):
		d.add("worker", resultProblem, err.Error(), workerAction)
		return nil
	case isClass(err, protocol.ErrNotAllowed):
		d.add("identity", resultProblem, err.Error(), "compare the clocks of both machines, then ask an administrator: starter access list")
		return nil
	case err != nil:
		d.add("worker", resultProblem, err.Error(), "look at the worker's log")
		return nil
	}
	d.add("identity", resultOK, fmt.Sprintf("the worker knows you as %s, %s", who.Name, who.Role), "")
	status, err := answer[protocol.StatusAnswer](ctx, s, order{name: protocol.Status})
	if err != nil {
		d.add("store", resultProblem, err.Error(), "look at the worker's log: the store does not answer")
		return nil
	}
	d.clock(status.At, before, s.o.Now())
	return &status
}

// mostSkew is the difference between two clocks from which commands will soon
// be refused.
const mostSkew = access.ProofWindow / 2

// clock compares the store's time with the times before and after the question.
func (d *diagnosis) clock(at, before, after time.Time) {
	skew := max(before.Sub(at), at.Sub(after), 0)
	if skew > mostSkew {
		d.add("clock", resultProblem, fmt.Sprintf("this machine and the store differ by %s", duration(skew)),
			fmt.Sprintf("set both clocks by NTP: commands are refused when they differ by more than %s", duration(access.ProofWindow)))
		return
	}
	d.add("clock", resultOK, "it agrees with the store's", "")
}

// leastFree is the part of a disk below which it is worth a warning.
const leastFree = 0.1

func (s *session) examineStatus(d *diagnosis, a *protocol.StatusAnswer) {
	builds := map[string]bool{}
	for _, w := range a.Workers {
		if w.Build != "" {
			builds[w.Build] = true
		}
	}
	detail := fmt.Sprintf("%s, %s", plural(len(a.Workers), "worker is running", "workers are running"), backlog(a.Backlog))
	switch {
	case len(builds) > 1:
		d.add("worker", resultWarning, detail+"; they are of different builds", "finish the upgrade: all workers should be of the same build")
	case a.Backlog.Age > time.Minute:
		d.add("worker", resultWarning, detail, "the workers do not keep up, or hang: look at their logs, or start another one")
	default:
		d.add("worker", resultOK, detail, "")
	}
	if a.Version != build.Version() {
		d.add("build", resultWarning, fmt.Sprintf("the worker is %s, this command line is %s", a.Version, build.Version()), "use the same release for both")
	} else {
		d.add("build", resultOK, a.Version, "")
	}
	d.add("store", resultOK, fmt.Sprintf("it answers; %s", plural(len(a.Exports), "export", "exports")), "")
	for _, p := range a.Problems {
		d.add("status", resultWarning, p, "look at the Temporal server's log")
	}
	switch {
	case a.Disk == nil:
		d.add("disk", resultSkipped, "the worker does not report it", "")
	case float64(a.Disk.Free) < leastFree*float64(a.Disk.Size):
		d.add("disk", resultProblem, diskDetail(a.Disk), "free some space, or move the data directory: a full disk stops every run")
	default:
		d.add("disk", resultOK, diskDetail(a.Disk), "")
	}
}

func diskDetail(a *protocol.DiskStatus) string {
	return fmt.Sprintf("%s of %s are free in the worker's data directory", humanize.IBytes(uint64(a.Free)), humanize.IBytes(uint64(a.Size)))
}

// listed asks for the names of all objects of a kind. Without the right to see
// them their check is skipped.
func (s *session) listed(ctx context.Context, d *diagnosis, kind catalogue.Kind, check, add string) []string {
	found, err := s.objects(ctx, kind)
	switch {
	case isClass(err, protocol.ErrNotAllowed):
		d.add(check, resultSkipped, err.Error(), "")
	case err != nil:
		d.add(check, resultProblem, err.Error(), "look at the worker's log")
	case len(found) == 0:
		d.add(check, resultWarning, fmt.Sprintf("there is no %s yet", kind), add)
	}
	return slices.Sorted(maps.Keys(found))
}

func (s *session) examineConnections(ctx context.Context, d *diagnosis) {
	for _, name := range s.listed(ctx, d, catalogue.KindConnection, "key", "add one: starter connection add NAME, or starter init") {
		check := "key of " + name
		tested, err := answer[protocol.ConnectionTested](ctx, s, order{name: protocol.ConnectionTest, args: protocol.Named{Name: name}, object: name})
		switch {
		case isClass(err, protocol.ErrNotAllowed):
			d.add(check, resultSkipped, err.Error(), "")
		case err != nil:
			d.add(check, resultProblem, err.Error(), fmt.Sprintf("replace the key: starter connection rotate-key %q", name))
		default:
			d.add(check, resultOK, strings.TrimSpace("Omnisend accepts it for brand "+or(tested.BrandName, tested.BrandID)), "")
		}
	}
}

func (s *session) examineSources(ctx context.Context, d *diagnosis) {
	for _, name := range s.listed(ctx, d, catalogue.KindSource, "source", "add one: starter source add NAME, or starter init") {
		check := "source " + name
		tested, err := answer[protocol.SourceTested](ctx, s, order{name: protocol.SourceTest, args: protocol.Named{Name: name}, object: name, personal: true})
		switch {
		case isClass(err, protocol.ErrNotAllowed):
			d.add(check, resultSkipped, err.Error(), "")
			continue
		case err != nil:
			d.add(check, resultProblem, err.Error(), fmt.Sprintf("see: starter source test %q", name))
			continue
		case tested.OK:
			d.add(check, resultOK, plural(len(tested.Checks), "check passed", "checks passed"), "")
		}
		for _, one := range tested.Checks {
			if !one.OK {
				d.add(check, resultProblem, one.Name+": "+one.Detail, or(one.Action, fmt.Sprintf("see: starter source test %q", name)))
			}
		}
	}
}

func doctorPage(p *page, d *diagnosis) {
	problems, warnings := 0, 0
	for _, f := range d.Findings {
		p.line("%-8s %s: %s", f.Result, f.Check, f.Detail)
		if f.Action != "" {
			p.line("         -> %s", f.Action)
		}
		switch f.Result {
		case resultProblem:
			problems++
		case resultWarning:
			warnings++
		}
	}
	p.line("")
	if problems+warnings == 0 {
		p.line("No problems found")
		return
	}
	p.line("%s, %s", plural(problems, "problem", "problems"), plural(warnings, "warning", "warnings"))
}
