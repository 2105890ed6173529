package command

import (
	"github.com/segment-export/segment-export/internal/catalogue"
)

// The names of the commands about sources.
const (
	SourceAdd    = "source add"
	SourceList   = "source list"
	SourceShow   = "source show"
	SourceRemove = "source remove"
)

// SourceAddArgs are the arguments of source add.
type SourceAddArgs struct {
	Name string `json:"name"`
	Kind string `json:"kind"`
	Path string `json:"path"` // below the worker's files root
}

// About names nothing that is there yet.
func (SourceAddArgs) About(string) []Subject { return nil }

// SourceAnswer shows a source and what it has.
type SourceAnswer struct {
	catalogue.Source
	SegmentList []SegmentAnswer `json:"segments"`
}

// SegmentAnswer shows one segment of a source.
type SegmentAnswer struct {
	Name   string   `json:"name"`
	Fields []string `json:"fields,omitempty"`
	Bytes  int64    `json:"bytes"`
	Error  string   `json:"error,omitempty"` // why it cannot be read
}
