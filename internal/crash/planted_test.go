//go:build fail

package crash

import (
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// found tells whether one of the faults has the text.
func found(wrong []string, text string) bool {
	return slices.ContainsFunc(wrong, func(s string) bool { return strings.Contains(s, text) })
}

// Workers and stores with a bug: each is found by the oracle that is there for it.
func TestPlanted(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, mutant, kind, fail string
		add                      func(w *world)
		stuck                    bool // it never ends
		want                     string
	}{
		{name: "an event is acknowledged before it is written", mutant: "ack-early", kind: "waits", fail: "deliver.between=kill", stuck: true, want: "was acknowledged and is there 0 times"},
		{name: "an event is acknowledged and dropped", mutant: "lose-event", kind: "waits", stuck: true, want: "was acknowledged and is there 0 times"},
		{name: "a cancel is acknowledged and dropped", mutant: "lose-cancel", kind: "waits", stuck: true, want: "was acknowledged, and it is waiting"},
		{
			name: "a start is acknowledged and dropped", mutant: "lose-start", stuck: true, want: "and is lost",
			add: func(w *world) {
				w.add(&task{workflow: "loop", input: sum{Limit: 1}, at: time.Now().Add(time.Hour)})
			},
		},
		{
			name: "a keyed effect has another key each time", mutant: "random-key", fail: "body.after=kill", want: "was applied 2 times",
			add: func(w *world) { w.addTransfer(true) },
		},
		{name: "half of the money gets lost", mutant: "half-credit", kind: "bank", want: "money is not conserved"},
		{name: "a step's row is there twice", mutant: "double-row", kind: "booked", want: "rows less done facts are 1"},
		{name: "what was booked is not refunded", mutant: "no-refund", kind: "party", want: "is undone 1 times, refunded false"},
		{name: "a call gives another child each time", mutant: "new-child", kind: "party", want: "and again"},
		{name: "a result without a body", mutant: "no-end", kind: "loop", want: "has no end of it"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, seed(t))
			w.mutant = c.mutant
			if c.add != nil {
				c.add(w)
			} else {
				w.fillWith(t, c.kind)
			}
			w.spawn(c.fail)
			if c.fail != "" {
				w.until("the worker dies", func() bool { return len(w.live) == 0 })
			}
			if c.stuck {
				for len(w.live) == 0 {
					w.spawn("")
				}
				w.until("all is acknowledged", func() bool {
					return !slices.ContainsFunc(w.tasks, func(x *task) bool { return !x.done() })
				})
				w.within(lease, w.all) // let it get as far as it gets
				w.stop(w.live[0])
			} else {
				w.finish()
			}
			if _, wrong := w.check(!c.stuck); !found(wrong, c.want) {
				t.Errorf("not found, only: %q", wrong)
			}
		})
	}
}

// A store that takes the write of an owner that is none any more.
func TestPlantedStaleWrite(t *testing.T) {
	t.Parallel()
	// Whether a moment has a write in flight depends on the machine, so moments
	// are tried until one had: at most five times over.
	caught, tried := 0, 0
	for ; caught == 0 && tried < 30; tried++ {
		hit := 2 + tried%6
		w := newWorld(t, seed(t))
		w.mutant = "stale"
		w.fillWith(t, "bank")
		a := w.spawn(fmt.Sprintf("commit.before=stop@%d", hit))
		w.until("the first worker is stopped", func() bool { return a.paused || w.all() })
		if !a.paused { // all was in fewer batches
			w.stop(a)
			continue
		}
		b := w.spawn("")
		w.within(4*time.Second, w.all)
		a.signal(syscall.SIGCONT)
		w.until("all is done", w.all)
		w.stop(a)
		w.stop(b)
		_, wrong := w.check(true)
		if found(wrong, "is not in the plan") {
			caught++
		}
	}
	if caught == 0 {
		t.Error("no stale write was found")
	}
	t.Logf("moment %d had a stale write", tried)
}

// A death that nobody counted does not explain a body that ran twice.
func TestPlantedUncountedDeath(t *testing.T) {
	t.Parallel()
	w := newWorld(t, seed(t))
	w.add(&task{workflow: "slow", input: sum{N: 2000}})
	p := w.spawn("")
	w.until("the body runs", func() bool { return p.busy })
	w.kill(p)
	w.finish()
	if _, wrong := w.check(true); len(wrong) > 0 {
		t.Fatal(wrong)
	}
	w.deaths = nil
	if _, wrong := w.check(true); !found(wrong, "was not seen to die") {
		t.Errorf("not found, only: %q", wrong)
	}
}

// Damage to the rows themselves.
func TestPlantedDamage(t *testing.T) {
	t.Parallel()
	w := newWorld(t, seed(t))
	w.fillWith(t, "waits")
	w.fillWith(t, "loop")
	w.fillWith(t, "calls")
	w.fillWith(t, "party")
	w.finish()
	w.verify()
	for query, want := range map[string]string{
		"DELETE FROM journal WHERE rowid = (SELECT max(rowid) FROM journal WHERE seq = 2)":                                           "not dense",
		"DELETE FROM journal WHERE rowid = (SELECT max(rowid) FROM journal)":                                                         "",
		"UPDATE journal SET epoch = epoch + 5 WHERE rowid = (SELECT max(rowid) FROM journal)":                                        "yet to come",
		"UPDATE execution SET status = 'failed' WHERE n = (SELECT max(n) FROM execution WHERE status = 'completed')":                 "the plan says",
		"UPDATE execution SET status = 'completed' WHERE status = 'compensated'":                                                     "the plan says",
		"UPDATE execution SET status = 'completed' WHERE status = 'cancelled'":                                                       "and it is completed",
		"DELETE FROM execution WHERE n = (SELECT max(n) FROM execution WHERE key IS NOT NULL)":                                       "is lost",
		"UPDATE journal SET body = zeroblob(length(body)) WHERE rowid = (SELECT max(rowid) FROM journal)":                            "corrupt",
		"INSERT INTO journal SELECT execution, seq + 1, epoch, at, body FROM journal WHERE rowid = (SELECT max(rowid) FROM journal)": "",
		"UPDATE execution SET owner = zeroblob(16), status = 'running', ended = NULL WHERE n = (SELECT max(n) FROM execution)":       "no lease",
	} {
		db, err := sql.Open("sqlite", "file:"+w.db())
		if err != nil {
			t.Fatal(err)
		}
		db.SetMaxOpenConns(1)
		if _, err := db.Exec("VACUUM INTO ?", w.dir+"/damaged.db"); err != nil {
			t.Fatal(err)
		}
		c := *w
		c.file = w.dir + "/damaged.db"
		other, err := sql.Open("sqlite", "file:"+c.file)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := other.Exec(query); err != nil {
			t.Errorf("%s: %v", query, err)
		}
		if err := other.Close(); err != nil {
			t.Error(err)
		}
		if _, wrong := c.check(true); len(wrong) == 0 || !found(wrong, want) {
			t.Errorf("%s\nis not found, only: %q", query, wrong)
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
		remove(t, c.file)
	}
}

// remove removes a database.
func remove(t *testing.T, path string) {
	t.Helper()
	for _, suffix := range []string{"", "-wal", "-shm"} {
		if err := os.Remove(path + suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Error(err)
		}
	}
}
