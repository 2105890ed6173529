package segment

import "context"

// Sample is what the start of a segment shows, to people who look whether it is
// taken for what it is.
type Sample struct {
	How      []string        // format, encoding, separator, header, parts: a few words each, no value of a row
	Looked   int             // rows that were looked at
	Problems map[Problem]int // what was wrong with some of them
	Rows     [][]string      // the first rows without a problem, three at most: all fields, in the order of Info.Fields
}

// Sampler is a Source that has to guess how some segments are written, and says
// how it reads them.
type Sampler interface {
	// Sample looks at the first rows of a segment. Beside an error it returns
	// what it has found until then.
	Sample(ctx context.Context, segment string) (Sample, error)
}
