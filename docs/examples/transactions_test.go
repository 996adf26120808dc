package examples_test

import (
	"context"
	"database/sql"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/jackc/pgx/v5"
	_ "modernc.org/sqlite"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/store/sqlite"
)

type Sale struct {
	ID    string `json:"id"`
	Cents int    `json:"cents"`
	Paid  bool   `json:"paid,omitempty"`
}

// [tx]
func book(ctx context.Context, s *Sale) error {
	s.Paid = true
	return durable.Tx(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, "INSERT INTO booking (sale, cents) VALUES (?, ?)", s.ID, s.Cents)
		return err
	})
}

// [/tx]

// [tx-pgx]
func bookOnPostgres(ctx context.Context, s *Sale) error {
	s.Paid = true
	return durable.Tx(ctx, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, "INSERT INTO booking (sale, cents) VALUES ($1, $2)", s.ID, s.Cents)
		return err
	})
}

// [/tx-pgx]

var (
	_        = bookOnPostgres
	bookSale = durable.Define("book_sale",
		durable.Step("book", book),
		durable.Step("await_receipt", func(ctx context.Context, s *Sale) error {
			_, err := durable.WaitForEvent[string](ctx, "receipt")
			return err
		}))
)

// [start]
func sell(ctx context.Context, db *sql.DB, engine *durable.Engine, s Sale) (*durable.Run[Sale], error) {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return nil, err
	}
	defer tx.Rollback()
	if _, err := tx.ExecContext(ctx, "INSERT INTO sale (id, cents) VALUES (?, ?)", s.ID, s.Cents); err != nil {
		return nil, err
	}
	run, err := bookSale.StartTx(ctx, engine, tx, s, durable.Key(s.ID))
	if err != nil {
		return nil, err
	}
	return run, tx.Commit() // the sale and its run exist, or neither does
}

// [/start]

func receive(ctx context.Context, db *sql.DB, engine *durable.Engine, id durable.ID) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	// [event]
	if _, err := tx.ExecContext(ctx, "UPDATE sale SET receipt = 'R1'"); err != nil {
		return err
	}
	if err := engine.SendEventTx(ctx, tx, id, "receipt", "R1"); err != nil {
		return err
	}
	return tx.Commit()
	// [/event]
}

func Example_transactions() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "durable")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "shop.db")
	engine, err := durable.Open(ctx, sqlite.Open(path), durable.Config{
		Workflows: []durable.Definition{bookSale},
		Logger:    slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
	if err != nil {
		panic(err)
	}
	defer engine.Close()
	go engine.Run(ctx)
	// [open]
	db, err := sql.Open("sqlite", "file:"+path+"?_txlock=immediate&_pragma=busy_timeout(5000)") // modernc.org/sqlite
	// [/open]
	if err != nil {
		panic(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(ctx, "CREATE TABLE sale (id TEXT, cents INT, receipt TEXT); CREATE TABLE booking (sale TEXT, cents INT)"); err != nil {
		panic(err)
	}
	run, err := sell(ctx, db, engine, Sale{ID: "s1", Cents: 995})
	if err != nil {
		panic(err)
	}
	if err := receive(ctx, db, engine, run.ID); err != nil {
		panic(err)
	}
	s, err := run.Wait(ctx)
	var booked int
	_ = db.QueryRowContext(ctx, "SELECT sum(cents) FROM booking").Scan(&booked)
	fmt.Println(s.Paid, booked, err)
	// Output: true 995 <nil>
}
