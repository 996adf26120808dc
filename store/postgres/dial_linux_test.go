package postgres

import (
	"net"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
)

// Connections are given up by the kernel when nobody confirms what was sent.
func TestPatient(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	config, err := pgconn.ParseConfig("postgres://" + l.Addr().String() + "/x?sslmode=disable")
	if err != nil {
		t.Fatal(err)
	}
	patient(config)
	c, err := config.DialFunc(t.Context(), "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	raw, err := c.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	want := map[string][3]int{
		"user timeout": {syscall.IPPROTO_TCP, 0x12, 5000}, "keep-alive": {syscall.SOL_SOCKET, syscall.SO_KEEPALIVE, 1},
		"idle": {syscall.IPPROTO_TCP, syscall.TCP_KEEPIDLE, 5}, "interval": {syscall.IPPROTO_TCP, syscall.TCP_KEEPINTVL, 2}, "count": {syscall.IPPROTO_TCP, syscall.TCP_KEEPCNT, 3},
	}
	if err := raw.Control(func(fd uintptr) {
		for what, o := range want {
			if got, err := syscall.GetsockoptInt(int(fd), o[0], o[1]); err != nil || got != o[2] {
				t.Errorf("%s: %d, %v, want %d", what, got, err, o[2])
			}
		}
	}); err != nil {
		t.Fatal(err)
	}
	if config.ConnectTimeout != connectTimeout || config.RuntimeParams["client_encoding"] != "UTF8" {
		t.Errorf("%s, %v", config.ConnectTimeout, config.RuntimeParams)
	}
}
