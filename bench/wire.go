package main

import (
	"context"
	"encoding/binary"
	"net"
	"sync"
	"sync/atomic"

	"github.com/jackc/pgx/v5/pgxpool"
)

// wire counts what goes over a pool's connections, below everything that could
// count wrongly.
type wire struct {
	trips      atomic.Int64 // times that something was sent after something was received
	statements atomic.Int64 // Query and Execute messages, begin and commit included
}

// pool makes a pool whose connections are counted. It must not use TLS.
func (w *wire) pool(ctx context.Context, address string) (*pgxpool.Pool, error) {
	config, err := pgxpool.ParseConfig(address)
	if err != nil {
		return nil, err
	}
	config.ConnConfig.DialFunc = func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := new(net.Dialer).DialContext(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return &wireConn{Conn: c, wire: w, heard: true, bare: true}, nil
	}
	return pgxpool.NewWithConfig(ctx, config)
}

type wireConn struct {
	net.Conn
	wire *wire

	mu    sync.Mutex
	heard bool // something was received since something was sent
	bare  bool // the next message has no type: the first of a connection
	head  []byte
	skip  int // bytes left of a message
}

func (c *wireConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n > 0 {
		c.mu.Lock()
		c.heard = true
		c.mu.Unlock()
	}
	return n, err
}

func (c *wireConn) Write(p []byte) (int, error) {
	c.mu.Lock()
	if c.heard {
		c.heard = false
		c.wire.trips.Add(1)
	}
	c.parse(p)
	c.mu.Unlock()
	return c.Conn.Write(p)
}

// parse walks over the messages of a client: a type and a length, which counts
// itself.
func (c *wireConn) parse(p []byte) {
	for len(p) > 0 {
		if c.skip > 0 {
			n := min(c.skip, len(p))
			c.skip, p = c.skip-n, p[n:]
			continue
		}
		size := pick(c.bare, 4, 5)
		n := min(size-len(c.head), len(p))
		c.head, p = append(c.head, p[:n]...), p[n:]
		if len(c.head) < size {
			return
		}
		if !c.bare && (c.head[0] == 'Q' || c.head[0] == 'E') {
			c.wire.statements.Add(1)
		}
		c.skip = int(binary.BigEndian.Uint32(c.head[size-4:])) - 4
		c.head, c.bare = c.head[:0], false
	}
}
