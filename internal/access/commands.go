package access

import "github.com/segment-export/segment-export/internal/catalogue"

// KindRun is the kind of a subject that is a run: an id, the beginning of one,
// or an export's name.
const KindRun catalogue.Kind = "run"

// Command specifies a command: who may give it, and what the worker does around
// its handler follows from it.
type Command struct {
	Name string
	// Role is the least role that may give it. Where a higher role sees more of
	// the same answer, the handler decides that.
	Role Role
	// Reads is set for a command that changes nothing.
	Reads bool
	// Reveals is set for a command that reads, and shows something personal of
	// customers: the audit has an entry of it, as of each that changes something.
	Reveals bool
	// Personal is set when the answer holds personal data: it travels sealed.
	Personal bool
	// About lists the kinds of objects that the command is about: a contributor
	// must be allowed to use each of them.
	About []catalogue.Kind
}

type kinds = []catalogue.Kind

const (
	alert      = catalogue.KindAlert
	connection = catalogue.KindConnection
	export     = catalogue.KindExport
	source     = catalogue.KindSource
	run        = KindRun
)

// Commands are all commands, the only place where their rights are decided. A
// command that is not here is not carried out.
var Commands = []Command{
	{Name: "hello", Role: Nobody, Reads: true}, // how a worker introduces itself
	{Name: "whoami", Role: Viewer, Reads: true},
	{Name: "status", Role: Viewer, Reads: true},
	{Name: "overview", Role: Viewer, Reads: true},
	{Name: "export list", Role: Viewer, Reads: true},
	{Name: "export show", Role: Viewer, Reads: true, About: kinds{export}},
	{Name: "runs list", Role: Viewer, Reads: true},
	{Name: "alert list", Role: Viewer, Reads: true},
	{Name: "alert show", Role: Viewer, Reads: true, About: kinds{alert}},
	{Name: "runs show", Role: Viewer, Reads: true, About: kinds{run}},
	{Name: "schedule show", Role: Viewer, Reads: true, About: kinds{export}},
	{Name: "refresh show", Role: Viewer, Reads: true},
	{Name: "source list", Role: Contributor, Reads: true},
	{Name: "source show", Role: Contributor, Reads: true, About: kinds{source}},
	{Name: "source test", Role: Contributor, Reads: true, Reveals: true, About: kinds{source}},
	{Name: "connection list", Role: Contributor, Reads: true},
	{Name: "connection show", Role: Contributor, Reads: true, About: kinds{connection}},
	{Name: "export add", Role: Contributor, About: kinds{source, connection}},
	{Name: "export edit", Role: Contributor, About: kinds{export, source, connection}},
	{Name: "export check", Role: Contributor, Reads: true, About: kinds{source, connection}},
	{Name: "export preview", Role: Contributor, Reads: true, Reveals: true, Personal: true, About: kinds{source, connection}},
	{Name: "export duplicate", Role: Contributor, About: kinds{export}},
	{Name: "export attach", Role: Contributor, About: kinds{export, connection}},
	{Name: "export detach", Role: Contributor, About: kinds{export}},
	{Name: "export remove", Role: Contributor, About: kinds{export}},
	{Name: "export reset-ledger", Role: Contributor, About: kinds{export}},
	{Name: "plan", Role: Contributor, About: kinds{export}},
	{Name: "run", Role: Contributor, About: kinds{export}},
	{Name: "run all", Role: Contributor}, // of those that they may run
	{Name: "runs pause", Role: Contributor, About: kinds{run}},
	{Name: "runs resume", Role: Contributor, About: kinds{run}},
	{Name: "runs approve", Role: Contributor, About: kinds{run}},
	{Name: "runs cancel", Role: Contributor, About: kinds{run}},
	{Name: "runs abandon", Role: Contributor, About: kinds{run}},
	{Name: "runs retry-rejects", Role: Contributor, About: kinds{run}},
	{Name: "samples", Role: Contributor, Reads: true, Reveals: true, Personal: true, About: kinds{run}},
	{Name: "explain", Role: Contributor, Reads: true, Reveals: true, Personal: true},
	{Name: "verify", Role: Contributor, About: kinds{export}},
	{Name: "verify result", Role: Contributor, Reads: true, Reveals: true, Personal: true, About: kinds{export}},
	{Name: "runs rejects", Role: Contributor, Reads: true, Reveals: true, Personal: true, About: kinds{run}},
	{Name: "schedule set", Role: Contributor, About: kinds{export}},
	{Name: "schedule on", Role: Contributor, About: kinds{export}},
	{Name: "schedule off", Role: Contributor, About: kinds{export}},
	{Name: "schedule follow-refresh", Role: Contributor, About: kinds{export}},
	{Name: "refresh set", Role: Admin},
	{Name: "refresh on", Role: Admin},
	{Name: "refresh off", Role: Admin},
	{Name: "refresh now", Role: Admin},
	{Name: "forget", Role: Admin, Personal: true}, // erases, and overrides every export
	{Name: "alert add", Role: Admin},
	{Name: "alert edit", Role: Admin, About: kinds{alert}},
	{Name: "alert remove", Role: Admin, About: kinds{alert}},
	{Name: "alert test", Role: Admin, About: kinds{alert}},
	{Name: "source add", Role: Admin},
	{Name: "source edit", Role: Admin, About: kinds{source}},
	{Name: "source share", Role: Admin, About: kinds{source}},
	{Name: "source owner", Role: Admin, About: kinds{source}},
	{Name: "source remove", Role: Admin, About: kinds{source}},
	{Name: "connection add", Role: Admin},
	{Name: "connection edit", Role: Admin, About: kinds{connection}},
	{Name: "connection test", Role: Admin, Reads: true, About: kinds{connection}},
	{Name: "connection stop", Role: Admin, About: kinds{connection}},
	{Name: "connection start", Role: Admin, About: kinds{connection}},
	{Name: "connection resume", Role: Admin, About: kinds{connection}},
	{Name: "connection rotate-key", Role: Admin, About: kinds{connection}},
	{Name: "connection share", Role: Admin, About: kinds{connection}},
	{Name: "connection remove", Role: Admin, About: kinds{connection}},
	{Name: "access list", Role: Admin, Reads: true, Personal: true},
	{Name: "access revoke", Role: Admin, Personal: true},
	{Name: "access restore", Role: Admin, Personal: true},
	{Name: "audit", Role: Admin, Reads: true, Personal: true},
}

// Audited says that the audit has an entry of the command.
func (c Command) Audited() bool { return !c.Reads || c.Reveals }

var byName = func() map[string]Command {
	all := make(map[string]Command, len(Commands))
	for _, c := range Commands {
		all[c.Name] = c
	}
	return all
}()

// Specified returns the specification of a command, and whether there is such a
// command.
func Specified(name string) (Command, bool) {
	c, ok := byName[name]
	return c, ok
}
