package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/durable-go/durable/internal/fail"
	"github.com/durable-go/durable/store"
)

// The numbers of this store, in one table.
const (
	busyTimeout    = 5 * time.Second        // patience with another process's transaction
	minPause       = 100 * time.Microsecond // between two attempts to begin
	maxPause       = time.Millisecond
	readerCount    = 4                     // reads at once; each costs two file descriptors when first used
	cacheKiB       = 16 << 10              // pages the writer keeps; readers have SQLite's 2 MiB
	checkpointAt   = 4000                  // pages of 4 KiB in the log before a commit folds it back
	logLimit       = 64 << 20              // bytes that the log file keeps when it is empty again
	tidyAt         = 1 << 20               // bytes from which on the log is worth folding back when idle
	idleCommits    = 50                    // fewer than these between two calls of Expire is idle
	watchInterval  = 20 * time.Millisecond // how soon other processes' changes are noticed
	headLimit      = 16384                 // executions whose fence is kept in memory
	fileMode       = 0o600
	applicationID  = 0x44755267 // "DuRg" in the file's header: this is one of ours
	minimumVersion = "3.53.4"   // below, SQLite has two bugs that lose commits
)

// Option changes how a file is opened.
type Option func(*options)

type options struct {
	relaxed bool
	watch   time.Duration
}

// Relaxed commits without waiting for the disk (synchronous=NORMAL). A crash of
// the process still loses nothing, but a power cut or a crash of the operating
// system may lose the last commits although they were acknowledged: a step's
// effect has then happened and its record has not. It never damages the file.
func Relaxed() Option { return func(o *options) { o.relaxed = true } }

// WatchEvery sets how often Watch looks for changes by other processes; the
// default is 20 ms. Negative switches it off: for a file that only one process
// uses, and in tests with virtual time, where a year has many intervals.
func WatchEvery(d time.Duration) Option {
	return func(o *options) {
		if d != 0 {
			o.watch = d
		}
	}
}

type opener struct {
	path    string
	options options
}

// Open names the database file to use; the engine opens it. A file that does
// not exist is made, readable by its owner only, but not its folder. The file
// must be on a local disk.
//
// Errors of opening wrap store.ErrNotDatabase, store.ErrNewer or
// store.ErrReadOnly where they apply, and leave nothing behind.
func Open(path string, opts ...Option) store.Opener {
	o := opener{path: path, options: options{watch: watchInterval}}
	for _, opt := range opts {
		opt(&o.options)
	}
	return o
}

// OpenStore implements store.Opener. It may be called several times: each call
// opens the file anew, as another process would.
func (o opener) OpenStore(ctx context.Context) (store.Store, error) {
	s, err := o.open(ctx)
	if err != nil {
		return nil, err
	}
	return s, nil
}

func (o opener) open(ctx context.Context) (_ *Store, err error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("sqlite: open %s: %w", o.path, err)
	}
	path, err := o.place()
	if err != nil {
		return nil, err
	}
	s := &Store{
		path:    path,
		options: o.options,
		writing: make(chan struct{}, 1),
		readers: make(chan *conn, readerCount),
		guests:  make(chan struct{}, 1),
		done:    make(chan struct{}),
	}
	made, err := create(path)
	if err != nil {
		return nil, s.explain("create the file", err)
	}
	defer func() {
		if err != nil && made {
			discard(path)
		}
	}()
	if s.writer, err = s.openWriter(); err != nil {
		return nil, s.explain("open", err)
	}
	for range readerCount {
		s.readers <- nil
	}
	s.guests <- struct{}{}
	s.unlock()
	return s, nil
}

// place checks that the path can hold a database and makes it absolute.
func (o opener) place() (string, error) {
	refuse := func(why string) error { return fmt.Errorf("sqlite: open %q: %s", o.path, why) }
	switch {
	case o.path == "":
		return "", refuse("the path is empty; give the path of a file")
	case strings.Contains(o.path, ":memory:"):
		return "", refuse("a database in memory is lost with the process; use package store/memory for that")
	case strings.HasPrefix(o.path, "file:"):
		return "", refuse("this is a URI; give the plain path of a file")
	}
	path, err := filepath.Abs(o.path)
	if err != nil {
		return "", refuse(err.Error())
	}
	dir := filepath.Dir(path)
	switch info, err := os.Stat(dir); {
	case errors.Is(err, fs.ErrNotExist):
		return "", refuse("the folder " + dir + " does not exist; create it first")
	case err != nil:
		return "", refuse(err.Error())
	case !info.IsDir():
		return "", refuse(dir + " is not a folder")
	case info.Mode().Perm()&0o222 == 0:
		return "", fmt.Errorf("sqlite: open %s: the folder must be writable, for the log beside the file; allow it with chmod u+w %s: %w", path, dir, store.ErrReadOnly)
	}
	if name := networkFileSystem(dir); name != "" {
		return "", refuse(dir + " is on a network file system (" + name + "), where SQLite's locks and flushes cannot be trusted; use a local disk, or PostgreSQL for several machines")
	}
	switch info, err := os.Stat(path); {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return "", refuse(err.Error())
	case info.IsDir():
		return "", refuse("this is a folder; give the path of a file in it")
	case !info.Mode().IsRegular():
		return "", fmt.Errorf("sqlite: open %s: not a regular file: %w", path, store.ErrNotDatabase)
	case info.Mode().Perm()&0o222 == 0:
		return "", fmt.Errorf("sqlite: open %s: the file may not be written; allow it with chmod u+w: %w", path, store.ErrReadOnly)
	}
	return path, nil
}

// create makes an empty file with our mode if there is none. The file gets its
// name only after its descriptor is closed: closing a descriptor of a file that
// somebody in this process has open would drop SQLite's locks on it.
func create(path string) (made bool, err error) {
	if _, err := os.Lstat(path); err == nil {
		return false, nil
	}
	// lint:open a file of our own, closed before it gets the database's name
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".new-*") // mode 0600
	if err != nil {
		if errors.Is(err, fs.ErrPermission) || readOnlyFileSystem(err) {
			return false, fmt.Errorf("%w: %w", store.ErrReadOnly, err)
		}
		return false, err
	}
	defer func() { err = errors.Join(err, os.Remove(f.Name())) }()
	if err := f.Close(); err != nil {
		return false, err
	}
	switch err := os.Link(f.Name(), path); {
	case err == nil:
		return true, nil
	case errors.Is(err, fs.ErrExist):
		return false, nil
	}
	// A file system without hard links: there the name comes first.
	// lint:open O_EXCL: nobody else can have had it open
	f2, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, fileMode)
	if errors.Is(err, fs.ErrExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return true, f2.Close()
}

// discard removes a file that this open made, unless somebody has begun to use it.
func discard(path string) {
	if info, err := os.Stat(path); err == nil && info.Size() == 0 {
		for _, suffix := range []string{"", "-wal", "-shm", "-journal"} {
			_ = os.Remove(path + suffix)
		}
	}
}

// openWriter opens, checks, migrates and prepares the writing connection.
func (s *Store) openWriter() (_ *conn, err error) {
	synchronous := "2"
	if s.options.relaxed {
		synchronous = "1"
	}
	c, err := connect(s.path, []string{"_txlock=immediate"},
		"busy_timeout("+strconv.FormatInt(busyTimeout.Milliseconds(), 10)+")",
		"synchronous("+synchronous+")",
		"cache_size(-"+strconv.Itoa(cacheKiB)+")",
		"wal_autocheckpoint("+strconv.Itoa(checkpointAt)+")",
		"journal_size_limit("+strconv.Itoa(logLimit)+")",
		"temp_store(2)",
		"trusted_schema(0)",
	)
	if err != nil {
		return nil, notOurs(err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.close())
		}
	}()
	if err := checkVersion(c); err != nil {
		return nil, err
	}
	if err := recognise(c); err != nil {
		return nil, err
	}
	fail.Point(fail.OpenFile)
	if err := useLog(c); err != nil {
		return nil, err
	}
	fail.Point(fail.OpenLog)
	if err := migrate(c); err != nil {
		return nil, err
	}
	if err := verify(c, "synchronous", synchronous); err != nil {
		return nil, err
	}
	if err := verify(c, "journal_mode", "wal"); err != nil {
		return nil, err
	}
	// From here on only BEGIN meets other writers, and tx.start waits better.
	_, err = c.one("PRAGMA busy_timeout = 0", func(row) {})
	return c, err
}

func (s *Store) openReader() (*conn, error) {
	c, err := connect(s.path, []string{"mode=ro"},
		"busy_timeout("+strconv.FormatInt(busyTimeout.Milliseconds(), 10)+")",
		"query_only(1)",
		"temp_store(2)",
		"trusted_schema(0)",
	)
	if err != nil {
		return nil, err
	}
	if err := verify(c, "query_only", "1"); err != nil {
		return nil, errors.Join(err, c.close())
	}
	return c, nil
}

// useLog switches the file to write-ahead logging, once for its life. Another
// process that does the same at this moment makes SQLite give up at once,
// whatever the busy timeout, so we ask again for as long as that is.
func useLog(c *conn) error {
	const pause = 5 * time.Millisecond
	for waited := time.Duration(0); ; waited += pause {
		err := verify(c, "journal_mode = wal", "wal")
		if !busy(err) || waited > busyTimeout {
			return err
		}
		<-time.After(pause)
	}
}

// verify runs a pragma and compares its answer.
func verify(c *conn, pragma, want string) error {
	var got string
	// lint:sql a pragma takes no parameters, and callers name it by a literal
	_, err := c.one("PRAGMA "+pragma, func(r row) { got = strings.ToLower(fmt.Sprint(r[0])) })
	if err != nil {
		return err
	}
	if got != want {
		return fmt.Errorf("pragma %s is %q, must be %q: this file cannot be used safely here", pragma, got, want)
	}
	return nil
}

// checkVersion refuses a SQLite library that is known to lose data.
func checkVersion(c *conn) error {
	var have string
	if _, err := c.one("SELECT sqlite_version()", func(r row) { have = r.text(0) }); err != nil {
		return err
	}
	if !atLeast(have, minimumVersion) {
		return fmt.Errorf("SQLite %s has bugs that lose data; %s or newer is required: upgrade modernc.org/sqlite", have, minimumVersion)
	}
	return nil
}

// atLeast compares dotted versions.
func atLeast(have, want string) bool {
	h, w := strings.Split(have, "."), strings.Split(want, ".")
	for i := range w {
		var a, b int
		if i < len(h) {
			a, _ = strconv.Atoi(h[i])
		}
		b, _ = strconv.Atoi(w[i])
		if a != b {
			return a > b
		}
	}
	return true
}
