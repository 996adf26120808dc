package postgres

import (
	"context"
	"net"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// Patience with a network that loses what is sent. A peer that has vanished
// without a word is given up by the kernel after about these times; one that is
// there and silent, by the deadline of each call.
const (
	connectTimeout = 5 * time.Second // to connect, if the caller's settings do not say
	unacknowledged = 5 * time.Second // sent, and the other side did not confirm that it came
	keepAliveIdle  = 5 * time.Second
	keepAliveEvery = 2 * time.Second
	keepAliveCount = 3
	pingTimeout    = 2 * time.Second // of a connection that was idle, before it is used
)

// patient gives connections our patience, whatever way the caller has them
// made. What they say is UTF-8, whatever the role's settings say.
func patient(config *pgconn.Config) {
	config.RuntimeParams["client_encoding"] = "UTF8"
	if config.ConnectTimeout <= 0 {
		config.ConnectTimeout = connectTimeout
	}
	dial := config.DialFunc
	config.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := dial(ctx, network, address)
		if tcp, ok := c.(*net.TCPConn); ok {
			// What the system does not offer is not needed: the deadlines are there.
			_ = tcp.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true, Idle: keepAliveIdle, Interval: keepAliveEvery, Count: keepAliveCount})
			_ = giveUpAfter(tcp, unacknowledged)
		}
		return c, err
	}
}
