//go:build fail

package crash

import (
	"bytes"
	"database/sql"
	"encoding/binary"
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/durable-go/durable"
)

// The file and its log are copied while the worker is stopped at a random
// moment, and the tail of the log is cut, flipped or zeroed. Whatever the damage
// is, the file opens, is whole, and holds a prefix of what was written; without
// damage it holds all that was acknowledged.
func TestTornLog(t *testing.T) {
	t.Parallel()
	s := seed(t)
	worlds := 3
	if cycles() >= 100 {
		worlds = 12
	}
	for i := range worlds {
		t.Run(itoa(i), func(t *testing.T) {
			t.Parallel()
			const moments, variants = 3, 20
			w := newWorld(t, s+uint64(i))
			torn := 0
			for range moments {
				w.fillWith(t, "mix")
				w.fillWith(t, "long")
				p := w.spawn("")
				w.until("the worker is busy", func() bool { return p.busy })
				w.within(time.Duration(1+w.rng.Int64N(40))*time.Millisecond, func() bool { return false })
				f := w.freeze(t, p)
				rows := f.intact(t, w)
				for range variants {
					torn += f.tear(t, w, rows)
				}
				w.finish()
			}
			w.verify()
			if torn < moments*variants/4 {
				t.Errorf("only %d variants lost anything: too few to prove anything", torn)
			}
			t.Logf("%d copies, %d of them lost their tail", moments*variants, torn)
		})
	}
}

// frozen is a copy of a database in use.
type frozen struct {
	file, log []byte
	safe      int // bytes of the log that are in the file already: they cannot get lost
	acked     []durable.ID
}

const (
	logHeader   = 32
	frameHeader = 24
	pageSize    = 4096
)

// freeze copies the database while its process is stopped.
func (w *world) freeze(t *testing.T, p *worker) frozen {
	t.Helper()
	p.signal(syscall.SIGSTOP)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !stopped(t, p.pid) {
		<-tick.C
	}
	w.within(10*time.Millisecond, func() bool { return false }) // what it said before
	var f frozen
	for _, x := range w.tasks {
		if x.acked {
			f.acked = append(f.acked, x.run)
		}
	}
	read := func(suffix string) []byte {
		b, err := os.ReadFile(w.db() + suffix)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
		return b
	}
	f.file, f.log = read(""), read("-wal")
	const folded = 96 // in the index: how many frames are in the file
	if index := read("-shm"); len(index) >= folded+4 {
		f.safe = logHeader + int(binary.NativeEndian.Uint32(index[folded:]))*(frameHeader+pageSize)
	}
	p.signal(syscall.SIGCONT)
	return f
}

// stopped asks the kernel.
func stopped(t *testing.T, pid int) bool {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("/proc", itoa(pid), "stat"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(raw), ") ")
	return strings.HasPrefix(rest, "T")
}

// write puts a copy down.
func (f frozen) write(t *testing.T, w *world, log []byte) *world {
	t.Helper()
	dir, err := os.MkdirTemp(w.dir, "torn-")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "durable.db")
	if err := errors.Join(os.WriteFile(path, f.file, 0o600), os.WriteFile(path+"-wal", log, 0o600)); err != nil {
		t.Fatal(err)
	}
	return &world{t: t, dir: dir}
}

// row is one row of any journal, as it was written.
type row struct {
	n, seq, epoch int64
	body          string
}

// rows are all rows in the order in which they were written.
func (w *world) rows(t *testing.T) (list []row) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+w.db())
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}()
	found, err := db.Query("SELECT execution, seq, epoch, body FROM journal ORDER BY rowid")
	if err != nil {
		if strings.Contains(err.Error(), "no such table") {
			return nil
		}
		t.Fatal(err)
	}
	for found.Next() {
		var r row
		if err := found.Scan(&r.n, &r.seq, &r.epoch, &r.body); err != nil {
			t.Fatal(err)
		}
		list = append(list, r)
	}
	if err := errors.Join(found.Err(), found.Close()); err != nil {
		t.Fatal(err)
	}
	return list
}

// healthy checks everything but what was acknowledged.
func (w *world) healthy(t *testing.T) *judge {
	t.Helper()
	j := &judge{w: w, records: map[durable.ID]*record{}, lines: map[durable.ID][]line{}}
	if err := j.read(); err != nil { // first: it makes the schema, if that is gone
		j.fault("%v", err)
		return j
	}
	if err := j.file(); err != nil {
		j.fault("%v", err)
	}
	loads := workloads(&ledger{}, w.dir)
	for _, r := range j.records {
		j.doctor(r, loads[r.Workflow].tree)
	}
	return j
}

// intact checks the copy as it is, and returns its rows.
func (f frozen) intact(t *testing.T, w *world) []row {
	t.Helper()
	c := f.write(t, w, f.log)
	rows := c.rows(t)
	j := c.healthy(t)
	for _, x := range j.wrong {
		t.Errorf("the copy: %s", x)
	}
	for _, id := range f.acked {
		if j.records[id] == nil {
			t.Errorf("the copy: run %s was acknowledged and is not there", id)
		}
	}
	return rows
}

// tear damages the copy and tells whether rows got lost.
func (f frozen) tear(t *testing.T, w *world, all []row) int {
	t.Helper()
	log := bytes.Clone(f.log)
	what := damage(w.rng, &log, f.safe)
	c := f.write(t, w, log)
	rows := c.rows(t)
	if len(rows) > len(all) {
		t.Fatalf("%s: %d rows of %d", what, len(rows), len(all))
	}
	for i, r := range rows {
		if r != all[i] {
			t.Errorf("%s: row %d is %v, was %v", what, i, r, all[i])
			break
		}
	}
	for _, x := range c.healthy(t).wrong {
		t.Errorf("%s: %s", what, x)
	}
	if err := os.RemoveAll(c.dir); err != nil {
		t.Error(err)
	}
	if len(rows) < len(all) {
		return 1
	}
	return 0
}

// damage hits the log behind what is safe.
func damage(rng *rand.Rand, log *[]byte, safe int) string {
	b := *log
	if len(b) <= safe {
		return "nothing"
	}
	at := safe + rng.IntN(len(b)-safe)
	if rng.IntN(2) == 0 { // near the end
		at = max(safe, len(b)-1-rng.IntN(min(len(b)-safe, 8*(frameHeader+pageSize))))
	}
	switch rng.IntN(3) {
	case 0:
		*log = b[:at]
		return "cut at " + itoa(at)
	case 1:
		b[at] ^= 1 << rng.IntN(8)
		return "flipped at " + itoa(at)
	}
	clear(b[at:])
	return "zeroed from " + itoa(at)
}
