package postgres_test

import (
	"os"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/durable-go/durable/store/postgres"
)

// The queries that operators are told to ask can be asked.
func TestDocs_Queries(t *testing.T) {
	text, err := os.ReadFile("../../docs/operating.md")
	if err != nil {
		t.Fatal(err)
	}
	url, schema := fresh(t)
	st := open(t, postgres.Open(url, postgres.Schema(schema)))
	commit(t, st, beginning())
	c, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close(t.Context()) }()
	quoted := pgx.Identifier{schema}.Sanitize()
	ours := strings.NewReplacer("durable.", quoted+".", "'durable'::", "'"+quoted+"'::", "'durable'", "'"+schema+"'")
	asked := 0
	for _, part := range strings.Split(string(text), "```sql\n")[1:] {
		query, _, closed := strings.Cut(part, "```")
		if !closed {
			t.Fatalf("a query does not end: %.80s", part)
		}
		rows, err := c.Query(t.Context(), ours.Replace(query))
		if err != nil {
			t.Errorf("%s: %v", query, err)
			continue
		}
		n := 0
		for rows.Next() {
			n++
		}
		if rows.Err() != nil {
			t.Errorf("%s: %v", query, rows.Err())
		}
		asked++
		if strings.Contains(query, "min(due)") && n != 1 {
			t.Errorf("one run is due, and the query tells of %d queues", n)
		}
	}
	if asked < 6 {
		t.Errorf("only %d queries were found", asked)
	}
}
