//go:build fail

package crash

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A disk that is full pauses runs and fails none: when there is space again,
// all of them go on. Without root: a name space of its own with a small tmpfs.
func TestQU7_RT10_FullDisk(t *testing.T) {
	t.Parallel()
	if out, err := exec.Command("unshare", "-rm", "mount", "-t", "tmpfs", "none", "/mnt").CombinedOutput(); err != nil {
		skip(t, "a full disk", fmt.Sprintf("no name space with a file system of its own: %v %s", err, out))
	}
	w := newWorld(t, seed(t))
	disk := filepath.Join(w.dir, "disk")
	if err := os.Mkdir(disk, 0o700); err != nil {
		t.Fatal(err)
	}
	w.file = filepath.Join(disk, "durable.db")
	// The file system is the worker's alone, so its files are copied out of it in
	// the end, after it has stopped in order.
	p := w.spawn("", "unshare", "-rm", "sh", "-c",
		`mount -t tmpfs -o size=40m none "$0" && "$@"; s=$?; mkdir "$0.out" && cp "$0"/durable.db* "$0.out" && exit $s`, disk)
	starve(t, w, p, message{Op: "fill"}, message{Op: "free"})
	w.file = filepath.Join(disk+".out", "durable.db")
	w.verify()
}

// The same with a limit on the size of files, which needs nothing.
func TestQU7_FileLimit(t *testing.T) {
	t.Parallel()
	w := newWorld(t, seed(t))
	p := w.spawn("")
	starve(t, w, p, message{Op: "limit", Bytes: 200 << 10}, message{Op: "limit"})
	w.verify()
}

// starve takes the space away, starts runs, gives it back, and stops the worker
// when all is done.
func starve(t *testing.T, w *world, p *worker, take, give message) {
	t.Helper()
	obeyed := func(m message) {
		t.Helper()
		done := false
		w.command(p, m, func(r message) {
			if done = true; r.Err != "" {
				t.Errorf("%s: %s", m.Op, r.Err)
			}
		})
		w.until("the worker obeys "+m.Op, func() bool { return done })
	}
	w.until("the worker is ready", func() bool { return p.ready })
	w.fillWith(t, "mix")
	w.push(p)
	w.until("the worker is busy", func() bool { return p.busy })
	obeyed(take)
	w.starved = true
	for range 3 { // enough to need more pages than there are
		w.fillWith(t, "mix")
		w.fillWith(t, "long")
	}
	w.push(p)
	w.until("a commit fails", func() bool { return strings.Contains(p.text(), "a commit failed") || !w.lives(p) })
	before := requests(t, p)
	if w.within(3*lease, w.all) { // longer than the lease
		t.Error("all was done although there was no space")
	}
	if n := requests(t, p) - before; n > 300 { // a hot loop makes many thousands
		t.Errorf("%d writes were tried in %s: it hammers", n, 3*lease)
	}
	obeyed(give)
	w.until("all is done", w.all)
	if !strings.Contains(p.text(), "commits succeed again") {
		t.Errorf("the log does not say that all is well again:\n%s", tail(p.text(), 2000))
	}
	for _, line := range strings.Split(p.text(), "\n") {
		if strings.Contains(line, "a commit failed") {
			t.Log(line)
			break
		}
	}
	w.stop(p)
}

// requests counts the write system calls of a process, those that failed too.
func requests(t *testing.T, p *worker) int64 {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("/proc", itoa(p.pid), "io"))
	if err != nil {
		t.Logf("its requests cannot be counted: %v", err)
		return 0
	}
	for line := range strings.Lines(string(raw)) {
		if n, ok := strings.CutPrefix(line, "syscw: "); ok {
			return atoi(strings.TrimSpace(n))
		}
	}
	return 0
}

// A worker that is killed while it makes the file leaves one that the next can
// use; so does one that is killed between making it and its first commit.
// TestLabels has the labels; here the moment is random.
func TestKilledAtOpen(t *testing.T) {
	t.Parallel()
	s := seed(t)
	for i := range max(cycles()/5, 3) {
		t.Run(itoa(i), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, s+uint64(i))
			w.addLoop(2)
			p := w.spawn("")
			appears := func() bool {
				_, err := os.Stat(w.db())
				return err == nil || p.ready
			}
			tick := time.NewTicker(200 * time.Microsecond)
			defer tick.Stop()
			for !w.within(0, appears) {
				<-tick.C
			}
			w.within(time.Duration(w.rng.Int64N(int64(8*time.Millisecond))), func() bool { return p.busy })
			p.signal(syscall.SIGKILL)
			w.until("it is gone", func() bool { return !w.lives(p) })
			w.finish()
			w.verify()
		})
	}
}
