package main

import (
	"context"
	"database/sql"
	"errors"
	"path/filepath"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	_ "modernc.org/sqlite" // the raw database that ratios are taken against
)

// result100 is a result of 100 bytes.
const result100 = "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"

// rowsOfRaw are rows as the engine's journal has them: so many runs go forward
// side by side, six rows each.
type rowsOfRaw struct {
	ids    []uuid.UUID
	seqs   []int32
	bodies [][]byte
}

func newRows(n, size int) *rowsOfRaw {
	r := &rowsOfRaw{make([]uuid.UUID, n), make([]int32, n), make([][]byte, n)}
	body := random(size)
	for i := range n {
		r.bodies[i] = body
	}
	return r
}

func (r *rowsOfRaw) next() error {
	for i := range r.ids {
		if r.seqs[i]%6 == 0 {
			id, err := uuid.NewV7()
			if err != nil {
				return err
			}
			r.ids[i], r.seqs[i] = id, 0
		}
		r.seqs[i]++
	}
	return nil
}

const rawInsert = `INSERT INTO journal (execution, seq, epoch, at, body)
	SELECT id, seq, 1, clock_timestamp(), body FROM unnest($1::uuid[], $2::int[], $3::bytea[]) AS u (id, seq, body)`

// rawWriters is how many connections write the raw batches: on 2 CPUs two are
// faster than one, and more than two are not.
const rawWriters = 2

// withRawPostgres gives fn the address of a schema with a journal and nothing
// else.
func (b *bench) withRawPostgres(ctx context.Context, fn func(connect func() (*pgx.Conn, error)) error) error {
	return b.pg.schema(ctx, func(schema string) error {
		connect := func() (*pgx.Conn, error) {
			config, err := pgx.ParseConfig(b.pg.url)
			if err != nil {
				return nil, err
			}
			config.RuntimeParams["search_path"] = schema
			return pgx.ConnectConfig(ctx, config)
		}
		if _, err := b.pg.pool.Exec(ctx, "CREATE SCHEMA "+schema); err != nil {
			return err
		}
		_, err := b.pg.pool.Exec(ctx, "CREATE TABLE "+schema+`.journal (execution uuid NOT NULL, seq integer NOT NULL, epoch bigint NOT NULL,
			at timestamptz NOT NULL, body bytea NOT NULL, PRIMARY KEY (execution, seq))`)
		if err != nil {
			return err
		}
		return fn(connect)
	})
}

// rawBatches is how many rows a second PostgreSQL takes in batches.
func (b *bench) rawBatches(ctx context.Context, batch, size int) (r rate, err error) {
	err = b.withRawPostgres(ctx, func(connect func() (*pgx.Conn, error)) error {
		writers := make(chan func(ctx context.Context) (int, error), rawWriters)
		for range rawWriters {
			c, err := connect()
			if err != nil {
				return err
			}
			defer c.Close(context.WithoutCancel(ctx))
			rows := newRows(batch, size)
			writers <- func(ctx context.Context) (int, error) {
				if err := rows.next(); err != nil {
					return 0, err
				}
				_, err := c.Exec(ctx, rawInsert, rows.ids, rows.seqs, rows.bodies)
				return batch, err
			}
		}
		r, err = drive(ctx, b.pg, b.window()/2, rawWriters, func(ctx context.Context) (int, error) {
			write := <-writers
			defer func() { writers <- write }()
			return write(ctx)
		})
		return err
	})
	return r, err
}

// rawSingles times commits of one row each, by one connection.
func (b *bench) rawSingles(ctx context.Context, n, size int) (took []time.Duration, err error) {
	err = b.withRawPostgres(ctx, func(connect func() (*pgx.Conn, error)) error {
		c, err := connect()
		if err != nil {
			return err
		}
		defer c.Close(context.WithoutCancel(ctx))
		rows := newRows(1, size)
		took, err = timed(n, func() error {
			_, err := c.Exec(ctx, "INSERT INTO journal (execution, seq, epoch, at, body) VALUES ($1, $2, 1, clock_timestamp(), $3)", rows.ids[0], rows.seqs[0], rows.bodies[0])
			return err
		}, rows.next)
		return err
	})
	return took, err
}

// timed times one n times, after 20 times that do not count. before is not
// timed.
func timed(n int, one func() error, before func() error) ([]time.Duration, error) {
	took := make([]time.Duration, 0, n)
	for i := range n + 20 {
		if before != nil {
			if err := before(); err != nil {
				return nil, err
			}
		}
		start := time.Now()
		if err := one(); err != nil {
			return nil, err
		}
		if i >= 20 {
			took = append(took, time.Since(start))
		}
	}
	return took, nil
}

// withRawSQLite gives fn a file with a journal and nothing else, through the
// driver and settings of the engine's store.
func (b *bench) withRawSQLite(ctx context.Context, fn func(db *sql.DB) error) error {
	return b.file(func(dir string) error {
		db, err := sql.Open("sqlite", "file:"+filepath.Join(dir, "raw.db")+
			"?_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=busy_timeout(5000)&_txlock=immediate")
		if err != nil {
			return err
		}
		defer db.Close()
		db.SetMaxOpenConns(1)
		_, err = db.ExecContext(ctx, "CREATE TABLE journal (execution BLOB, seq INTEGER, epoch INTEGER, at INTEGER, body BLOB, PRIMARY KEY (execution, seq)) WITHOUT ROWID")
		if err != nil {
			return err
		}
		return fn(db)
	})
}

const rawInsertSQLite = "INSERT INTO journal (execution, seq, epoch, at, body) VALUES (?, ?, 1, ?, ?)"

func (b *bench) rawBatchesSQLite(ctx context.Context, batch, size int) (r rate, err error) {
	err = b.withRawSQLite(ctx, func(db *sql.DB) error {
		rows := newRows(batch, size)
		insert, err := db.PrepareContext(ctx, rawInsertSQLite)
		if err != nil {
			return err
		}
		defer insert.Close()
		r, err = drive(ctx, nil, b.window()/2, 1, func(ctx context.Context) (int, error) {
			if err := rows.next(); err != nil {
				return 0, err
			}
			tx, err := db.BeginTx(ctx, nil)
			if err != nil {
				return 0, err
			}
			in, now := tx.StmtContext(ctx, insert), time.Now().UnixMicro()
			for i := range rows.ids {
				if _, err := in.ExecContext(ctx, rows.ids[i][:], rows.seqs[i], now, rows.bodies[i]); err != nil {
					return 0, errors.Join(err, tx.Rollback())
				}
			}
			return batch, tx.Commit()
		})
		return err
	})
	return r, err
}

func (b *bench) rawSinglesSQLite(ctx context.Context, n, size int) (took []time.Duration, err error) {
	err = b.withRawSQLite(ctx, func(db *sql.DB) error {
		rows := newRows(1, size)
		took, err = timed(n, func() error {
			_, err := db.ExecContext(ctx, rawInsertSQLite, rows.ids[0][:], rows.seqs[0], time.Now().UnixMicro(), rows.bodies[0])
			return err
		}, rows.next)
		return err
	})
	return took, err
}
