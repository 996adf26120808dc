//go:build linux

package faults

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/internal/pgproxy"
	"github.com/durable-go/durable/store"
	"github.com/durable-go/durable/store/postgres"
)

// cuts cuts one commit in so many, half of them before the server has it and
// half of them after.
type cuts struct {
	before, after atomic.Int64
	limit         int64
	of            int
}

func (c *cuts) rule(m pgproxy.Message) pgproxy.Fault {
	if !m.Commit || rand.IntN(c.of) > 0 || c.before.Load()+c.after.Load() >= c.limit {
		return pgproxy.Fault{}
	}
	if m.Server {
		c.after.Add(1)
	} else {
		c.before.Add(1)
	}
	return pgproxy.Fault{Do: pgproxy.Reset}
}

func (c *cuts) all() int64 { return c.before.Load() + c.after.Load() }

// Commits are cut before they arrive and after they have: a lost reply is
// neither success nor failure.
func TestQU8_CutCommits(t *testing.T) {
	c := cluster(t)
	address, name := database(t, c)
	p, by := through(t, c, address)
	s := open(t, postgres.Open(by), durable.Config{})
	x := &cuts{limit: int64(amount(300, 2000)), of: 6}
	p.Set(x.rule)
	s.serve(24)
	for x.all() < x.limit {
		s.await(1)
	}
	p.Set(nil)
	s.await(10)
	s.halt()
	whole(t, c.URL("postgres"), name)
	stats := s.verify(postgres.Open(address))
	t.Logf("%d commits cut before the server had them, %d after", x.before.Load(), x.after.Load())
	if x.before.Load() < x.limit/4 || x.after.Load() < x.limit/4 || stats.LandedBefore == 0 || stats.FailedBatches == 0 {
		t.Errorf("too few to prove anything: %+v", stats)
	}
}

// lying is a store that guesses what became of a commit whose reply was lost.
type lying struct {
	store.Opener
	as string
}

func (o lying) OpenStore(ctx context.Context) (store.Store, error) {
	s, err := o.Opener.OpenStore(ctx)
	return &lyingStore{s, o.as}, err
}

type lyingStore struct {
	store.Store
	as string
}

func (s *lyingStore) Commit(ctx context.Context, writes []store.Write) (store.Result, error) {
	res, err := s.Store.Commit(ctx, writes)
	var said *pgconn.PgError
	if err == nil || errors.As(err, &said) {
		return res, err
	}
	switch s.as {
	case "success":
		res = store.Result{Verdicts: make([]store.Verdict, len(writes)), Now: time.Now()}
		for i := range res.Verdicts {
			res.Verdicts[i].Code = store.Applied
		}
		return res, nil
	case "failure": // nothing was written, so somebody else must have been there
		res = store.Result{Verdicts: make([]store.Verdict, len(writes)), Now: time.Now()}
		for i := range res.Verdicts {
			res.Verdicts[i].Code = store.Superseded
		}
		return res, nil
	}
	return res, err
}

// The oracle finds stores that guess, and bodies that nothing explains.
func TestPlanted_LostReplies(t *testing.T) {
	c := cluster(t)
	for as, want := range map[string]string{
		"success":           "order ", // one that is lost or never ends
		"failure":           "order ",
		"an uncounted body": "1 bodies more than planned, 0 cut off by 0 lost leases",
	} {
		t.Run(as, func(t *testing.T) {
			address, _ := database(t, c)
			p, by := through(t, c, address)
			s := open(t, lying{postgres.Open(by), as}, durable.Config{})
			x := &cuts{limit: 60, of: 3}
			if as != "an uncounted body" {
				p.Set(x.rule)
			}
			var all sync.WaitGroup
			limit := 5 * time.Second
			if as == "an uncounted body" { // nothing is lost: all end
				limit = time.Minute
			}
			ctx, cancel := context.WithTimeout(t.Context(), limit)
			defer cancel()
			for i := range 40 {
				all.Go(func() { s.visit(ctx, i+1) })
			}
			all.Wait()
			if as == "an uncounted body" {
				for id := range s.acked {
					s.bodies[id.String()+" end"]++
					break
				}
			}
			wrong := s.judge(postgres.Open(address), s.engine.Stats())
			if as == "an uncounted body" && len(wrong) != 1 || !slices.ContainsFunc(wrong, func(text string) bool { return strings.Contains(text, want) }) {
				t.Errorf("not found, only: %q", wrong)
			}
		})
	}
}

// Errors of the server, of all kinds that pass: each is tried again, none is
// the end of a run or uses up an attempt.
func TestQU8_InjectedErrors(t *testing.T) {
	c := cluster(t)
	address, name := database(t, c)
	p, by := through(t, c, address)
	s := open(t, postgres.Open(by), durable.Config{})
	codes := []string{
		"40001", "40P01", "57014", "55P03", "57P01", "57P02", "53300", "53200", "58030", "08006", "25006", "53100", "42501", "XX000",
	}
	var mu sync.Mutex
	made := map[string]int{}
	each := amount(8, 60)
	p.Set(func(m pgproxy.Message) pgproxy.Fault {
		if m.Server || !m.First || m.Type != 'B' && m.Type != 0 || rand.IntN(6) > 0 {
			return pgproxy.Fault{}
		}
		mu.Lock()
		defer mu.Unlock()
		code := codes[rand.IntN(len(codes))]
		if m.Type == 0 {
			code = []string{"53300", "57P03"}[rand.IntN(2)]
		}
		if made[code] == each {
			return pgproxy.Fault{}
		}
		made[code]++
		return pgproxy.Fault{Do: pgproxy.Refuse, Code: code}
	})
	s.serve(24)
	for enough := false; !enough; {
		s.await(1)
		mu.Lock()
		enough = true
		for _, code := range codes {
			enough = enough && made[code] == each
		}
		mu.Unlock()
	}
	p.Set(nil)
	s.await(10)
	s.halt()
	whole(t, c.URL("postgres"), name)
	stats := s.verify(postgres.Open(address))
	t.Logf("made: %v", made)
	if stats.FailedBatches == 0 || stats.FailedClaims == 0 || stats.LostLeases > 0 {
		t.Errorf("%+v", stats)
	}
}

// A server that is slow, and one that cuts what it says into pieces.
func TestQU7_SlowNetwork(t *testing.T) {
	c := cluster(t)
	address, _ := database(t, c)
	p, by := through(t, c, address)
	s := open(t, postgres.Open(by), durable.Config{})
	p.Set(func(m pgproxy.Message) pgproxy.Fault {
		switch {
		case m.Conn%3 == 0:
			return pgproxy.Fault{Slice: 40, Wait: 50 * time.Microsecond}
		case m.First:
			return pgproxy.Fault{Wait: time.Duration(rand.IntN(30)) * time.Millisecond}
		}
		return pgproxy.Fault{}
	})
	s.serve(16)
	s.await(60)
	s.halt()
	if stats := s.verify(postgres.Open(address)); stats.FailedBatches > 0 || stats.LostLeases > 0 {
		t.Errorf("slow is not broken: %+v", stats)
	}
}

// A commit whose reply never comes holds only itself up, until its time is
// over: the lease is renewed meanwhile, and other connections go on.
func TestQU8_SwallowedReplies(t *testing.T) {
	c := cluster(t)
	for _, half := range []bool{false, true} {
		address, name := database(t, c)
		p, by := through(t, c, address)
		s := open(t, postgres.Open(by), durable.Config{Lease: 9 * time.Second})
		s.serve(8)
		s.await(10)
		var batch, swallowed atomic.Int64
		p.Set(func(m pgproxy.Message) pgproxy.Fault {
			if !m.Server && m.Type == 'B' && bytes.Contains(m.Body, []byte(`"by `)) { // an event: a claim has none
				batch.CompareAndSwap(0, int64(m.Conn))
			}
			if m.Server && m.Commit && batch.Load() == int64(m.Conn) && swallowed.CompareAndSwap(0, batch.Load()) {
				if half {
					return pgproxy.Fault{Do: pgproxy.HalfClose}
				}
				return pgproxy.Fault{Do: pgproxy.Swallow}
			}
			return pgproxy.Fault{}
		})
		if took := s.await(3); took > 6*time.Second { // long before the time of that commit is over
			t.Errorf("half closed %v: others went on after %s", half, took)
		}
		begin := time.Now()
		for s.engine.Stats().FailedBatches == 0 {
			s.await(1)
		}
		if took := time.Since(begin); swallowed.Load() == 0 || took > 15*time.Second || half && took > 5*time.Second {
			t.Errorf("half closed %v: its outcome was unknown after %s", half, took)
		}
		s.halt()
		whole(t, c.URL("postgres"), name)
		if stats := s.verify(postgres.Open(address)); stats.LostLeases > 0 || stats.FailedRenewals > 0 || stats.LandedBefore == 0 {
			t.Errorf("half closed %v: %+v", half, stats)
		}
	}
}

// The connection that renews the lease falls silent: the next renewal takes
// another one, and the lease holds.
func TestQU7_SilentRenewals(t *testing.T) {
	c := cluster(t)
	address, _ := database(t, c)
	p, by := through(t, c, address)
	s := open(t, postgres.Open(by), durable.Config{Lease: 3 * time.Second})
	s.serve(4)
	s.await(10)
	var mu sync.Mutex
	silent := map[int]bool{}
	p.Set(func(m pgproxy.Message) pgproxy.Fault {
		mu.Lock()
		defer mu.Unlock()
		if !m.Server && m.First && len(silent) == 0 && renews(m) {
			silent[m.Conn] = true
		}
		if silent[m.Conn] {
			return pgproxy.Fault{Do: pgproxy.Swallow}
		}
		return pgproxy.Fault{}
	})
	for s.engine.Stats().FailedRenewals == 0 {
		s.await(5)
	}
	renewals := s.engine.Stats().Renewals
	for s.engine.Stats().Renewals < renewals+3 {
		s.await(5)
	}
	s.halt()
	if stats := s.verify(postgres.Open(address)); stats.LostLeases > 0 || stats.FailedRenewals > 1 {
		t.Errorf("%+v", stats)
	}
}

// renews tells whether a request is a renewal: the only one whose parameters
// hold the name of the worker.
func renews(m pgproxy.Message) bool {
	return m.Type == 'B' && bytes.Contains(m.Body, []byte(worker))
}
