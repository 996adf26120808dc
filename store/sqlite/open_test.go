package sqlite_test

import (
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"

	_ "modernc.org/sqlite"

	"github.com/durable-go/durable/store"
	"github.com/durable-go/durable/store/sqlite"
)

func open(t *testing.T, path string, opts ...sqlite.Option) store.Store {
	t.Helper()
	st, err := sqlite.Open(path, opts...).OpenStore(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	})
	return st
}

// foreign runs SQL on a file without this package.
func foreign(t *testing.T, path string, statements ...string) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, s := range statements {
		if _, err := db.Exec(s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
}

func names(t *testing.T, dir string) string {
	t.Helper()
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, e := range list {
		all = append(all, e.Name())
	}
	return strings.Join(all, " ")
}

func TestOpen_Refuses(t *testing.T) {
	cases := []struct {
		name  string
		path  func(t *testing.T, dir string) string
		want  error  // nil: any
		tells string // what to do
	}{
		{"a database in memory", func(*testing.T, string) string { return ":memory:" }, nil, "store/memory"},
		{"a URI", func(_ *testing.T, dir string) string { return "file:" + dir + "/a.db" }, nil, "plain path"},
		{"no path", func(*testing.T, string) string { return "" }, nil, "path of a file"},
		{"a missing folder", func(_ *testing.T, dir string) string { return filepath.Join(dir, "missing", "a.db") }, nil, "create it"},
		{"a folder", func(_ *testing.T, dir string) string { return dir }, nil, "file in it"},
		{"a text file", func(t *testing.T, dir string) string {
			return write(t, dir, strings.Repeat("this is no database\n", 500))
		}, store.ErrNotDatabase, "another path"},
		{"a short text file", func(t *testing.T, dir string) string { return write(t, dir, "hello") }, store.ErrNotDatabase, "another path"},
		{"another program's database", func(t *testing.T, dir string) string {
			foreign(t, filepath.Join(dir, "a.db"), "CREATE TABLE customer (id INTEGER)")
			return filepath.Join(dir, "a.db")
		}, store.ErrNotDatabase, "another path"},
		{"another program's empty database", func(t *testing.T, dir string) string {
			foreign(t, filepath.Join(dir, "a.db"), "PRAGMA application_id = 7", "VACUUM")
			return filepath.Join(dir, "a.db")
		}, store.ErrNotDatabase, "another path"},
		{"a newer schema", func(t *testing.T, dir string) string {
			path := filepath.Join(dir, "a.db")
			if err := open(t, path).Close(); err != nil {
				t.Fatal(err)
			}
			foreign(t, path, "INSERT INTO durable_schema VALUES (999, 0)")
			return path
		}, store.ErrNewer, "version 999"},
		{"a read-only file", func(t *testing.T, dir string) string {
			path := write(t, dir, "")
			chmod(t, path, 0o400)
			return path
		}, store.ErrReadOnly, "chmod"},
		{"a read-only folder", func(t *testing.T, dir string) string {
			chmod(t, dir, 0o500)
			return filepath.Join(dir, "a.db")
		}, store.ErrReadOnly, "chmod"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			path := c.path(t, dir)
			before, content := names(t, dir), read(path)
			// The bubble fails if a goroutine is left.
			synctest.Test(t, func(t *testing.T) {
				st, err := sqlite.Open(path).OpenStore(t.Context())
				switch {
				case err == nil:
					_ = st.Close()
					t.Fatal("opened")
				case st != nil:
					t.Fatal("an error and a store")
				case c.want != nil && !errors.Is(err, c.want):
					t.Fatalf("got %v, want %v", err, c.want)
				case !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), c.tells):
					t.Fatalf("%q does not name %q and %q", err, path, c.tells)
				}
			})
			if after := names(t, dir); after != before {
				t.Errorf("files were %q, are %q", before, after)
			}
			if read(path) != content {
				t.Error("the file was changed")
			}
			descriptors(t, dir)
		})
	}
}

func write(t *testing.T, dir, text string) string {
	t.Helper()
	path := filepath.Join(dir, "a.db")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func chmod(t *testing.T, path string, mode os.FileMode) {
	t.Helper()
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Chmod(path, 0o700) })
}

func read(path string) string {
	text, _ := os.ReadFile(path)
	return string(text)
}

// descriptors fails if this process has a file below dir open.
func descriptors(t *testing.T, dir string) {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Log("cannot look for open files on this system")
		return
	}
	for _, fd := range list {
		if to, err := os.Readlink("/proc/self/fd/" + fd.Name()); err == nil && strings.HasPrefix(to, dir) {
			t.Errorf("%s is still open", to)
		}
	}
}

func TestOpen_FilesAreTheOwnersOnly(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("modes mean nothing on Windows")
	}
	dir := t.TempDir()
	st := open(t, filepath.Join(dir, "a.db"))
	begin(t, st)
	if have := names(t, dir); have != "a.db a.db-shm a.db-wal" {
		t.Fatalf("files are %q", have)
	}
	for _, name := range strings.Fields(names(t, dir)) {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v", name, info.Mode())
		}
	}
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
	if have := names(t, dir); have != "a.db" {
		t.Errorf("after Close the files are %q", have)
	}
	descriptors(t, dir)
}

func TestOpen_AnyName(t *testing.T) {
	for _, name := range []string{"a b.db", "what?.db", "50%.db", "no#1.db", "%41.db", "a&b=c;d+e.db", "データ.db"} {
		dir := t.TempDir()
		st := open(t, filepath.Join(dir, name))
		begin(t, st)
		if err := st.Close(); err != nil {
			t.Fatal(err)
		}
		if have := names(t, dir); have != name {
			t.Errorf("%q became %q", name, have)
		}
	}
}

func TestOpen_AnEmptyFileBecomesOurs(t *testing.T) {
	path := write(t, t.TempDir(), "")
	id := begin(t, open(t, path))
	if _, err := open(t, path).Load(t.Context(), id, false); err != nil {
		t.Error(err)
	}
}

// Many that make and open the same file at once all succeed.
func TestOpen_AtOnce(t *testing.T) {
	for range 5 {
		path := filepath.Join(t.TempDir(), "a.db")
		const openers = 8
		errs := make(chan error, openers)
		for range openers {
			go func() {
				st, err := sqlite.Open(path).OpenStore(t.Context())
				if err == nil {
					_, err = st.Commit(t.Context(), []store.Write{beginning()})
					err = errors.Join(err, st.Close())
				}
				errs <- err
			}()
		}
		for range openers {
			if err := <-errs; err != nil {
				t.Error(err)
			}
		}
		page, err := open(t, path).List(t.Context(), store.Filter{Count: true})
		if err != nil || page.Count != openers {
			t.Errorf("%d executions, %v", page.Count, err)
		}
	}
}
