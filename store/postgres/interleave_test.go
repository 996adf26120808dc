package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/durable-go/durable/store"
	"github.com/durable-go/durable/store/memory"
	"github.com/durable-go/durable/store/postgres"
)

// deadlocks counts how often the server broke one on our connections; the
// store does such a transaction again, so nobody else would notice.
type deadlocks struct{ n atomic.Int64 }

func (d *deadlocks) saw(err error) {
	var e *pgconn.PgError
	if errors.As(err, &e) && e.Code == "40P01" {
		d.n.Add(1)
	}
}

func (d *deadlocks) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	return ctx
}

func (d *deadlocks) TraceQueryEnd(_ context.Context, _ *pgx.Conn, e pgx.TraceQueryEndData) {
	d.saw(e.Err)
}

func (d *deadlocks) TraceBatchStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceBatchStartData) context.Context {
	return ctx
}

func (d *deadlocks) TraceBatchQuery(_ context.Context, _ *pgx.Conn, e pgx.TraceBatchQueryData) {
	d.saw(e.Err)
}

func (d *deadlocks) TraceBatchEnd(_ context.Context, _ *pgx.Conn, e pgx.TraceBatchEndData) {
	d.saw(e.Err)
}

// watched opens a store on whose connections deadlocks are counted, and found soon.
func watched(t *testing.T, url, schema string) (store.Store, *deadlocks, *pgxpool.Pool) {
	t.Helper()
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		t.Fatal(err)
	}
	d := new(deadlocks)
	config.ConnConfig.Tracer = d
	config.ConnConfig.RuntimeParams["deadlock_timeout"] = "100ms"
	config.ConnConfig.RuntimeParams["application_name"] = schema
	pool, err := pgxpool.NewWithConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return open(t, postgres.New(pool, postgres.Schema(schema))), d, pool
}

// scene is one execution, its owner and another worker.
type scene struct {
	owner, other store.Incarnation
	id           store.ID
	key          string
	busy         *atomic.Int64 // calls that were told that the execution is busy
	free         chan struct{} // closed when the stranger has gone
}

// stage makes a scene: the execution is running and its owner's lease has run
// out, which nobody has acted upon, or it is due.
func stage(t *testing.T, st store.Store, running bool) scene {
	t.Helper()
	s := scene{owner: uuid.New(), other: uuid.New(), id: uuid.Must(uuid.NewV7()), key: uuid.NewString(), busy: new(atomic.Int64), free: make(chan struct{})}
	for _, who := range []store.Incarnation{s.owner, s.other} {
		if _, err := st.Renew(t.Context(), store.Lease{Who: who, Duration: time.Hour, New: true}); err != nil {
			t.Fatal(err)
		}
	}
	b := store.Begin{ID: s.id, Workflow: "w", Version: "1", Queue: s.key, Key: s.key, Row: []byte("one"), Owner: s.owner}
	if !running {
		b.Owner = uuid.Nil
	}
	commit(t, st, store.Write{Begin: &b})
	if running {
		if _, err := st.Renew(t.Context(), store.Lease{Who: s.owner, Duration: -time.Second}); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// act is one call; what it says is all that its caller can tell.
type act struct {
	name string
	do   func(ctx context.Context, st store.Store, s scene) string
}

func acts() []act {
	write := func(name string, of func(s scene) store.Write) act {
		return act{name, func(ctx context.Context, st store.Store, s scene) string {
			for {
				r, err := st.Commit(ctx, []store.Write{of(s)})
				if err != nil {
					return "error: " + err.Error()
				}
				if v := r.Verdicts[0]; v.Code != store.Busy {
					return fmt.Sprint(v.Code)
				}
				s.busy.Add(1)
				select {
				case <-s.free:
				case <-ctx.Done():
				}
			}
		}}
	}
	advance := func(s scene) *store.Advance {
		return &store.Advance{ID: s.id, Owner: s.owner, Epoch: 1, Base: 1, Row: []byte("two"), Seen: 0}
	}
	told := func(err error) string {
		if errors.Is(err, store.ErrLeaseLost) {
			return "lease lost"
		}
		return fmt.Sprint(err)
	}
	return []act{
		{"claim", func(ctx context.Context, st store.Store, s scene) string {
			_, err := st.Claim(ctx, store.ClaimRequest{Owner: s.other, Queues: map[string]int{s.key: 5}, Definitions: []store.Definition{{Workflow: "w", Version: "1"}}})
			return told(err) // what it passes over, a later one finds
		}},
		write("step", func(s scene) store.Write { return store.Write{Advance: advance(s)} }),
		write("parting", func(s scene) store.Write {
			a := advance(s)
			a.Release = &store.Release{Status: store.Waiting}
			a.Open = []store.Wait{{ID: "w " + s.key, Execution: s.id, Path: "p", Call: "1", Kind: "event", Name: "n", Topic: "t"}}
			return store.Write{Advance: a}
		}),
		write("begin with its key", func(s scene) store.Write {
			return store.Write{Begin: &store.Begin{ID: uuid.Must(uuid.NewV7()), Workflow: "w", Version: "1", Queue: s.key, Key: s.key, Row: []byte("one"), Owner: s.other}}
		}),
		write("deliver", func(s scene) store.Write {
			return store.Write{Deliver: &store.Deliver{ID: s.id, Topic: "t", Dedupe: "d"}}
		}),
		write("control", func(s scene) store.Write {
			return store.Write{Control: &store.Control{
				ID: s.id, From: []store.Status{store.Running, store.Pending, store.Waiting}, Row: []byte("cancelled"), Release: store.Release{Status: store.Cancelled},
			}}
		}),
		{"renew", func(ctx context.Context, st store.Store, s scene) string {
			_, err := st.Renew(ctx, store.Lease{Who: s.owner, Duration: time.Hour, Queues: []string{s.key}})
			return told(err)
		}},
		{"expire", func(ctx context.Context, st store.Store, s scene) string {
			_, err := st.Expire(ctx)
			return told(err)
		}},
		{"retire", func(ctx context.Context, st store.Store, s scene) string { return told(st.Retire(ctx, s.owner)) }},
	}
}

// after says what two calls said and what they left, once a last claim has come by.
func after(t *testing.T, st store.Store, s scene, said [2]string) string {
	t.Helper()
	acts()[0].do(t.Context(), st, s)
	rec, err := st.Load(t.Context(), s.id, true)
	if err != nil {
		t.Fatal(err)
	}
	rows := make([]string, len(rec.Rows))
	for i, r := range rec.Rows {
		rows[i] = fmt.Sprintf("%s@%d", r.Body, r.Epoch)
	}
	return fmt.Sprintf("%q, then %s at epoch %d, owned by the owner %v, other %v, rows %v, inbox %d",
		said, rec.Status, rec.Epoch, rec.Owner == s.owner, rec.Owner == s.other, rows, rec.Inbox)
}

// inTurn is what may come of two calls at once: what comes of one after the other.
func inTurn(t *testing.T, running bool, a, b act) []string {
	t.Helper()
	var list []string
	for _, first := range []bool{true, false} {
		st := open(t, memory.New())
		s := stage(t, st, running)
		var said [2]string
		if first {
			said[0] = a.do(t.Context(), st, s)
			said[1] = b.do(t.Context(), st, s)
		} else {
			said[1] = b.do(t.Context(), st, s)
			said[0] = a.do(t.Context(), st, s)
		}
		list = append(list, after(t, st, s, said))
	}
	return list
}

// Every two calls on one execution, both begun while a stranger holds a lock that
// they need, come to what one after the other comes to. Nobody waits in a circle.
func TestInterleavings_EveryPairAtEveryLock(t *testing.T) {
	url, schema := fresh(t)
	st, broken, _ := watched(t, url, schema)
	// One connection holds locks, the other looks: within a transaction the server
	// shows only what it saw first.
	var conns [2]*pgx.Conn
	for i := range conns {
		var err error
		if conns[i], err = pgx.Connect(t.Context(), url); err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conns[i].Close(context.WithoutCancel(t.Context())) }()
	}
	c, eye := conns[0], conns[1]
	in := pgx.Identifier{schema}.Sanitize() + "."
	locks := map[string]func(s scene) (string, []any){
		"the owner's lease": func(s scene) (string, []any) {
			return "SELECT FROM " + in + "lease WHERE who = $1 FOR UPDATE", []any{s.owner.String()}
		},
		"the execution": func(s scene) (string, []any) {
			return "SELECT FROM " + in + "execution WHERE id = $1 FOR UPDATE", []any{s.id.String()}
		},
		"the next row's key": func(s scene) (string, []any) {
			return "INSERT INTO " + in + "journal VALUES ($1, 2, 0, now(), '')", []any{s.id.String()}
		},
	}
	all, n, waited, busy := acts(), 0, 0, 0
	for _, running := range []bool{true, false} {
		for i, a := range all {
			for k, b := range all {
				may := inTurn(t, running, a, b)
				for what, lock := range locks {
					if what != "the execution" && k < i {
						continue // the order of the two counts least where either waits
					}
					n++
					s := stage(t, st, running)
					stranger, err := c.Begin(t.Context())
					if err != nil {
						t.Fatal(err)
					}
					statement, args := lock(s)
					if _, err := stranger.Exec(t.Context(), statement, args...); err != nil {
						t.Fatal(err)
					}
					var said [2]string
					var done atomic.Int64
					var both sync.WaitGroup
					for j, x := range []act{a, b} {
						both.Go(func() {
							said[j] = x.do(t.Context(), st, s)
							done.Add(1)
						})
						calls := int64(j + 1)
						if a.name == "renew" && b.name == "renew" {
							calls = 1 // they have one connection
						}
						waited += settled(t, eye, schema, &done, s.busy, calls)
					}
					if err := stranger.Rollback(t.Context()); err != nil {
						t.Fatal(err)
					}
					close(s.free)
					both.Wait()
					busy += int(s.busy.Load())
					if got := after(t, st, s, said); !slices.Contains(may, got) {
						t.Errorf("%s and %s while a stranger holds %s, running %v:\n\t%s\nin turn they come to\n\t%s", a.name, b.name, what, running, got, strings.Join(may, "\n\t"))
					}
					if err := st.Retire(t.Context(), s.owner); err != nil {
						t.Fatal(err)
					}
				}
			}
		}
	}
	if broken.n.Load() > 0 {
		t.Errorf("the server broke %d deadlocks", broken.n.Load())
	}
	if waited+busy < n {
		t.Errorf("only %d calls waited for a lock, and %d were told to come again, in %d cases: the test would pass on nothing", waited, busy, n)
	}
	t.Logf("%d cases; %d calls waited for a lock, %d were told to come again", n, waited, busy)
}

// settled returns when so many calls are done, wait for a lock, or were told that
// the execution is busy; and how many wait for a lock.
func settled(t *testing.T, c *pgx.Conn, schema string, done, busy *atomic.Int64, calls int64) (waiting int) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for range 1000 {
		if done.Load()+busy.Load() >= calls {
			return 0
		}
		err := c.QueryRow(t.Context(), "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND application_name = $1", schema).Scan(&waiting)
		if err != nil {
			t.Fatal(err)
		}
		if done.Load()+busy.Load()+int64(waiting) >= calls {
			return waiting
		}
		<-tick.C
	}
	rows, err := c.Query(t.Context(), "SELECT coalesce(wait_event_type, '') || ' ' || coalesce(wait_event, '') || ': ' || query FROM pg_stat_activity WHERE state <> 'idle' AND application_name = $1", schema)
	if err == nil {
		sessions, _ := pgx.CollectRows(rows, pgx.RowTo[string])
		t.Log(strings.Join(sessions, "\n"))
	}
	t.Fatalf("of %d calls %d are done, %d are told to come again and %d wait", calls, done.Load(), busy.Load(), waiting)
	return 0
}

// Random calls of eight at once, for a while: batches that touch the same
// executions in any order never wait for each other in a circle.
func TestInterleavings_RandomCallsNeverDeadlock(t *testing.T) {
	url, schema := fresh(t)
	st, broken, _ := watched(t, url, schema)
	scenes := make([]scene, 12)
	for i := range scenes {
		scenes[i] = stage(t, st, i%2 == 0)
		close(scenes[i].free)
	}
	all := acts()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	var calls atomic.Int64
	var crowd sync.WaitGroup
	for seed := range uint64(8) {
		crowd.Go(func() {
			r := rand.New(rand.NewPCG(seed, 0))
			for ctx.Err() == nil {
				calls.Add(1)
				if r.IntN(2) == 0 {
					all[r.IntN(len(all))].do(t.Context(), st, scenes[r.IntN(len(scenes))])
					continue
				}
				if _, err := st.Commit(t.Context(), crowded(r, scenes)); err != nil && !errors.Is(err, store.ErrRefused) {
					t.Errorf("commit: %v", err)
				}
			}
		})
	}
	crowd.Wait()
	if broken.n.Load() > 0 {
		t.Errorf("the server broke %d deadlocks in %d calls", broken.n.Load(), calls.Load())
	}
	t.Logf("%d calls", calls.Load())
}

// Two that take two leases in two orders: what the tests above count is counted.
func TestInterleavings_ADeadlockIsSeen(t *testing.T) {
	url, schema := fresh(t)
	st, broken, pool := watched(t, url, schema)
	s := stage(t, st, true)
	lock := "SELECT FROM " + pgx.Identifier{schema}.Sanitize() + ".lease WHERE who = $1 FOR UPDATE"
	var first, both sync.WaitGroup
	first.Add(2)
	for _, order := range [][2]store.Incarnation{{s.owner, s.other}, {s.other, s.owner}} {
		both.Go(func() {
			_ = pgx.BeginFunc(t.Context(), pool, func(q pgx.Tx) error {
				_, err := q.Exec(t.Context(), lock, order[0].String())
				first.Done()
				first.Wait()
				if err == nil {
					_, err = q.Exec(t.Context(), lock, order[1].String())
				}
				return err
			})
		})
	}
	both.Wait()
	if n := broken.n.Load(); n != 1 {
		t.Errorf("one deadlock was made, and %d were seen", n)
	}
}

// crowded is a batch of writes to several executions, in any order.
func crowded(r *rand.Rand, scenes []scene) (writes []store.Write) {
	for _, i := range r.Perm(len(scenes))[:2+r.IntN(6)] {
		s := scenes[i]
		switch r.IntN(4) {
		case 0:
			writes = append(writes, store.Write{Deliver: &store.Deliver{ID: s.id, Topic: "t", Dedupe: fmt.Sprint(r.Uint64())}})
		case 1:
			writes = append(writes, store.Write{Control: &store.Control{ID: s.id, From: []store.Status{store.Running, store.Waiting, store.Pending}, Release: store.Release{Status: store.Pending}}})
		case 2:
			writes = append(writes, store.Write{Begin: &store.Begin{
				ID: uuid.New(), Workflow: "w", Version: "1", Queue: s.key, Key: fmt.Sprint(r.IntN(50)), Row: []byte("one"), Owner: s.other,
			}})
		default:
			until := time.Now().Add(time.Minute)
			writes = append(writes, store.Write{Advance: &store.Advance{
				ID: s.id, Owner: s.owner, Epoch: 1, Base: 1, Seen: -1, Holds: []store.Hold{{Name: fmt.Sprint(r.IntN(3)), Amount: 1, Limit: 100, Until: until}},
			}})
		}
	}
	return writes
}
