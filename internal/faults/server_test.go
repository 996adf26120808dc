//go:build linux

package faults

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/internal/pgproxy"
	"github.com/durable-go/durable/internal/pgtest"
	"github.com/durable-go/durable/store/postgres"
)

// Timeouts of 50 ms that somebody gave the role do not hit the engine's own
// sessions, whatever they are doing.
func TestQU7_TimeoutsOfTheRole(t *testing.T) {
	c := cluster(t)
	address, name := database(t, c)
	for _, setting := range []string{"statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout", "idle_session_timeout"} {
		execute(t, c.URL("postgres"), fmt.Sprintf("alter role %s set %s = '50ms'", name, setting))
	}
	// A table that is locked now and then makes statements wait for longer than that.
	s := open(t, postgres.Open(address), durable.Config{})
	s.serve(16)
	s.await(20)
	for range amount(5, 20) {
		lock(t, c.URL(name), 120*time.Millisecond)
		s.await(5)
	}
	s.halt()
	if stats := s.verify(postgres.Open(address)); stats.FailedBatches > 0 || stats.FailedRenewals > 0 {
		t.Errorf("%+v", stats)
	}
}

// lock keeps all others from a table for a while.
func lock(t *testing.T, address string, d time.Duration) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(t.Context()) }()
	if _, err := conn.Exec(t.Context(), "begin; lock table durable.journal in access exclusive mode"); err != nil {
		t.Fatal(err)
	}
	pass(t, d)
	if _, err := conn.Exec(t.Context(), "rollback"); err != nil {
		t.Fatal(err)
	}
}

// Statements that are cancelled, by a person or by a timeout.
func TestQU8_CancelledStatements(t *testing.T) {
	c := cluster(t)
	address, name := database(t, c)
	s := open(t, postgres.Open(address), durable.Config{})
	s.serve(16)
	s.await(10)
	hits, enough := 0, amount(60, 300)
	for tries := 0; tries < enough || hits < 10 && tries < 20*enough; tries++ { // it is a matter of luck who is at work
		if ask(t, c.URL("postgres"), fmt.Sprintf("select coalesce(string_agg(pg_cancel_backend(pid)::text, ''), '') from pg_stat_activity where usename = '%s' and state = 'active'", name)) != "" {
			hits++
		}
		s.await(1)
	}
	s.halt()
	whole(t, c.URL("postgres"), name)
	s.verify(postgres.Open(address))
	if hits < 10 {
		t.Errorf("%d hits", hits)
	}
}

// Nobody may connect any more, and what was open is terminated.
func TestQU7_ConnectionsUsedUp(t *testing.T) {
	c := cluster(t)
	address, name := database(t, c)
	p, by := through(t, c, address)
	s := open(t, postgres.Open(by), durable.Config{})
	s.serve(16)
	s.await(20)
	for range amount(2, 8) {
		execute(t, c.URL("postgres"), fmt.Sprintf("alter role %s connection limit 0", name))
		p.CutAll()
		pass(t, time.Second)
		before := p.Accepted()
		pass(t, 2*time.Second)
		if n := p.Accepted() - before; n > 22 {
			t.Errorf("%d attempts to connect in 2 s", n)
		}
		if _, err := postgres.Open(address).OpenStore(t.Context()); err == nil || !strings.Contains(err.Error(), "no connection left") {
			t.Errorf("open: %v", err)
		}
		execute(t, c.URL("postgres"), fmt.Sprintf("alter role %s connection limit -1", name))
		if back := s.await(1); back > 4*time.Second { // a loaded machine takes longer than the rest between two attempts
			t.Errorf("back to work after %s", back)
		}
	}
	// Five connections are fewer than an engine likes: it works, if slower.
	execute(t, c.URL("postgres"), fmt.Sprintf("alter role %s connection limit 5", name))
	p.CutAll()
	s.await(10)
	execute(t, c.URL("postgres"), fmt.Sprintf("alter role %s connection limit -1", name))
	s.halt()
	whole(t, c.URL("postgres"), name)
	if stats := s.verify(postgres.Open(address)); stats.LostLeases > 0 {
		t.Errorf("%+v", stats)
	}
}

// All notifications are lost, and the connection that listens breaks again and
// again: polling finds what others did.
func TestQU7_G11_NoNotifications(t *testing.T) {
	c := cluster(t)
	address, name := database(t, c)
	p, by := through(t, c, address)
	var lost atomic.Int64
	p.Set(func(m pgproxy.Message) pgproxy.Fault {
		if m.Server && m.Type == 'A' {
			lost.Add(1)
			return pgproxy.Fault{Do: pgproxy.Drop}
		}
		return pgproxy.Fault{}
	})
	works := open(t, postgres.Open(by), durable.Config{Queues: map[string]durable.Queue{"default": {PollInterval: 100 * time.Millisecond}}})
	starts := begin(t, postgres.Open(address), durable.Config{})
	starts.serve(8)
	starts.await(30)
	for range amount(3, 20) {
		execute(t, c.URL("postgres"), fmt.Sprintf("select pg_terminate_backend(pid) from pg_stat_activity where usename = '%s' and query like 'listen%%'", name))
		starts.await(5)
	}
	starts.halt()
	starts.close()
	works.acked = starts.acked
	works.verify(postgres.Open(address))
	if lost.Load() == 0 || len(starts.wrong) > 0 {
		t.Errorf("%d lost: %q", lost.Load(), starts.wrong)
	}
}

// The disk is full: a clear error, no run fails, and work goes on when there is
// room. The tables are in a tablespace on a small file system of their own.
func TestQU7_FullDisk(t *testing.T) {
	c := cluster(t)
	dir, err := c.Folder("small")
	if err != nil {
		t.Fatal(err)
	}
	if err := exec.Command("mount", "-t", "tmpfs", "-o", "size=24m,mode=0777", "durable-test", dir).Run(); err != nil {
		if os.Getuid() == 0 && !errors.Is(err, exec.ErrNotFound) || os.Getuid() != 0 {
			t.Skip("impossible here: a small file system cannot be mounted: ", err)
		}
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	if err := c.Give(dir); err != nil {
		t.Fatal(err)
	}
	address, name := database(t, c)
	execute(t, c.URL("postgres"), fmt.Sprintf("create tablespace %s owner %s location '%s'", name, name, dir))
	execute(t, c.URL("postgres"), fmt.Sprintf("alter role %s set default_tablespace = '%s'", name, name))
	t.Cleanup(func() {
		execute(t, c.URL("postgres"), fmt.Sprintf("drop database %s with (force)", name))
		execute(t, c.URL("postgres"), "drop tablespace "+name)
	})
	s := open(t, postgres.Open(address), durable.Config{})
	s.serve(8)
	s.await(10)
	filler := filepath.Join(dir, "filler")
	for range amount(2, 6) {
		fill(t, filler)
		failed := s.engine.Stats().FailedBatches
		for s.engine.Stats().FailedBatches < failed+3 {
			pass(t, 100*time.Millisecond)
		}
		batches := s.engine.Stats().Batches
		pass(t, 2*time.Second)
		if n := s.engine.Stats().Batches - batches; n > 20 {
			t.Errorf("%d batches in 2 s on a full disk", n)
		}
		if err := os.Remove(filler); err != nil {
			t.Fatal(err)
		}
		if back := s.await(1); back > 4*time.Second { // a loaded machine takes longer than the rest between two attempts
			t.Errorf("back to work after %s", back)
		}
		s.await(10)
	}
	s.halt()
	if !strings.Contains(s.log.String(), "the server's disk is full; work goes on when there is room") {
		t.Error("the log does not say that the disk is full")
	}
	s.verify(postgres.Open(address))
}

// fill writes a file until no space is left.
func fill(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	block := make([]byte, 64<<10)
	for size := len(block); size > 0; {
		if _, err := f.Write(block[:size]); err != nil {
			if !errors.Is(err, syscall.ENOSPC) {
				t.Fatal(err)
			}
			size /= 2
		}
	}
}

// bouncer is a PgBouncer in transaction mode.
func bouncer(t *testing.T, c *pgtest.Cluster) *pgtest.Bouncer {
	t.Helper()
	b, err := pgtest.NewBouncer(c, 10)
	if errors.Is(err, pgtest.ErrNoBouncer) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

// The engine works behind a pooler in transaction mode, also when its sessions are terminated.
func TestQU8_Pooler(t *testing.T) {
	c := cluster(t)
	b := bouncer(t, c)
	_, name := database(t, c)
	s := open(t, postgres.Open(b.URL(name)), durable.Config{})
	s.serve(16)
	s.await(30)
	for range amount(20, 100) {
		execute(t, c.URL("postgres"), fmt.Sprintf("select pg_terminate_backend(pid) from pg_stat_activity where datname = '%s' and pid <> pg_backend_pid() limit 2", name))
		s.await(2)
	}
	s.halt()
	stats := s.verify(postgres.Open(c.URL(name)))
	if stats.FailedBatches == 0 {
		t.Errorf("%+v", stats)
	}
	_, err := postgres.Open(b.URL(name) + "&work_mem=8MB").OpenStore(t.Context())
	if err == nil || !strings.Contains(err.Error(), "take it out of the URL, or add it to ignore_startup_parameters") {
		t.Errorf("with a setting that a pooler does not take: %v", err)
	}
}
