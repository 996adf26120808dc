package pgproxy_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"os"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"go.uber.org/goleak"

	"github.com/durable-go/durable/internal/pgproxy"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// behind makes a proxy before the tests' server, and a table.
func behind(t *testing.T) (p *pgproxy.Proxy, through, direct, table string) {
	t.Helper()
	direct = os.Getenv("DURABLE_TEST_POSTGRES_URL")
	if direct == "" {
		t.Skip("SKIPPED: DURABLE_TEST_POSTGRES_URL is not set; scripts/postgres starts a server")
	}
	u, err := url.Parse(direct)
	if err != nil {
		t.Fatal(err)
	}
	if p, err = pgproxy.New(u.Host); err != nil {
		t.Fatal(err)
	}
	if through, err = p.URL(direct); err != nil {
		t.Fatal(err)
	}
	table = fmt.Sprintf("proxied_%016x", rand.Uint64())
	c := connect(t, direct)
	if _, err := c.Exec(t.Context(), "create table "+table+" (n int)"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
		c := connect(t, direct)
		if _, err := c.Exec(context.Background(), "drop table "+table); err != nil {
			t.Error(err)
		}
	})
	return p, through, direct, table
}

func connect(t *testing.T, url string) *pgx.Conn {
	t.Helper()
	c, err := pgx.Connect(context.Background(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close(context.Background()) })
	return c
}

// insert is a transaction in one round trip, its statements prepared.
func insert(ctx context.Context, c *pgx.Conn, table string, n int) error {
	var b pgx.Batch
	b.Queue("begin")
	b.Queue("insert into "+table+" values ($1)", n)
	b.Queue("commit")
	return c.SendBatch(ctx, &b).Close()
}

func rows(t *testing.T, url, table string) (n int) {
	t.Helper()
	if err := connect(t, url).QueryRow(t.Context(), "select count(*) from "+table).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// A connection is cut before the server has the commit, or right after it.
func TestProxy_CutsAroundACommit(t *testing.T) {
	p, through, direct, table := behind(t)
	for _, warm := range []bool{false, true} { // statements prepared by this transaction, or long before
		for _, server := range []bool{false, true} {
			before := rows(t, direct, table)
			c := connect(t, through)
			if warm {
				if err := insert(t.Context(), c, table, 0); err != nil {
					t.Fatal(err)
				}
				before++
			}
			p.Set(func(m pgproxy.Message) pgproxy.Fault {
				if m.Commit && m.Server == server {
					return pgproxy.Fault{Do: pgproxy.Reset}
				}
				return pgproxy.Fault{}
			})
			err := insert(t.Context(), c, table, 1)
			var said *pgconn.PgError
			if err == nil || errors.As(err, &said) {
				t.Errorf("warm %v, server %v: %v", warm, server, err)
			}
			p.Set(nil)
			want := before
			if server {
				want++
			}
			if got := rows(t, direct, table); got != want {
				t.Errorf("warm %v, cut after the commit %v: %d rows, want %d", warm, server, got, want)
			}
		}
	}
}

func TestProxy_RefusesForTheServer(t *testing.T) {
	p, through, direct, table := behind(t)
	c := connect(t, through)
	if err := insert(t.Context(), c, table, 1); err != nil {
		t.Fatal(err)
	}
	once := true
	p.Set(func(m pgproxy.Message) pgproxy.Fault {
		if m.First && m.Type == 'B' && once {
			once = false
			return pgproxy.Fault{Do: pgproxy.Refuse, Code: "40001"}
		}
		return pgproxy.Fault{}
	})
	var said *pgconn.PgError
	if err := insert(t.Context(), c, table, 2); !errors.As(err, &said) || said.Code != "40001" {
		t.Errorf("refused: %v", err)
	}
	if err := insert(t.Context(), c, table, 3); err != nil {
		t.Errorf("the next: %v", err)
	}
	if n := rows(t, direct, table); n != 2 {
		t.Errorf("%d rows, want 2", n)
	}
	p.Set(func(m pgproxy.Message) pgproxy.Fault {
		if m.Type == 0 && !m.Server {
			return pgproxy.Fault{Do: pgproxy.Refuse, Code: "53300"}
		}
		return pgproxy.Fault{}
	})
	if _, err := pgx.Connect(t.Context(), through); !errors.As(err, &said) || said.Code != "53300" {
		t.Errorf("a connection too many: %v", err)
	}
}

func TestProxy_SlowAndSilent(t *testing.T) {
	p, through, direct, table := behind(t)
	p.Set(func(pgproxy.Message) pgproxy.Fault { return pgproxy.Fault{Slice: 7, Wait: time.Microsecond} })
	c := connect(t, through)
	if err := insert(t.Context(), c, table, 1); err != nil {
		t.Errorf("in slices: %v", err)
	}
	for _, do := range []pgproxy.Action{pgproxy.Swallow, pgproxy.HalfClose} {
		p.Set(nil)
		c := connect(t, through)
		p.Set(func(m pgproxy.Message) pgproxy.Fault {
			if m.Server {
				return pgproxy.Fault{Do: do}
			}
			return pgproxy.Fault{}
		})
		before := p.Requests()
		limit := 300 * time.Millisecond
		if do == pgproxy.HalfClose { // its end is seen
			limit = time.Minute
		}
		ctx, cancel := context.WithTimeout(t.Context(), limit)
		err := insert(ctx, c, table, 1)
		if silent := ctx.Err() != nil; err == nil || silent != (do == pgproxy.Swallow) {
			t.Errorf("action %d: %v", do, err)
		}
		cancel()
		if p.Requests() == before || p.Accepted() < 2 {
			t.Errorf("%d requests, %d connections", p.Requests(), p.Accepted())
		}
		p.CutAll()
	}
	if n := rows(t, direct, table); n < 1 {
		t.Errorf("%d rows", n)
	}
}
