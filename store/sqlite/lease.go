package sqlite

import (
	"context"
	"fmt"

	"github.com/durable-go/durable/internal/fail"
	"github.com/durable-go/durable/store"
)

// Renew implements store.Store.
func (s *Store) Renew(ctx context.Context, l store.Lease) (answer store.Renewal, err error) {
	if err := fail.Err(fail.RenewBefore); err != nil {
		return store.Renewal{}, s.explain("renew", err)
	}
	now, err := s.update(ctx, "renew", func(t *tx) error {
		expires := t.now + l.Duration.Microseconds()
		n, err := t.changes("UPDATE lease SET expires = ?2, name = ?3, report = ?5 WHERE who = ?1 AND expires > ?4", l.Who, expires, l.Name, t.now, l.Report)
		if err == nil && n == 0 && l.New {
			// One that is there but has expired stays as it is.
			n, err = t.changes("INSERT INTO lease (who, expires, name, report) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING", l.Who, expires, l.Name, l.Report)
		}
		if err != nil {
			return err
		}
		if n == 0 {
			return fmt.Errorf("incarnation %s: %w", l.Who, store.ErrLeaseLost)
		}
		if _, err := t.one("SELECT min(expires) FROM lease WHERE who <> ?", func(r row) { answer.NextExpiry = r.time(0) }, l.Who); err != nil {
			return err
		}
		if answer.Paused, err = paused(t.conn); err != nil {
			return err
		}
		if err := t.glance(l.Queues, &answer); err != nil {
			return err
		}
		return t.query("SELECT id, epoch, inbox FROM execution INDEXED BY execution_owner WHERE owner = ? ORDER BY id",
			func(r row) error {
				answer.Owned = append(answer.Owned, store.Owned{ID: r.id(0), Epoch: r.int(1), Inbox: r.int(2)})
				return nil
			}, l.Who)
	})
	if err == nil {
		err = fail.Err(fail.RenewAfter)
	}
	if err != nil {
		return store.Renewal{}, err
	}
	answer.Now = now
	return answer, nil
}

const firstDue = `
	SELECT due FROM execution INDEXED BY execution_due
	WHERE due IS NOT NULL AND queue = ? AND priority = ?
	ORDER BY due LIMIT 1`

// glance looks into queues without taking anything.
func (t *tx) glance(queues []string, answer *store.Renewal) error {
	var next int64 = forever
	for _, queue := range queues {
		for priority := forever; ; {
			found, err := t.one(nextPriority, func(r row) { priority = r.int(0) }, queue, priority)
			if err != nil {
				return err
			}
			if !found {
				break
			}
			if _, err := t.one(firstDue, func(r row) { next = min(next, r.int(0)) }, queue, priority); err != nil {
				return err
			}
		}
		found, err := t.one(anyBlocked, func(row) {}, queue)
		if err != nil {
			return err
		}
		answer.Blocked = answer.Blocked || found
	}
	answer.NextDue = fromMicros(next)
	return nil
}

// Expire implements store.Store.
func (s *Store) Expire(ctx context.Context) (released int, err error) {
	fail.Point(fail.ExpireBefore)
	_, err = s.update(ctx, "expire", func(t *tx) error {
		var gone []store.Incarnation
		if err := t.query("SELECT who FROM lease WHERE expires <= ?", func(r row) error {
			gone = append(gone, r.id(0))
			return nil
		}, t.now); err != nil {
			return err
		}
		for _, who := range gone {
			n, err := t.disown(who, true)
			if err != nil {
				return err
			}
			released += n
		}
		return t.sweepPublications()
	})
	if err != nil {
		return 0, err
	}
	s.tidy(ctx)
	return released, nil
}

// Retire implements store.Store.
func (s *Store) Retire(ctx context.Context, who store.Incarnation) error {
	_, err := s.update(ctx, "retire", func(t *tx) error {
		_, err := t.disown(who, false)
		return err
	})
	return err
}

// disown takes from an incarnation its lease and what it owns. With count, it
// is noted that the owner was lost without a new row.
func (t *tx) disown(who store.Incarnation, count bool) (int, error) {
	t.heads.forget()
	delete(t.live, who)
	if _, err := t.exec("DELETE FROM lease WHERE who = ?", who); err != nil {
		return 0, err
	}
	fail.Point(fail.DisownBetween)
	if _, err := t.exec("DELETE FROM hold WHERE execution IN (SELECT n FROM execution INDEXED BY execution_owner WHERE owner = ?)", who); err != nil {
		return 0, err
	}
	if count {
		if _, err := t.exec(`
			UPDATE execution INDEXED BY execution_owner SET
				stalls = iif(stall_length = (SELECT max(seq) FROM journal WHERE execution = n), stalls + 1, 1),
				stall_length = (SELECT max(seq) FROM journal WHERE execution = n)
			WHERE owner = ?`, who); err != nil {
			return 0, err
		}
	}
	n, err := t.changes(`
		UPDATE execution INDEXED BY execution_owner SET
			owner = NULL, epoch = epoch + 1, status = iif(status = 'compensating', status, 'pending'), due = ?2, changed = ?2, blocked = ''
		WHERE owner = ?1`, who, t.now)
	return int(n), err
}
