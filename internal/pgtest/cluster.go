//go:build linux

package pgtest

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// ErrNone: the binaries are not installed, so that there can be no cluster.
var ErrNone = errors.New("impossible here: initdb, pg_ctl and postgres are not installed")

// Cluster is a server on a loopback port, with fsync on, whose only user is
// the superuser postgres with a random password.
type Cluster struct {
	dir, bin string
	port     int
	password string
	settings []string
	owner    *syscall.Credential // nil: who we are; the server refuses to be root
}

// New makes a cluster and starts it. Settings are name=value. Close it in the
// end. The error is ErrNone if there are no binaries.
func New(settings ...string) (*Cluster, error) {
	bin, err := binaries()
	if err != nil {
		return nil, err
	}
	c := &Cluster{bin: bin, password: rand.Text(), settings: settings}
	uid, gid := -1, -1
	if os.Geteuid() == 0 {
		if uid, gid, err = servant(); err != nil {
			return nil, err
		}
		c.owner = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	}
	if c.dir, err = os.MkdirTemp(fast(), "durable-pgtest-"); err != nil {
		return nil, err
	}
	err = errors.Join(os.WriteFile(c.path("password"), []byte(c.password+"\n"), 0o600), os.Chown(c.path("password"), uid, gid), os.Chown(c.dir, uid, gid))
	if err == nil {
		err = c.run("initdb", "-D", c.data(), "-U", "postgres", "-A", "scram-sha-256", "--pwfile="+c.path("password"), "-E", "UTF8", "--locale=C", "--no-instructions", "--no-sync")
	}
	for try := 0; err == nil && try < 5; try++ {
		if c.port, err = freePort(); err != nil {
			break
		}
		if err = c.Start(); err == nil {
			return c, nil
		}
		if !strings.Contains(err.Error(), "Address already in use") {
			break
		}
		err = nil
	}
	return nil, errors.Join(err, os.RemoveAll(c.dir))
}

// fast is where files are in memory, if there is a gigabyte of it: what a
// server that is killed leaves is the same on every file system.
func fast() string {
	const memory = "/dev/shm"
	var s syscall.Statfs_t
	if err := syscall.Statfs(memory, &s); err != nil || s.Bavail*uint64(s.Bsize) < 1<<30 {
		return ""
	}
	return memory
}

// Close stops the server and removes all of it.
func (c *Cluster) Close() error {
	if _, err := os.Stat(filepath.Join(c.data(), "postmaster.pid")); err == nil {
		if err := c.Stop(); err != nil {
			return err
		}
	}
	return os.RemoveAll(c.dir)
}

// Start starts the server and returns when it answers, or would if it let
// anybody in. Further settings count until it is stopped.
func (c *Cluster) Start(settings ...string) error {
	o := fmt.Sprintf("-p %d -c listen_addresses=127.0.0.1 -c unix_socket_directories=''", c.port)
	for _, s := range slices.Concat(c.settings, settings) {
		o += " -c " + s
	}
	if err := c.run("pg_ctl", "-w", "-t", "60", "-D", c.data(), "-l", c.path("log"), "-o", o, "start"); err != nil {
		text, _ := os.ReadFile(c.path("log")) // it says more than pg_ctl
		return fmt.Errorf("%w\n%s", err, text[max(0, len(text)-2000):])
	}
	return nil
}

// Stop stops the server at once, without a shutdown checkpoint: as a crash
// does. What was committed is recovered by the next start.
func (c *Cluster) Stop() error {
	return c.run("pg_ctl", "-w", "-t", "60", "-D", c.data(), "-m", "immediate", "stop")
}

// Standby makes the server be in recovery from its next start on.
func (c *Cluster) Standby() error {
	return os.WriteFile(filepath.Join(c.data(), "standby.signal"), nil, 0o600)
}

// Address is host and port.
func (c *Cluster) Address() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(c.port)) }

// URL is for connections of the superuser to a database.
func (c *Cluster) URL(database string) string {
	return fmt.Sprintf("postgres://postgres:%s@%s/%s?sslmode=disable", c.password, c.Address(), database)
}

func (c *Cluster) path(name string) string { return filepath.Join(c.dir, name) }
func (c *Cluster) data() string            { return c.path("data") }

// Folder makes a folder that the server may use: for a tablespace.
func (c *Cluster) Folder(name string) (string, error) {
	dir := c.path(name)
	if err := os.Mkdir(dir, 0o700); err != nil {
		return "", err
	}
	return dir, c.Give(dir)
}

// Give makes a file or folder the server's own.
func (c *Cluster) Give(path string) error {
	if c.owner == nil {
		return nil
	}
	return os.Chown(path, int(c.owner.Uid), int(c.owner.Gid))
}

func (c *Cluster) run(name string, args ...string) error {
	out, err := c.command(filepath.Join(c.bin, name), args...)
	if err != nil {
		return fmt.Errorf("%s: %w\n%s", name, err, out)
	}
	return nil
}

// command runs something as the server's user. What it prints goes through a
// file: the server keeps what it inherits open.
func (c *Cluster) command(path string, args ...string) (out []byte, err error) {
	f, err := os.CreateTemp(c.dir, "out-")
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(path, args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = c.dir, f, f
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: c.owner}
	err = cmd.Run()
	out, _ = os.ReadFile(f.Name()) // for the message only
	return out, errors.Join(err, f.Close(), os.Remove(f.Name()))
}

// binaries is the newest folder with the server's programs.
func binaries() (string, error) {
	dirs, err := filepath.Glob("/usr/lib/postgresql/*/bin")
	if err != nil {
		return "", err
	}
	slices.SortFunc(dirs, func(a, b string) int { return version(b) - version(a) })
	more, err := filepath.Glob("/usr/pgsql-*/bin")
	if err != nil {
		return "", err
	}
	dirs = append(dirs, append(more, "/usr/local/pgsql/bin")...)
	if path, err := exec.LookPath("initdb"); err == nil {
		dirs = append(dirs, filepath.Dir(path))
	}
	for _, dir := range dirs {
		if has(dir, "initdb") && has(dir, "pg_ctl") && has(dir, "postgres") {
			return dir, nil
		}
	}
	return "", ErrNone
}

func version(dir string) int {
	n, _ := strconv.Atoi(filepath.Base(filepath.Dir(dir))) // what has none comes last
	return n
}

func has(dir, name string) bool {
	info, err := os.Stat(filepath.Join(dir, name))
	return err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0
}

// servant is the user that runs servers for root.
func servant() (uid, gid int, err error) {
	u, err := user.Lookup("postgres")
	if err != nil {
		if u, err = user.Lookup("nobody"); err != nil {
			return 0, 0, fmt.Errorf("impossible here: root may not run a server, and there is neither a user postgres nor nobody: %w", err)
		}
	}
	uid, err = strconv.Atoi(u.Uid)
	if err != nil {
		return 0, 0, err
	}
	gid, err = strconv.Atoi(u.Gid)
	return uid, gid, err
}

// freePort is one that nobody listens on just now.
func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	return l.Addr().(*net.TCPAddr).Port, l.Close()
}
