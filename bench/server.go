package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// server is a PostgreSQL with a database of this run's own.
type server struct {
	root       string // URL of the database it was reached by
	database   string
	url        string // of the own database
	pool       *pgxpool.Pool
	postmaster int // its process, or 0 if it cannot be seen from here
	schemas    int
	started    bool // by scripts/postgres
}

const databasePrefix = "durable_bench_"

// openServer finds or starts a server and makes a database in it. What an
// earlier run left behind when it was killed is dropped.
func openServer(ctx context.Context, root string) (*server, error) {
	s := &server{root: root}
	if root == "" {
		s.root = "postgres://postgres@127.0.0.1:5432/postgres?sslmode=disable"
	}
	conn, err := pgx.Connect(ctx, s.root)
	if err != nil && root == "" {
		if s.root, err = startServer(ctx); err != nil {
			return nil, err
		}
		s.started = true
		conn, err = pgx.Connect(ctx, s.root)
	}
	if err != nil {
		return nil, fmt.Errorf("PostgreSQL: %w; name another server with -postgres", err)
	}
	defer conn.Close(ctx)
	if err := dropAbandoned(ctx, conn); err != nil {
		return nil, err
	}
	s.database = databasePrefix + hex.EncodeToString(random(6))
	if _, err := conn.Exec(ctx, "CREATE DATABASE "+s.database); err != nil {
		return nil, fmt.Errorf("PostgreSQL: make a database: %w", err)
	}
	if s.url, err = inDatabase(s.root, s.database); err == nil {
		s.pool, err = newPool(ctx, s.url, 2)
	}
	if err == nil {
		err = s.look(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

func startServer(ctx context.Context) (string, error) {
	cmd := exec.CommandContext(ctx, "../scripts/postgres")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("no PostgreSQL answers at 127.0.0.1:5432, and scripts/postgres: %w", err)
	}
	return strings.TrimSpace(string(out)), nil
}

// dropAbandoned drops databases of earlier runs that nobody is connected to: a
// living run always is.
func dropAbandoned(ctx context.Context, conn *pgx.Conn) error {
	rows, err := conn.Query(ctx, `
		SELECT datname FROM pg_database d
		WHERE datname LIKE 'durable\_bench\_%' AND NOT EXISTS (SELECT FROM pg_stat_activity a WHERE a.datname = d.datname)`)
	if err != nil {
		return err
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return err
	}
	for _, name := range names {
		// Somebody may have connected, or dropped it, since.
		_, _ = conn.Exec(ctx, "DROP DATABASE IF EXISTS "+pgx.Identifier{name}.Sanitize())
	}
	return nil
}

// inDatabase is the same address with another database.
func inDatabase(address, database string) (string, error) {
	if !strings.Contains(address, "://") {
		return address + " dbname=" + database, nil
	}
	u, err := url.Parse(address)
	if err != nil {
		return "", err
	}
	u.Path = "/" + database
	return u.String(), nil
}

func newPool(ctx context.Context, address string, size int32) (*pgxpool.Pool, error) {
	config, err := pgxpool.ParseConfig(address)
	if err != nil {
		return nil, err
	}
	config.MaxConns, config.MinConns = size, min(size, 1)
	return pgxpool.NewWithConfig(ctx, config)
}

// close drops the database and stops the server if this run started it.
func (s *server) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if s.pool != nil {
		s.pool.Close()
	}
	conn, err := pgx.Connect(ctx, s.root)
	if err == nil {
		_, err = conn.Exec(ctx, "DROP DATABASE IF EXISTS "+s.database+" WITH (FORCE)")
		err = errors.Join(err, conn.Close(ctx))
	}
	if s.started {
		err = errors.Join(err, exec.CommandContext(ctx, "../scripts/postgres", "stop").Run())
	}
	if err != nil {
		return fmt.Errorf("PostgreSQL: clean up: %w", err)
	}
	return nil
}

// schema gives fn a name for a schema that nobody has used, after a checkpoint,
// so that nobody pays for the pages of whoever was before; then the schema is
// dropped.
func (s *server) schema(ctx context.Context, fn func(schema string) error) error {
	s.schemas++
	name := fmt.Sprintf("s%d", s.schemas)
	if err := s.checkpoint(ctx); err != nil {
		return err
	}
	err := fn(name)
	clean, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Minute)
	defer cancel()
	if ctx.Err() == nil { // else the whole database goes at once
		_, e := s.pool.Exec(clean, "DROP SCHEMA IF EXISTS "+name+" CASCADE")
		err = errors.Join(err, e)
	}
	return err
}

// checkpoint is not possible for users without the right; then it is left out.
func (s *server) checkpoint(ctx context.Context) error {
	_, err := s.pool.Exec(ctx, "CHECKPOINT")
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	_ = err
	return nil
}

// others is how many connections to other databases are doing something, or
// did within the last seconds.
func (s *server) others(ctx context.Context) (n int, err error) {
	err = s.pool.QueryRow(ctx, `
		SELECT count(*) FROM pg_stat_activity
		WHERE datname <> current_database() AND backend_type = 'client backend'
			AND (state <> 'idle' OR state_change > clock_timestamp() - interval '5 s')`).Scan(&n)
	return n, err
}

func random(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // it never fails
	return b
}

// joinEnd is the error of a run and of its cleaning up; an interrupt is said
// in plain words.
func joinEnd(ctx context.Context, err, end error) error {
	if ctx.Err() != nil {
		return errors.Join(errors.New("interrupted; nothing was left behind"), end)
	}
	return errors.Join(err, end)
}
