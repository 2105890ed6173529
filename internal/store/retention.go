package store

import (
	"context"
	"time"
)

// Forgotten keeps digests of addresses that must not be carried again.
type Forgotten interface {
	// Forget keeps a digest; one that is kept already stays as it is.
	Forget(ctx context.Context, digest []byte) error
	// AllowAgain removes a digest, and says whether it was there.
	AllowAgain(ctx context.Context, digest []byte) (bool, error)
	// Forgotten returns all digests, sorted.
	Forgotten(ctx context.Context) ([][]byte, error)
}

// Retention removes what is older than anybody needs it. Each method says how
// much it removed, and does at most a bounded part in one transaction.
type Retention interface {
	// ExpireCalls removes the calls of runs that ended before the given time. Those
	// that are unsettled or not in the ledger stay.
	ExpireCalls(ctx context.Context, before time.Time) (int, error)
	// ExpireRuns removes runs that ended before the given time with all that is
	// kept of them. The newest run and the newest plan of each export stay, and so
	// do runs with calls that are unsettled or not in the ledger.
	ExpireRuns(ctx context.Context, before time.Time) (int, error)
	// ExpireCommands removes the record of which commands were carried out. Keep
	// it for longer than a command's proof is taken.
	ExpireCommands(ctx context.Context, before time.Time) (int, error)
	// ExpireAudit removes entries with the changes that belong to them.
	ExpireAudit(ctx context.Context, before time.Time) (int, error)
}
