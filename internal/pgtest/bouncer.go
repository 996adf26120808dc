//go:build linux

package pgtest

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"time"
)

// ErrNoBouncer: PgBouncer is not installed. scripts/test installs it where it
// may; elsewhere the error says that it is impossible.
var ErrNoBouncer = errors.New("PgBouncer is not installed")

// Bouncer is a PgBouncer in transaction mode before a cluster.
type Bouncer struct {
	cmd     *exec.Cmd
	ended   chan error
	address string
	cluster *Cluster
}

// NewBouncer starts one with so many connections to the server. Close it in
// the end, before the cluster.
func NewBouncer(c *Cluster, size int) (*Bouncer, error) {
	path, err := exec.LookPath("pgbouncer")
	if err != nil {
		if path = "/usr/sbin/pgbouncer"; !has("/usr/sbin", "pgbouncer") {
			if _, err := exec.LookPath("apt-get"); err != nil || os.Geteuid() != 0 {
				return nil, fmt.Errorf("impossible here: %w, and this user cannot install it", ErrNoBouncer)
			}
			return nil, fmt.Errorf("SKIPPED: %w; scripts/test does that", ErrNoBouncer)
		}
	}
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	ini := fmt.Sprintf("[databases]\n* = host=127.0.0.1 port=%d\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = %d\nunix_socket_dir =\n"+
		"auth_type = scram-sha-256\nauth_file = %s\npool_mode = transaction\ndefault_pool_size = %d\nmax_client_conn = 200\nserver_login_retry = 1\n",
		c.port, port, c.path("users"), size)
	if err := errors.Join(c.write("bouncer.ini", ini), c.write("users", fmt.Sprintf("%q %q\n", "postgres", c.password))); err != nil {
		return nil, err
	}
	log, err := os.Create(c.path("bouncer.log"))
	if err != nil {
		return nil, err
	}
	defer func() { _ = log.Close() }()
	b := &Bouncer{cmd: exec.Command(path, c.path("bouncer.ini")), ended: make(chan error, 1), address: net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), cluster: c}
	b.cmd.Dir, b.cmd.Stdout, b.cmd.Stderr = c.dir, log, log
	b.cmd.SysProcAttr = &syscall.SysProcAttr{Credential: c.owner}
	if err := b.cmd.Start(); err != nil {
		return nil, err
	}
	go func() { b.ended <- b.cmd.Wait() }()
	return b, b.answers()
}

func (c *Cluster) write(name, text string) error {
	return errors.Join(os.WriteFile(c.path(name), []byte(text), 0o600), c.Give(c.path(name)))
}

// answers waits until connections are taken.
func (b *Bouncer) answers() error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for range 500 {
		conn, err := net.Dial("tcp", b.address)
		if err == nil {
			return conn.Close()
		}
		select {
		case <-tick.C:
		case err := <-b.ended:
			text, _ := os.ReadFile(b.cluster.path("bouncer.log")) // for the message only
			return fmt.Errorf("pgbouncer ended: %w\n%s", err, text)
		}
	}
	return errors.New("pgbouncer does not answer")
}

// URL is for connections of the superuser to a database, by way of the pooler.
func (b *Bouncer) URL(database string) string {
	return fmt.Sprintf("postgres://postgres:%s@%s/%s?sslmode=disable", b.cluster.password, b.address, database)
}

// Close kills it.
func (b *Bouncer) Close() error {
	if err := b.cmd.Process.Kill(); err != nil {
		return err
	}
	<-b.ended
	return nil
}
