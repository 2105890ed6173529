package sqlstore

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/segment-export/segment-export/internal/store"
)

const callColumns = `origin, run, export, brand, batch, first, contacts, is_new, is_changed, is_leaver, state, batch_id,
	intended_at, answered_at, new_ok, changed_ok, leaver_ok, verdict, folded`

// The conditions on state and folded are written as in the indexes that serve
// them; SQLite would not use them otherwise.
var (
	insertCall = inTx(`INSERT INTO calls
		(origin, run, export, brand, batch, first, contacts, is_new, is_changed, is_leaver, state, intended_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 'intended', $11) ON CONFLICT (origin) DO NOTHING`)
	answerCall = inTx(`UPDATE calls SET state = 'answered', batch_id = $2, answered_at = $3
		WHERE origin = $1 AND state = 'intended'`)
	callState = inTx(`SELECT state FROM calls WHERE origin = $1`)

	// One statement for all verdicts, passed as JSON: a statement for each would
	// be a round trip for each. It does not ask for the run, which the origins
	// imply: SQLite would go through all calls of the run for each verdict.
	settleCalls = inTx(`UPDATE calls SET state = v.state, new_ok = v.new_ok, changed_ok = v.changed_ok,
		leaver_ok = v.leaver_ok, refused = v.refused, verdict = v.verdict
		FROM (SELECT value->>'o' AS origin, value->>'s' AS state, CAST(value->>'n' AS BIGINT) AS new_ok,
			CAST(value->>'c' AS BIGINT) AS changed_ok, CAST(value->>'l' AS BIGINT) AS leaver_ok,
			CAST(value->>'r' AS BIGINT) AS refused, value->>'v' AS verdict
			FROM jsonb_array_elements(CAST($1 AS jsonb))) AS v
		WHERE calls.origin = v.origin AND calls.state IN ('intended', 'answered')`)
	foldCalls = inTx(`UPDATE calls SET folded = 1 WHERE state = 'settled' AND origin IN
		(SELECT value->>'o' FROM jsonb_array_elements(CAST($1 AS jsonb)))`)

	selectBatch = reading(`SELECT ` + callColumns + ` FROM calls WHERE run = $1 AND batch = $2
		ORDER BY first, intended_at, origin`)
	selectUnsettled = reading(`SELECT ` + callColumns + ` FROM calls
		WHERE brand = $1 AND state IN ('intended', 'answered') AND ($2 = '' OR run = $2)
		ORDER BY intended_at, batch, first LIMIT $3`)
	selectSettled = reading(`SELECT ` + callColumns + ` FROM calls WHERE run = $1 AND state = 'settled' AND folded = 0
		ORDER BY batch, first, intended_at, origin`)
	selectTotals = reading(`SELECT COUNT(*),
		COALESCE(SUM(CASE WHEN state IN ('intended', 'answered') THEN 1 ELSE 0 END), 0),
		COALESCE(SUM(CASE WHEN state IN ('intended', 'answered') THEN contacts - is_leaver ELSE 0 END), 0),
		COALESCE(SUM(CASE WHEN state = 'settled' THEN new_ok ELSE 0 END), 0),
		COALESCE(SUM(CASE WHEN state = 'settled' THEN changed_ok ELSE 0 END), 0),
		COALESCE(SUM(CASE WHEN state = 'settled' THEN leaver_ok ELSE 0 END), 0),
		COALESCE(SUM(CASE WHEN state = 'settled' AND is_leaver = 0 THEN refused ELSE 0 END), 0),
		COALESCE(SUM(CASE WHEN state = 'settled' AND is_leaver > 0 THEN refused ELSE 0 END), 0)
		FROM calls WHERE run = $1`)
	// From run to run by the index: a run on its way has as many calls that are not
	// folded as it has made, and each of its batches asks.
	selectUnfolded = reading(`WITH RECURSIVE unfolded(run) AS (
		SELECT MIN(run) FROM calls WHERE brand = $1 AND folded = 0 AND state <> 'void'
		UNION ALL
		SELECT (SELECT MIN(run) FROM calls WHERE brand = $1 AND folded = 0 AND state <> 'void' AND run > unfolded.run)
		FROM unfolded WHERE unfolded.run IS NOT NULL)
		SELECT id FROM runs WHERE ended_at > 0 AND id IN (SELECT run FROM unfolded) ORDER BY created_at, id`)
)

// IntendCalls records calls about to be made, and the answer of the one before.
func (s *Store) IntendCalls(ctx context.Context, lease store.Lease, answered *store.Call, next ...store.Call) error {
	return s.update(ctx, "recording calls", func(t tx) error {
		if err := t.holds(ctx, lease); err != nil {
			return err
		}
		now, err := t.now(ctx)
		if err != nil {
			return err
		}
		if answered != nil {
			if err := t.answer(ctx, answered, now); err != nil {
				return err
			}
		}
		for i := range next {
			c := &next[i]
			if err := t.open(ctx, c.Run); err != nil {
				return err
			}
			has, err := t.takeTurn(ctx, c.Brand, c.Run)
			if err != nil {
				return err
			}
			if !has {
				return fmt.Errorf("another run has the turn of the brand %s: %w", c.Brand, store.ErrFenced)
			}
			_, err = t.exec(ctx, insertCall, c.Origin, c.Run, c.Export, c.Brand, c.Batch, c.First, c.Count,
				c.New, c.Changed, c.Leavers, now)
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// open fences calls of a run that has ended: its end dropped what they hold.
func (t tx) open(ctx context.Context, run string) error {
	var endedAt int64
	err := t.row(ctx, runEnded, run).Scan(&endedAt)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err == nil && endedAt > 0 {
		return fmt.Errorf("the run %s has ended: %w", run, store.ErrFenced)
	}
	return err
}

// answer records an answer. A call that was answered, settled or void already
// stays as it is, one that was never intended is an error.
func (t tx) answer(ctx context.Context, c *store.Call, now int64) error {
	n, err := t.exec(ctx, answerCall, c.Origin, c.BatchID, now)
	if err != nil || n > 0 {
		return err
	}
	var state string
	if err := t.row(ctx, callState, c.Origin).Scan(&state); errors.Is(err, sql.ErrNoRows) {
		return fmt.Errorf("the answered call %s: %w", c.Origin, store.ErrNotFound)
	} else if err != nil {
		return err
	}
	return nil
}

// CallsOfBatch returns the calls of one batch.
func (s *Store) CallsOfBatch(ctx context.Context, run string, batch int) ([]store.Call, error) {
	calls, err := list(ctx, s, selectBatch, scanCall, run, batch)
	if err != nil {
		return nil, fmt.Errorf("reading the calls of batch %d of the run %s: %w", batch, run, err)
	}
	return calls, nil
}

// Unsettled returns a brand's calls without a verdict.
func (s *Store) Unsettled(ctx context.Context, brand, run string, limit int) ([]store.Call, error) {
	if limit <= 0 {
		limit = math.MaxInt32
	}
	calls, err := list(ctx, s, selectUnsettled, scanCall, brand, run, limit)
	if err != nil {
		return nil, fmt.Errorf("reading the unsettled calls of the brand %s: %w", brand, err)
	}
	return calls, nil
}

// settlement is a verdict on its way into settleCalls.
type settlement struct {
	Origin  string          `json:"o"`
	State   store.CallState `json:"s"`
	New     int             `json:"n"`
	Changed int             `json:"c"`
	Leavers int             `json:"l"`
	Refused int             `json:"r"`
	Verdict *string         `json:"v"` // JSON of what the counts do not say
}

// SettleCalls records verdicts.
func (s *Store) SettleCalls(ctx context.Context, run string, settled []store.Settlement, blobs ...store.Blob) error {
	what := "settling calls of the run " + run
	rows := make([]settlement, len(settled))
	for i := range settled {
		v := &settled[i].Verdict
		if state := settled[i].State; state != store.CallSettled && state != store.CallVoid {
			return fmt.Errorf("%s: %q is no state of a verdict", what, state)
		}
		rows[i] = settlement{settled[i].Origin, settled[i].State, v.New, v.Changed, v.Leavers, len(v.Refused), nil}
		if len(v.Refused)+len(v.Moved) == 0 && !v.Split {
			continue
		}
		detail, err := json.Marshal(store.Verdict{Refused: v.Refused, Moved: v.Moved, Split: v.Split})
		if err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		text := string(detail)
		rows[i].Verdict = &text
	}
	// Rows are locked in the order of the list: the same for all, or two wait for
	// each other.
	slices.SortFunc(rows, func(a, b settlement) int { return strings.Compare(a.Origin, b.Origin) })
	verdicts, err := json.Marshal(rows)
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return s.update(ctx, what, func(t tx) error {
		if len(rows) > 0 {
			if _, err := t.exec(ctx, settleCalls, string(verdicts)); err != nil {
				return err
			}
		}
		return t.saveBlobs(ctx, run, blobs)
	})
}

// SettledCalls returns a run's settled calls that are not in the ledger yet.
func (s *Store) SettledCalls(ctx context.Context, run string) ([]store.Call, error) {
	calls, err := list(ctx, s, selectSettled, scanCall, run)
	if err != nil {
		return nil, fmt.Errorf("reading the settled calls of the run %s: %w", run, err)
	}
	return calls, nil
}

// MarkFolded notes that the verdicts of these calls are in the ledger.
func (s *Store) MarkFolded(ctx context.Context, run string, origins []string) error {
	type named struct {
		Origin string `json:"o"`
	}
	rows := make([]named, len(origins))
	for i, origin := range slices.Sorted(slices.Values(origins)) { // one order for all, as in SettleCalls
		rows[i] = named{origin}
	}
	list, err := json.Marshal(rows)
	if err != nil {
		return err
	}
	_, err = s.exec(ctx, "marking calls of the run "+run+" as in the ledger", foldCalls, string(list))
	return err
}

// Totals sums up a run's calls.
func (s *Store) Totals(ctx context.Context, run string) (store.CallTotals, error) {
	var c store.CallTotals
	err := s.row(ctx, selectTotals, run).
		Scan(&c.Calls, &c.Unsettled, &c.Pending, &c.New, &c.Changed, &c.Leavers, &c.Refused, &c.LeaversRefused)
	if err != nil {
		return store.CallTotals{}, fmt.Errorf("summing up the calls of the run %s: %w", run, err)
	}
	return c, nil
}

// UnfoldedRuns returns the runs of the brand that ended before all of their
// calls were in the ledger.
func (s *Store) UnfoldedRuns(ctx context.Context, brand string) ([]string, error) {
	runs, err := list(ctx, s, selectUnfolded, func(row scanner) (string, error) {
		var id string
		err := row.Scan(&id)
		return id, err
	}, brand)
	if err != nil {
		return nil, fmt.Errorf("looking for runs of the brand %s that are not in the ledger: %w", brand, err)
	}
	return runs, nil
}

func scanCall(row scanner) (store.Call, error) {
	var c store.Call
	var intended, answered, folded int64
	var confirmed store.Verdict
	var detail blob
	err := row.Scan(&c.Origin, &c.Run, &c.Export, &c.Brand, &c.Batch, &c.First, &c.Count, &c.New, &c.Changed, &c.Leavers,
		&c.State, &c.BatchID, &intended, &answered, &confirmed.New, &confirmed.Changed, &confirmed.Leavers, &detail, &folded)
	if err != nil {
		return c, err
	}
	if detail != nil {
		if err := json.Unmarshal(detail, &c.Verdict); err != nil {
			return c, fmt.Errorf("the verdict of the call %s: %w", c.Origin, err)
		}
	}
	c.Verdict.New, c.Verdict.Changed, c.Verdict.Leavers = confirmed.New, confirmed.Changed, confirmed.Leavers
	c.IntendedAt, c.AnsweredAt, c.Folded = fromMicros(intended), fromMicros(answered), folded != 0
	return c, nil
}
