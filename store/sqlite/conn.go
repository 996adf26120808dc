package sqlite

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"
	"time"

	"github.com/google/uuid"
	"modernc.org/sqlite"

	"github.com/durable-go/durable/store"
)

// conn is one connection with the statements it has prepared so far, kept for
// its life. It is used by one goroutine at a time.
//
// It speaks to the driver itself, not through database/sql: a commit of 256
// rows runs 300 statements, and the locks and conversions in between cost as
// much as SQLite's own work. As a consequence nobody's connection hooks or
// functions registered with the driver reach our connections either.
type conn struct {
	raw   driver.Conn
	stmts map[string]driver.Stmt
	args  []driver.NamedValue // reused: the driver copies what it binds
}

// connect opens a connection. pragmas are given to the driver in the name, so
// that no connection is ever without them.
func connect(path string, params []string, pragmas ...string) (*conn, error) {
	q := make([]string, 0, len(params)+len(pragmas))
	q = append(q, params...)
	for _, p := range pragmas {
		q = append(q, "_pragma="+url.QueryEscape(p))
	}
	// A driver of its own: what others registered globally stays out.
	raw, err := new(sqlite.Driver).Open("file:" + escape(path) + "?" + strings.Join(q, "&"))
	if err != nil {
		return nil, err
	}
	return &conn{raw: raw, stmts: map[string]driver.Stmt{}}, nil
}

// escape makes a path safe within a URI; slashes stay.
func escape(path string) string {
	return strings.NewReplacer("%", "%25", "?", "%3f", "#", "%23").Replace(path)
}

func (c *conn) close() error {
	var errs []error
	for _, s := range c.stmts {
		errs = append(errs, s.Close())
	}
	return errors.Join(append(errs, c.raw.Close())...)
}

// prepared returns the statement for a query. Queries are constants of this
// package, so the number of statements is bounded.
func (c *conn) prepared(query string) (driver.Stmt, error) {
	if s, ok := c.stmts[query]; ok {
		return s, nil
	}
	s, err := c.raw.Prepare(query)
	if err != nil {
		return nil, err
	}
	c.stmts[query] = s
	return s, nil
}

// exec runs a statement. No context reaches SQLite: a statement that has begun
// finishes, so that a connection is never left in the middle.
func (c *conn) exec(query string, args ...any) (driver.Result, error) {
	s, err := c.prepared(query)
	if err != nil {
		return nil, err
	}
	return s.(driver.StmtExecContext).ExecContext(context.Background(), c.bind(args))
}

// changes runs a statement and tells how many rows it changed.
func (c *conn) changes(query string, args ...any) (int64, error) {
	r, err := c.exec(query, args...)
	if err != nil {
		return 0, err
	}
	return r.RowsAffected()
}

// script runs several statements that return nothing.
func (c *conn) script(text string) error {
	s, err := c.raw.Prepare(text)
	if err != nil {
		return err
	}
	_, err = s.(driver.StmtExecContext).ExecContext(context.Background(), nil)
	return errors.Join(err, s.Close())
}

// query calls each with every row. The row is valid during the call only; the
// bytes in it may be kept.
func (c *conn) query(query string, each func(row) error, args ...any) (err error) {
	s, err := c.prepared(query)
	if err != nil {
		return err
	}
	rows, err := s.(driver.StmtQueryContext).QueryContext(context.Background(), c.bind(args))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	r := make(row, len(rows.Columns()))
	for {
		switch err := rows.Next(r); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
		if err := each(r); err != nil {
			return err
		}
	}
}

// one calls each with the first row, if there is one, and tells whether there was.
func (c *conn) one(query string, each func(row), args ...any) (found bool, err error) {
	err = c.query(query, func(r row) error {
		if !found {
			each(r)
		}
		found = true
		return nil
	}, args...)
	return found, err
}

// bind converts arguments. Empty strings, byte slices and times are themselves;
// callers that mean NULL pass nil or use the or-null functions.
func (c *conn) bind(args []any) []driver.NamedValue {
	c.args = c.args[:0]
	for i, a := range args {
		v := driver.NamedValue{Ordinal: i + 1}
		switch a := a.(type) {
		case int64, string, []byte, nil:
			v.Value = a
		case int:
			v.Value = int64(a)
		case uuid.UUID:
			v.Value = a[:]
		case store.Status:
			v.Value = string(a)
		default:
			panic(fmt.Sprintf("sqlite: cannot bind %T", a))
		}
		c.args = append(c.args, v)
	}
	return c.args
}

// row is a result row.
type row []driver.Value

func (r row) int(i int) int64 {
	n, _ := r[i].(int64)
	return n
}

func (r row) text(i int) string {
	switch s := r[i].(type) {
	case string:
		return s
	case []byte: // some drivers of callers give texts so
		return string(s)
	}
	return ""
}

func (r row) bytes(i int) []byte {
	b, _ := r[i].([]byte)
	return b
}

func (r row) id(i int) (id uuid.UUID) {
	copy(id[:], r.bytes(i))
	return id
}

func (r row) time(i int) time.Time {
	if r[i] == nil {
		return time.Time{}
	}
	return fromMicros(r.int(i))
}

// forever stands for the deadline of a wait that has none.
const forever = int64(1<<63 - 1)

func fromMicros(us int64) time.Time {
	if us == forever {
		return time.Time{}
	}
	return time.UnixMicro(us).UTC()
}

// micros rounds up, so that nothing is ever due before its time.
func micros(t time.Time) int64 {
	us := t.UnixMicro()
	if t.Nanosecond()%1000 != 0 {
		us++
	}
	return us
}

// timeOrNull is NULL for the zero time.
func timeOrNull(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return micros(t)
}

// idOrNull is NULL for the zero ID.
func idOrNull(id uuid.UUID) any {
	if id == uuid.Nil {
		return nil
	}
	return id
}

// textOrNull is NULL for the empty string.
func textOrNull(s string) any {
	if s == "" {
		return nil
	}
	return s
}
