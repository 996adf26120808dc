package postgres

import (
	"context"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/durable-go/durable/store"
)

// book is what counts of one name: read once in a transaction that has the name
// locked, then kept in step with what the transaction writes.
type book struct {
	loans map[store.ID]int64
	lent  int64 // their sum
	taken int64 // by tokens
}

// book reads what counts of a name.
func (t *tx) book(ctx context.Context, name string) (*book, error) {
	if b := t.books[name]; b != nil {
		return b, nil
	}
	b := &book{loans: map[store.ID]int64{}}
	t.read(readLoans, []any{name, t.now}, func(r pgx.CollectableRow) error {
		var id uuid.UUID
		var amount int64
		err := r.Scan((*nullable)(&id), &amount)
		b.loans[id] = amount
		b.lent += amount
		return err
	})
	t.read(readTokens, []any{name, t.now}, func(r pgx.CollectableRow) error { return r.Scan(&b.taken) })
	if err := t.flush(ctx); err != nil {
		return nil, err
	}
	if t.books == nil {
		t.books = map[string]*book{}
	}
	t.books[name] = b
	return b, nil
}

// lend notes a loan that is being written, if its name has a book. One that is
// over already does not count.
func (t *tx) lend(id store.ID, h *store.Hold) {
	b := t.books[h.Name]
	if b == nil {
		return
	}
	b.lent -= b.loans[id]
	delete(b.loans, id)
	if h.Amount > 0 && t.now.Before(stamp(h.Until)) {
		b.loans[id] = h.Amount
		b.lent += h.Amount
	}
}
