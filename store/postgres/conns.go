package postgres

import (
	"context"
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

	alive *gate // paces attempts to connect for renewals
	work  *gate // and for all the rest
}

// Connections of one handle, beside one that listens for hints and those of
// the user's pool, of which Open makes none before they are needed. One renews,
// and three write (the committer, a claim, a takeover); the others take their
// place while a broken connection is being closed, for which pgx takes up to 15
// seconds.
const (
	beatConns  = 3
	writeConns = 6
	readConns  = 4
)

// pingAfter is how long a connection may lie idle before it is tried out first.
const pingAfter = 30 * time.Second

// Attempts to connect, while the server is away: 4 a second with the one that
// listens. Where a proxy takes connections for a server that is away, pgx adds
// a request to cancel to each.
const (
	beatPace = time.Second
	workPace = 500 * time.Millisecond
)

// Settings of our sessions.
//
// Each statement looks rows up by an index, and is planned once for any values:
// a plan made while a table is small, and then kept, must not read all of it
// later. Lists are planned for the values they are asked with; they go through an
// index in its order until the page is full, and gather nothing before.
//
// Timeouts that somebody gave the role or the database are for people. Ours are
// the deadlines of the calls, and these for sessions whose client has vanished.
const (
	writeSettings = `set enable_seqscan = off; set plan_cache_mode = force_generic_plan; set jit = off;` + timeouts
	readSettings  = `set enable_seqscan = off; set enable_bitmapscan = off; set jit = off;` + timeouts
	timeouts      = `
		select set_config(name, '0', false) from pg_settings where name in ('lock_timeout', 'idle_session_timeout', 'transaction_timeout');
		set statement_timeout = '60s'; set idle_in_transaction_session_timeout = '10s'`
)

// connect makes the pools, after fn has seen that the server will do. Connections
// come when they are needed.
func connect(ctx context.Context, o *opener, first func(ctx context.Context, c *pgx.Conn) error) (c conns, err error) {
	c = conns{user: o.pool, alive: newGate(beatConns, beatPace), work: newGate(writeConns+readConns, workPace)}
	if c.user == nil {
		config, err := parse(o.url)
		if err != nil {
			return c, err
		}
		patient(&config.ConnConfig.Config)
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
	if c.ours && c.pooler { // a caller's pool is set up for that by its caller
		config := c.user.Config()
		config.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeCacheDescribe
		c.user.Close()
		if c.user, err = pgxpool.NewWithConfig(ctx, config); err != nil {
			return c, err
		}
	}
	for _, p := range []struct {
		pool     **pgxpool.Pool
		size     int32
		gate     *gate
		settings string
	}{
		{&c.beat, beatConns, c.alive, writeSettings}, {&c.write, writeConns, c.work, writeSettings}, {&c.read, readConns, c.work, readSettings},
	} {
		if *p.pool, err = c.own(ctx, p.size, p.gate, p.settings); err != nil {
			return c, err
		}
	}
	return c, nil
}

// own makes a pool of the engine's own, to the same server as the user's.
func (c *conns) own(ctx context.Context, size int32, g *gate, settings string) (*pgxpool.Pool, error) {
	config := c.user.Config()
	config.MinConns, config.MinIdleConns, config.MaxConns, config.PingTimeout = 0, 0, size, pingTimeout
	if config.ShouldPing == nil && settings == writeSettings {
		// A worker uses its connection once a second, and would ask each time whether
		// it still works. If not, that is an unknown outcome, and is asked again.
		config.ShouldPing = func(_ context.Context, p pgxpool.ShouldPingParams) bool { return p.IdleDuration > pingAfter }
	}
	if !c.ours {
		patient(&config.ConnConfig.Config)
	}
	before, after := config.BeforeConnect, config.AfterConnect
	config.BeforeConnect = func(ctx context.Context, cc *pgx.ConnConfig) error {
		if err := g.enter(ctx); err != nil || before == nil {
			return err
		}
		return before(ctx, cc)
	}
	if c.pooler {
		// What is set or prepared would stay with a session that the next
		// transaction does not get.
		config.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeCacheDescribe
	}
	config.AfterConnect = func(ctx context.Context, conn *pgx.Conn) error {
		if !c.pooler {
			if after != nil {
				if err := after(ctx, conn); err != nil {
					return err
				}
			}
			// Many statements at once: only the simple protocol takes them.
			if _, err := conn.PgConn().Exec(ctx, settings).ReadAll(); err != nil {
				return err
			}
		}
		g.pass()
		c.alive.open() // all may try again at once
		c.work.open()
		return nil
	}
	return pgxpool.NewWithConfig(ctx, config)
}

// acquire takes a connection of a pool. If the server has none left, the other
// pools give up those that they do not need just now: renewals, commits and
// looks take turns then, instead of one starving the others.
func (c *conns) acquire(ctx context.Context, pool *pgxpool.Pool) (*pgxpool.Conn, error) {
	got, err := pool.Acquire(ctx)
	if tooMany(err) {
		for _, p := range []*pgxpool.Pool{c.write, c.read} {
			if p != pool {
				p.Reset()
			}
		}
	}
	return got, err
}

// use runs fn on a connection of a pool.
func (c *conns) use(ctx context.Context, pool *pgxpool.Pool, fn func(c *pgx.Conn) error) error {
	got, err := c.acquire(ctx, pool)
	if err != nil {
		return err
	}
	defer leave(got)
	return fn(got.Conn())
}

// leave gives a connection back: the pool drops it if a transaction is open. A
// broken one leaves the pool at once, and its place is free: pgx closes it by
// itself, and takes up to 15 seconds for one whose peer is silent.
func leave(c *pgxpool.Conn) {
	if c.Conn().IsClosed() {
		c.Hijack()
		return
	}
	c.Release()
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
	if !c.ours {
		patient(&config.Config)
	}
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
