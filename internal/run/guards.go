package run

import (
	"fmt"
	"time"

	"github.com/dustin/go-humanize"

	"github.com/segment-export/segment-export/internal/catalogue"
)

// GuardResult is a guard that asks an operator before anything is sent.
type GuardResult struct {
	Guard   catalogue.Guard `json:"guard"`
	Message string          `json:"message"`
	Value   float64         `json:"value"` // what was found, as a part from 0 to 1
	Limit   float64         `json:"limit"` // what would have passed
}

// defaults are the thresholds of guards that an export does not set.
var defaults = map[catalogue.Guard]catalogue.Threshold{
	catalogue.GuardShrunk:  0.20,
	catalogue.GuardInvalid: 0.20,
	catalogue.GuardLeavers: 0.20,
}

// fewest is how many contacts (or rows) there must be before a percentage
// says anything: of five rows, two invalid ones are an accident.
const fewest = 100

// Facts are the numbers that guards look at.
type Facts struct {
	FirstRun bool // nothing was ever confirmed for this export
	Report   *Report
	LastRead int     // contacts of the last complete read; 0 when there was none
	Ledger   int     // contacts in the ledger that carry a marker
	Minutes  float64 // that the calls take at the connection's share; 0 without a limit
	Calls    int     // calls that the run would take
}

// CheckGuards returns the guards that ask, in a fixed order. A cause asks once:
// contacts missing because the segment shrank are not counted by the guard
// leavers again, nor an empty segment by the guard shrunk.
func CheckGuards(f Facts, thresholds map[catalogue.Guard]catalogue.Threshold) []GuardResult {
	limit := func(g catalogue.Guard) float64 {
		if t, ok := thresholds[g]; ok {
			return float64(t)
		}
		return float64(defaults[g])
	}
	r := f.Report
	var asks []GuardResult
	add := func(g catalogue.Guard, value float64, format string, args ...any) {
		asks = append(asks, GuardResult{Guard: g, Value: value, Limit: limit(g), Message: fmt.Sprintf(format, args...)})
	}
	for _, s := range r.Segments {
		if s.Read == 0 && limit(catalogue.GuardEmpty) < 1 {
			add(catalogue.GuardEmpty, 1, "segment %s has no rows at all; %s contacts carry this export's markers now", s.Segment, count(f.Ledger))
			break
		}
	}
	empty := len(asks) > 0
	missing := max(0, f.LastRead-r.Contacts)
	if f.LastRead >= fewest && !empty {
		if part := float64(missing) / float64(f.LastRead); part > limit(catalogue.GuardShrunk) {
			add(catalogue.GuardShrunk, part, "%s contacts were read, %.0f %% fewer than the %s of the last complete read",
				count(r.Contacts), 100*part, count(f.LastRead))
		}
	}
	if r.Read >= fewest {
		if part := float64(r.Invalid) / float64(r.Read); part > limit(catalogue.GuardInvalid) {
			add(catalogue.GuardInvalid, part, "%s of %s rows are invalid (%.0f %%)", count(r.Invalid), count(r.Read), 100*part)
		}
	}
	if f.Ledger >= fewest && !empty {
		replaced := max(0, r.LeaversDue-missing)
		if part := float64(replaced) / float64(f.Ledger); part > limit(catalogue.GuardLeavers) {
			add(catalogue.GuardLeavers, part, "%s contacts would lose their marker, %s of them replaced by others (%.0f %% of %s)",
				count(r.LeaversDue), count(replaced), 100*part, count(f.Ledger))
		}
	}
	if f.FirstRun && r.ToSend > 0 {
		lasts := ""
		if f.Minutes > 0 {
			lasts = fmt.Sprintf(" (about %s)", time.Duration(f.Minutes*float64(time.Minute)).Round(time.Second))
		}
		add(catalogue.GuardFirstRun, 1,
			"the first run would send %s contacts, %s of them as subscribed, in %s calls%s; they may count as billable at Omnisend and may start its automations",
			count(r.ToSend), count(r.Consent.Subscribed), count(f.Calls), lasts)
	}
	return asks
}

// count writes a number with its thousands separated, so that a million is seen.
func count(n int) string { return humanize.Comma(int64(n)) }
