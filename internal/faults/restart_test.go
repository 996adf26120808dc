//go:build linux

package faults

import (
	"fmt"
	"testing"
	"time"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/store/postgres"
)

// The server is crashed and started again under load. Nothing that was
// acknowledged is lost, no attempt is used up, and work is back within 2 s.
func TestQU7_RT10_ServerRestarts(t *testing.T) {
	c := cluster(t)
	address, name := database(t, c)
	p, by := through(t, c, address)
	s := open(t, postgres.Open(by), durable.Config{})
	s.serve(24)
	s.await(50)
	for i := range amount(5, 20) {
		away := time.Duration(i%4) * 300 * time.Millisecond
		if i == 0 {
			away = 4 * time.Second
		}
		if err := c.Stop(); err != nil {
			t.Fatal(err)
		}
		pass(t, time.Second) // what was open breaks, and comes back in vain at once
		before, begin := p.Accepted(), time.Now()
		pass(t, away)
		// Attempts to connect are all that can be asked meanwhile.
		t.Logf("%d attempts to connect in %s", p.Accepted()-before, time.Since(begin))
		if n, most := p.Accepted()-before, 10*(time.Since(begin).Seconds()+0.5); float64(n) > most {
			t.Errorf("%d attempts to connect in %s while the server was away", n, time.Since(begin))
		}
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		if back := s.await(1); back > 4*time.Second { // a loaded machine takes longer than the rest between two attempts
			t.Errorf("restart %d: back to work %s after the server", i, back)
		}
		s.await(20)
	}
	s.halt()
	whole(t, c.URL("postgres"), name)
	stats := s.verify(postgres.Open(address))
	if stats.FailedBatches == 0 || stats.LostLeases > 0 {
		t.Errorf("%+v", stats)
	}
}

// Sessions are terminated at random, those that renew the lease and listen too.
func TestQU8_RT10_TerminatedSessions(t *testing.T) {
	c := cluster(t)
	address, name := database(t, c)
	s := open(t, postgres.Open(address), durable.Config{})
	s.serve(16)
	s.await(20)
	killed := 0
	for range amount(100, 500) {
		if ask(t, c.URL("postgres"), fmt.Sprintf("select pg_terminate_backend(pid)::text from pg_stat_activity where usename = '%s' order by random() limit 1", name)) == "true" {
			killed++
		}
		s.await(2)
	}
	s.halt()
	whole(t, c.URL("postgres"), name)
	if stats := s.verify(postgres.Open(address)); killed < 50 || stats.LostLeases > 0 || stats.Connections < 20 {
		t.Errorf("%d killed: %+v", killed, stats)
	}
}

// A server that takes no writes, as after a failover to a standby that is not
// promoted yet: all waits, and goes on when it is.
func TestQU7_Standby(t *testing.T) {
	c := cluster(t)
	address, name := database(t, c)
	s := open(t, postgres.Open(address), durable.Config{})
	s.serve(8)
	s.await(20)
	for _, err := range []error{c.Stop(), c.Standby(), c.Start()} {
		if err != nil {
			t.Fatal(err)
		}
	}
	pass(t, 1500*time.Millisecond)
	if _, err := postgres.Open(address).OpenStore(t.Context()); err == nil {
		t.Error("opened on a standby")
	} else {
		t.Log(err)
	}
	if got := ask(t, c.URL("postgres"), "select pg_promote()::text"); got != "true" {
		t.Fatalf("promote: %s", got)
	}
	if back := s.await(1); back > 4*time.Second { // a loaded machine takes longer than the rest between two attempts
		t.Errorf("back to work after %s", back)
	}
	s.await(10)
	s.halt()
	whole(t, c.URL("postgres"), name)
	s.verify(postgres.Open(address))
}
