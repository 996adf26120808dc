package postgres

import (
	"context"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// conns is what a store talks through. The engine's connections are its own,
// so that a renewal never queues behind commits, and neither behind user code
// that holds every connection of its pool.
type conns struct {
	user   *pgxpool.Pool // the caller's, or made for Open: transactions with user data
	ours   bool          // it was made here
	beat   *pgxpool.Pool // renewals
	write  *pgxpool.Pool // commits, claims, takeovers
	read   *pgxpool.Pool // all that only looks
	pooler bool          // something between here and the server gives each transaction another session
}

// Connections of one handle, beside one that listens for hints and those of
// the user's pool, of which Open makes none before they are needed.
const (
	beatConns  = 1
	writeConns = 3 // the committer, a claim, a takeover
	readConns  = 4
)

// pingAfter is how long a connection may lie idle before it is tried out first.
const pingAfter = 30 * time.Second

// Settings of our sessions.
//
// Each statement looks rows up by an index, and is planned once for any values:
// a plan made while a table is small, and then kept, must not read all of it
// later. Lists are planned for the values they are asked with; they go through an
// index in its order until the page is full, and gather nothing before.
const (
	writeSettings = `set enable_seqscan = off; set plan_cache_mode = force_generic_plan; set jit = off; set idle_in_transaction_session_timeout = `
	readSettings  = `set enable_seqscan = off; set enable_bitmapscan = off; set jit = off; set idle_in_transaction_session_timeout = `
)

// connect makes the pools, after fn has seen that the server will do. Connections
// come when they are needed.
func connect(ctx context.Context, o *opener, first func(ctx context.Context, c *pgx.Conn) error) (c conns, err error) {
	c = conns{user: o.pool}
	if c.user == nil {
		config, err := pgxpool.ParseConfig(o.url)
		if err != nil {
			return c, err
		}
		if config.ConnConfig.RuntimeParams["application_name"] == "" {
			config.ConnConfig.RuntimeParams["application_name"] = "durable"
		}
		if c.user, err = pgxpool.NewWithConfig(ctx, config); err != nil {
			return c, err
		}
		c.ours = true
	}
	if err := c.visit(ctx, first); err != nil {
		return c, err
	}
	for _, p := range []struct {
		pool     **pgxpool.Pool
		size     int32
		settings string
	}{
		{&c.beat, beatConns, writeSettings}, {&c.write, writeConns, writeSettings}, {&c.read, readConns, readSettings},
	} {
		if *p.pool, err = c.own(ctx, p.size, p.settings); err != nil {
			return c, err
		}
	}
	return c, nil
}

// own makes a pool of the engine's own, to the same server as the user's.
func (c *conns) own(ctx context.Context, size int32, settings string) (*pgxpool.Pool, error) {
	config := c.user.Config()
	config.MinConns, config.MinIdleConns, config.MaxConns = 0, 0, size
	if config.ShouldPing == nil && settings == writeSettings {
		// A worker uses its connection once a second, and would ask each time whether
		// it still works. If not, that is an unknown outcome, and is asked again.
		config.ShouldPing = func(_ context.Context, p pgxpool.ShouldPingParams) bool { return p.IdleDuration > pingAfter }
	}
	after := config.AfterConnect
	if c.pooler {
		// What is set or prepared would stay with a session that the next
		// transaction does not get.
		config.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeCacheDescribe
	} else {
		config.AfterConnect = func(ctx context.Context, conn *pgx.Conn) error {
			if after != nil {
				if err := after(ctx, conn); err != nil {
					return err
				}
			}
			// Many statements at once: only the simple protocol takes them.
			_, err := conn.PgConn().Exec(ctx, settings+strconv.FormatInt(idleTransaction.Milliseconds(), 10)).ReadAll()
			return err
		}
	}
	return pgxpool.NewWithConfig(ctx, config)
}

// visit runs fn on a connection that is closed after it, and looks whether a
// pooler such as PgBouncer is in between: it answers a connection with a process
// number of its own making.
func (c *conns) visit(ctx context.Context, fn func(ctx context.Context, c *pgx.Conn) error) error {
	conn, err := c.dial(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	var pid uint32
	if err := conn.QueryRow(ctx, "SELECT pg_backend_pid()", pgx.QueryExecModeSimpleProtocol).Scan(&pid); err != nil {
		return err
	}
	c.pooler = pid != conn.PgConn().PID()
	return fn(ctx, conn)
}

// dial makes a connection as the user's pool does, but for none of the pools.
func (c *conns) dial(ctx context.Context) (*pgx.Conn, error) {
	pool := c.user.Config()
	config := pool.ConnConfig.Copy()
	config.DefaultQueryExecMode = pgx.QueryExecModeCacheDescribe // as a pooler wants it
	if pool.BeforeConnect != nil {
		if err := pool.BeforeConnect(ctx, config); err != nil {
			return nil, err
		}
	}
	return pgx.ConnectConfig(ctx, config)
}

// close waits for what is running on our connections.
func (c *conns) close() {
	for _, p := range []*pgxpool.Pool{c.beat, c.write, c.read} {
		if p != nil {
			p.Close()
		}
	}
	if c.ours && c.user != nil {
		c.user.Close()
	}
}
