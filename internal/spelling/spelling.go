// Package spelling finds what was probably meant by a word that is not known.
package spelling

import (
	"strings"

	"github.com/xrash/smetrics"
)

// Nearest returns the candidate that looks most like what was typed; empty when
// none does.
func Nearest(typed string, candidates []string) string {
	return Within(len(typed)/2, typed, candidates)
}

// Within returns the candidate with the fewest edits from what was typed, the
// first of several, and at most so many; letter case does not count.
func Within(edits int, typed string, candidates []string) string {
	best, least := "", edits+1
	for _, c := range candidates {
		if d := smetrics.WagnerFischer(strings.ToLower(typed), strings.ToLower(c), 1, 1, 1); d < least {
			best, least = c, d
		}
	}
	return best
}
