package postgres_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/durable-go/durable/store"
	"github.com/durable-go/durable/store/memory"
	"github.com/durable-go/durable/store/postgres"
	"github.com/durable-go/durable/store/storetest"
)

// server finds a PostgreSQL for the tests: DURABLE_TEST_POSTGRES_URL (make test
// sets it; there a server that does not answer is a failure), or one on this machine.
func server(tb testing.TB) string {
	tb.Helper()
	if url := os.Getenv("DURABLE_TEST_POSTGRES_URL"); url != "" {
		return url
	}
	for _, user := range []string{"postgres", "root"} {
		url := "postgres://" + user + "@127.0.0.1:5432/postgres?sslmode=disable"
		ctx, cancel := context.WithTimeout(tb.Context(), 3*time.Second)
		c, err := pgx.Connect(ctx, url)
		cancel()
		if err == nil {
			_ = c.Close(tb.Context())
			return url
		}
	}
	tb.Skip("SKIPPED: there is no PostgreSQL at 127.0.0.1:5432, and DURABLE_TEST_POSTGRES_URL is not set; scripts/postgres starts one")
	return ""
}

// fresh is a schema of its own, which is dropped when the test ends.
func fresh(tb testing.TB) (url, schema string) {
	tb.Helper()
	url, schema = server(tb), fmt.Sprintf("durable test %016x", rand.Uint64())
	tb.Cleanup(func() { execute(tb, url, "drop schema if exists "+pgx.Identifier{schema}.Sanitize()+" cascade") })
	return url, schema
}

// execute runs a statement on a connection of its own.
func execute(tb testing.TB, url, statement string) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(tb.Context()), time.Minute)
	defer cancel()
	c, err := pgx.Connect(ctx, url)
	if err != nil {
		tb.Errorf("connect: %v", err)
		return
	}
	defer func() { _ = c.Close(ctx) }()
	if _, err := c.Exec(ctx, statement); err != nil {
		tb.Errorf("%s: %v", statement, err)
	}
}

func opener(tb testing.TB) store.Opener {
	tb.Helper()
	url, schema := fresh(tb)
	return postgres.Open(url, postgres.Schema(schema))
}

func open(tb testing.TB, o store.Opener) store.Store {
	tb.Helper()
	st, err := o.OpenStore(tb.Context())
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = st.Close() })
	return st
}

func TestConformance(t *testing.T) {
	server(t) // skips once and loudly, not in every clause
	storetest.Run(t, func(t *testing.T) storetest.Harness {
		url, schema := fresh(t)
		return storetest.Harness{Opener: postgres.Open(url, postgres.Schema(schema)), Users: newPgxUsers(url, schema), Bodies: bodies(url, schema)}
	})
}

// Transactions of callers come from other drivers, too.
func TestConformance_DatabaseSQL(t *testing.T) {
	server(t)
	storetest.RunOnly(t, "outside/", func(t *testing.T) storetest.Harness {
		url, schema := fresh(t)
		return storetest.Harness{Opener: postgres.Open(url, postgres.Schema(schema)), Users: sqlUsers(url, schema)}
	})
}

func TestDifferential_AgainstMemory(t *testing.T) {
	for _, seed := range []uint64{1, 2, 15344024871531336737 /* two begins with one key in a batch */, rand.Uint64()} {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			storetest.Differential(t, storetest.Harness{Opener: memory.New()}, storetest.Harness{Opener: opener(t)}, seed)
		})
	}
}
