package store

import "context"

// Place is a kind of place where something sealed is kept.
type Place string

// The places.
const (
	PlaceObject Place = "object" // Name the kind, Part the name
	PlaceShard  Place = "shard"  // Name the export, Seq the shard
	PlaceNote   Place = "note"   // Name the export
	PlaceBlob   Place = "blob"   // Name the run, Part the kind, Group and Seq
)

// Sealed is something that was sealed, where it is kept.
type Sealed struct {
	Name  string
	Part  string
	Group int
	Seq   int
	Data  []byte
}

// Resealing goes through all that is sealed, so that it can be sealed again while
// workers run.
type Resealing interface {
	// SealedAt returns what is kept at a kind of place, in a fixed order, from
	// the first one after the given one on; the zero value is before all.
	SealedAt(ctx context.Context, place Place, after Sealed, limit int) ([]Sealed, error)
	// Reseal puts data in the place of s if that is still what it was, and says
	// whether it did.
	Reseal(ctx context.Context, place Place, s Sealed, data []byte) (bool, error)
}
