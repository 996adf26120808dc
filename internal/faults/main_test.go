//go:build linux

package faults

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"

	"github.com/durable-go/durable/internal/pgproxy"
	"github.com/durable-go/durable/internal/pgtest"
)

var shared struct {
	once    sync.Once
	cluster *pgtest.Cluster
	err     error
}

func TestMain(m *testing.M) {
	code := m.Run()
	if shared.cluster != nil {
		if err := shared.cluster.Close(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	if code == 0 {
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

// cluster is a server that these tests may break.
func cluster(t *testing.T) *pgtest.Cluster {
	t.Helper()
	shared.once.Do(func() {
		shared.cluster, shared.err = pgtest.New("max_connections=60", "superuser_reserved_connections=3", "shared_buffers=32MB")
	})
	if errors.Is(shared.err, pgtest.ErrNone) {
		t.Skip(shared.err)
	}
	if shared.err != nil {
		t.Fatal(shared.err)
	}
	return shared.cluster
}

// database is a new one, for a user of its own that owns it.
func database(t *testing.T, c *pgtest.Cluster) (address, name string) {
	t.Helper()
	name = fmt.Sprintf("faults_%08x", rand.Uint32())
	for _, s := range []string{
		"create role " + name + " login password 'secret'",
		"create database " + name + " owner " + name,
	} {
		execute(t, c.URL("postgres"), s)
	}
	u, err := url.Parse(c.URL(name))
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.UserPassword(name, "secret")
	return u.String(), name
}

// through is the way to a database by a proxy.
func through(t *testing.T, c *pgtest.Cluster, address string) (*pgproxy.Proxy, string) {
	t.Helper()
	p, err := pgproxy.New(c.Address())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	by, err := p.URL(address)
	if err != nil {
		t.Fatal(err)
	}
	return p, by
}

func execute(t *testing.T, address, statement string) {
	t.Helper()
	ask(t, address, statement)
}

// ask returns the first column of the first row, if there is one.
func ask(t *testing.T, address, statement string) (answer string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	c, err := pgx.Connect(ctx, address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close(ctx) }()
	err = c.QueryRow(ctx, statement, pgx.QueryExecModeSimpleProtocol).Scan(&answer)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		t.Fatalf("%s: %v", statement, err)
	}
	return answer
}

// amount is how often a fault is made: in make test, and for a release.
func amount(usual, full int) int {
	if os.Getenv("FAULTS") == "full" {
		return full
	}
	return usual
}

// pass lets time pass: for faults that last.
func pass(t *testing.T, d time.Duration) {
	t.Helper()
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-t.Context().Done():
	}
}
