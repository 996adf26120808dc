//go:build linux

package postgres_test

import (
	"fmt"
	"testing"

	"github.com/durable-go/durable/internal/pgtest"
	"github.com/durable-go/durable/store/postgres"
	"github.com/durable-go/durable/store/storetest"
)

// Behind a pooler in transaction mode the store keeps its contract. The
// users' own connections go to the server.
func TestPooler_Conformance(t *testing.T) {
	c := private(t)
	b, err := pgtest.NewBouncer(c, 10)
	if err != nil {
		t.Skip(err)
	}
	defer func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	}()
	n := 0
	storetest.Run(t, func(*testing.T) storetest.Harness {
		n++
		schema := fmt.Sprint("pooled ", n)
		return storetest.Harness{Opener: postgres.Open(b.URL("postgres"), postgres.Schema(schema)), Users: newPgxUsers(c.URL("postgres"), schema)}
	})
}
