package command

// The names of the commands of introduction.
const (
	Hello  = "hello" // the worker's public key; needs no proof
	WhoAmI = "whoami"
)

// HelloAnswer tells who is at the other end.
type HelloAnswer struct {
	PublicKey   string `json:"public_key"`
	Fingerprint string `json:"fingerprint"`
}

// WhoAmIAnswer tells who the worker takes the caller for.
type WhoAmIAnswer struct {
	Name string `json:"name"`
	Role string `json:"role"`
}

// Named selects an object by name.
type Named struct {
	Name string `json:"name"`
}
