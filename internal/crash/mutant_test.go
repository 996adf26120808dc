//go:build fail

package crash

import (
	"context"
	"database/sql"
	"fmt"

	_ "modernc.org/sqlite"

	"github.com/durable-go/durable/store"
)

// mutated wraps a store with a bug, if the mutant is one of the store's.
func mutated(o store.Opener, mutant, path string) store.Opener {
	switch mutant {
	case "lose-event", "lose-cancel", "lose-start", "stale":
		return mutantOpener{o, mutant, path}
	}
	return o
}

type mutantOpener struct {
	store.Opener
	mutant, path string
}

func (o mutantOpener) OpenStore(ctx context.Context) (store.Store, error) {
	s, err := o.Opener.OpenStore(ctx)
	if err != nil {
		return nil, err
	}
	return mutantStore{s, o}, nil
}

type mutantStore struct {
	store.Store
	o mutantOpener
}

// Commit says that everything was written, and leaves something out.
func (s mutantStore) Commit(ctx context.Context, writes []store.Write) (store.Result, error) {
	var kept []store.Write
	lost := make([]bool, len(writes))
	for i, w := range writes {
		switch s.o.mutant {
		case "lose-event":
			lost[i] = w.Deliver != nil && w.Deliver.Wait == ""
		case "lose-cancel":
			lost[i] = w.Control != nil && w.Control.Status == store.Cancelled
		case "lose-start":
			lost[i] = w.Begin != nil && !w.Begin.Due.IsZero()
		}
		if !lost[i] {
			kept = append(kept, w)
		}
	}
	res, err := s.Store.Commit(ctx, kept)
	if err != nil {
		return res, err
	}
	all := make([]store.Verdict, 0, len(writes))
	for i, w := range writes {
		if lost[i] {
			all = append(all, store.Verdict{Code: store.Applied})
			continue
		}
		v := res.Verdicts[0]
		res.Verdicts = res.Verdicts[1:]
		if s.o.mutant == "stale" && v.Code == store.Superseded && w.Advance != nil && len(w.Advance.Row) > 0 {
			if err := s.force(w.Advance); err != nil {
				return res, err
			}
			v.Code = store.Applied
		}
		all = append(all, v)
	}
	res.Verdicts = all
	return res, nil
}

// force writes the row of an owner that is none any more.
func (s mutantStore) force(a *store.Advance) error {
	db, err := sql.Open("sqlite", "file:"+s.o.path+"?_pragma=busy_timeout(5000)")
	if err != nil {
		return err
	}
	_, err = db.Exec(`INSERT INTO journal (execution, seq, epoch, at, body)
		SELECT n, (SELECT max(seq) + 1 FROM journal WHERE execution = n), ?2, 0, ?3 FROM execution WHERE id = ?1`, a.ID[:], a.Epoch, a.Row)
	if err != nil {
		return fmt.Errorf("the planted write: %w", err)
	}
	return db.Close()
}
