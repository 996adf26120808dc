package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// notify tells other handles that something may be due, awaited or finished.
// Plain steps tell nobody: nobody but the owner waits for them.
const notify = `SELECT pg_notify($1, $2)`

// hint has the others told, soon: many changes are one hint. It is sent after
// the transactions that it speaks of and not in them, since PostgreSQL lets
// transactions that notify commit only one by one, with their flushes. Should
// this process die in between, polling finds what changed.
func (s *Store) hint() {
	select {
	case s.hints <- struct{}{}:
	default: // one is on its way that has not left yet
	}
}

// tellOthers sends the hints until the store closes.
func (s *Store) tellOthers() {
	defer s.wg.Done()
	for {
		select {
		case <-s.done:
			return
		case <-s.hints:
		}
		ctx, cancel := context.WithTimeout(context.Background(), hintTimeout)
		_ = s.use(ctx, s.read, func(c *pgx.Conn) error {
			_, err := c.Exec(ctx, notify, s.schema.channel(), s.token)
			return err
		})
		cancel()
	}
}

// channel is where this schema's hints go. It fits into a name of PostgreSQL's,
// whatever the schema is called.
func (n schema) channel() string { return fmt.Sprintf("durable_%016x", uint64(n.lock("hints"))) }

// Watch implements store.Store. It listens on a connection of its own. It also gives a hint
// whenever it has begun to listen, since what went before was not heard.
//
// Behind a pooler nobody can listen: there are no hints.
func (s *Store) Watch(ctx context.Context) <-chan struct{} {
	if s.pooler {
		return nil
	}
	hints := make(chan struct{}, 1)
	ctx, cancel := context.WithCancel(ctx)
	s.wg.Add(2)
	go func() {
		defer s.wg.Done()
		defer cancel()
		select {
		case <-ctx.Done():
		case <-s.done:
		}
	}()
	go func() {
		defer s.wg.Done()
		defer close(hints)
		pause := time.NewTimer(0)
		defer pause.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-pause.C:
			}
			s.listen(ctx, hints)
			pause.Reset(watchPause)
		}
	}()
	return hints
}

// listen passes on what others say until the connection breaks.
func (s *Store) listen(ctx context.Context, hints chan<- struct{}) {
	c, err := s.dial(ctx)
	if err != nil {
		return
	}
	defer func() { _ = c.Close(context.WithoutCancel(ctx)) }()
	if _, err := c.Exec(ctx, "listen "+s.schema.channel()); err != nil {
		return
	}
	for {
		select {
		case hints <- struct{}{}:
		default:
		}
		for {
			n, err := c.WaitForNotification(ctx)
			if err != nil {
				return
			}
			if n.Payload != s.token {
				break
			}
		}
	}
}
