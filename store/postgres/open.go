package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/durable-go/durable/store"
)

// Option changes how a database is used.
type Option func(*opener)

// Schema chooses the schema that the tables are in; the default is "durable".
// It is made if it is not there. Stores in different schemas know nothing of
// each other.
func Schema(name string) Option { return func(o *opener) { o.schema = schema(name) } }

// Existing opens only what is there: tables are neither made nor upgraded, and
// the error says so, if they are missing (store.ErrNotDatabase) or of an older version.
func Existing() Option { return func(o *opener) { o.existing = true } }

type opener struct {
	url      string
	pool     *pgxpool.Pool
	schema   schema
	width    time.Duration // of partitions
	existing bool
}

// Open names a database by its URL, as libpq and pgx write it; pool_max_conns
// in it limits connections. Nothing happens before OpenStore, which makes or
// upgrades the tables. Each handle has connections of its own.
func Open(url string, opts ...Option) store.Opener { return newOpener(opener{url: url}, opts) }

// New uses a pool that the caller made and closes. Closing the store leaves it
// open.
func New(pool *pgxpool.Pool, opts ...Option) store.Opener {
	return newOpener(opener{pool: pool}, opts)
}

func newOpener(o opener, opts []Option) store.Opener {
	o.schema, o.width = defaultSchema, defaultWidth
	for _, opt := range opts {
		opt(&o)
	}
	return &o
}

// OpenStore implements store.Opener.
func (o *opener) OpenStore(ctx context.Context) (store.Store, error) {
	if n := len(o.schema); n == 0 || n > longestName {
		return nil, explain("open", fmt.Errorf("the name of a schema has 1 to %d bytes, and %.80q has %d", longestName, string(o.schema), n))
	}
	if o.width < smallestWidth {
		return nil, explain("open", fmt.Errorf("partitions of %s are too narrow; give at least %s", o.width, smallestWidth))
	}
	home := ""
	c, err := connect(ctx, o, func(ctx context.Context, c *pgx.Conn) error {
		err := inspect(ctx, c)
		if err == nil {
			err = o.prepare(ctx, c)
		}
		if err == nil {
			err = o.schema.rights(ctx, c)
		}
		if err == nil {
			home, err = o.schema.home(ctx, c)
		}
		return err
	})
	if err != nil {
		var config *pgx.ConnConfig
		if c.user != nil {
			config = c.user.Config().ConnConfig
		}
		err = o.advise(err, config)
		c.close()
		return nil, explain("open", err)
	}
	s := newStore(c, o.schema, home, o.width)
	// What cannot be made now is made soon; until then the default partitions take what comes.
	var late error
	if !o.existing {
		late = s.makeParts(ctx)
	}
	s.tendAt(late)
	return s, nil
}

// prepare makes or upgrades the tables, or only looks whether they will do.
func (o *opener) prepare(ctx context.Context, c *pgx.Conn) error {
	if !o.existing {
		return o.schema.migrate(ctx, c)
	}
	list, err := migrations()
	if err != nil {
		return err
	}
	switch have, err := o.schema.version(ctx, c, len(list)); {
	case err != nil:
		return err
	case have == 0:
		return fmt.Errorf("the database %q has no tables of ours in the schema %q, and none were made; is it the right database, and the schema that its programs use?: %w", c.Config().Database, string(o.schema), store.ErrNotDatabase)
	case have < len(list):
		return fmt.Errorf("the schema %q is of version %d and this program is for version %d; the programs that use it upgrade it when they open it", string(o.schema), have, len(list))
	}
	return nil
}

// server is what a server says about itself.
type server struct {
	version                                           int
	fsync, pages, commit, readOnly, encoding, recover string
}

// inspect refuses servers that could lose what they have confirmed, or on which
// nothing can be written.
func inspect(ctx context.Context, c *pgx.Conn) error {
	var s server
	err := c.QueryRow(ctx, `
		SELECT current_setting('server_version_num')::int, current_setting('fsync'), current_setting('full_page_writes'),
			current_setting('synchronous_commit'), current_setting('default_transaction_read_only'), current_setting('server_encoding'),
			CASE WHEN pg_is_in_recovery() THEN 'on' ELSE 'off' END`).
		Scan(&s.version, &s.fsync, &s.pages, &s.commit, &s.readOnly, &s.encoding, &s.recover)
	if err != nil {
		return err
	}
	return s.refuse()
}

func (s *server) refuse() error {
	switch {
	case s.version < oldestServer:
		return fmt.Errorf("the server is PostgreSQL %d, and 14 or newer is needed; upgrade it", s.version/10000)
	case s.recover == "on":
		return fmt.Errorf("the server is in recovery (a standby, or one that is being restored); connect to the primary, for example with target_session_attrs=read-write: %w", store.ErrReadOnly)
	case s.fsync == "off":
		return errors.New("the server has fsync off: a crash loses or corrupts what was confirmed; turn it on in postgresql.conf and restart")
	case s.pages == "off":
		return errors.New("the server has full_page_writes off: a crash can tear pages; turn it on in postgresql.conf and reload")
	case s.commit == "off":
		return errors.New("synchronous_commit is off: a crash loses what was confirmed; turn it on for this user or database (ALTER ROLE … SET synchronous_commit = on)")
	case s.readOnly == "on":
		return fmt.Errorf("default_transaction_read_only is on for this user or database; turn it off (ALTER ROLE … SET default_transaction_read_only = off), or use another user: %w", store.ErrReadOnly)
	case s.encoding != "UTF8":
		return fmt.Errorf("the database has the encoding %s; make one with CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0", s.encoding)
	}
	return nil
}

const (
	oldestServer  = 140000
	longestName   = 63 // of PostgreSQL's identifiers; longer ones are cut
	defaultSchema = "durable"
)

// schema is where the tables are.
type schema string

// of is a statement for the tables in this schema. Statements are written out
// whole, with tables as "durable.name"; a name cannot be a parameter, so this is
// the one place that changes a statement's text. It adds nothing but the quoted
// name. A search_path would do too, but not in a caller's pool or transaction.
func (n schema) of(statement string) string {
	if n == defaultSchema {
		return statement
	}
	return strings.ReplaceAll(statement, "durable.", pgx.Identifier{string(n)}.Sanitize()+".")
}
