package postgres

import (
	"net"
	"syscall"
	"time"
)

// giveUpAfter breaks a connection on which nobody confirms for so long what was
// sent.
func giveUpAfter(c *net.TCPConn, d time.Duration) error {
	const tcpUserTimeout = 0x12 // TCP_USER_TIMEOUT of tcp(7); milliseconds
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	var set error
	if err := raw.Control(func(fd uintptr) {
		set = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, tcpUserTimeout, int(d.Milliseconds()))
	}); err != nil {
		return err
	}
	return set
}
