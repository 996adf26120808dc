//go:build fail

package crash

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// Nothing is acknowledged, and no body begins, before what it depends on is
// flushed. kill -9 cannot show that, since the kernel keeps the pages: the
// order of system calls does. Commands and steps come one after the other here,
// so at each line of the ledger the log must be clean, and at the
// acknowledgement of a command beside which nothing runs. A run that begins at
// once writes beside the acknowledgement of its start: there it is the first
// write since the acknowledgement before that must be flushed.
func TestFlushBeforeAck(t *testing.T) {
	t.Parallel()
	told, wrong := traced(t, "")
	for _, x := range wrong {
		t.Error(x)
	}
	t.Logf("%d acknowledgements and ledger lines, each after a flush", told)
}

// A store that does not wait for the disk is found out.
func TestPlantedLateFlush(t *testing.T) {
	t.Parallel()
	told, wrong := traced(t, "relaxed")
	if len(wrong) < told/2 {
		t.Errorf("only %d of %d were found: %q", len(wrong), told, wrong)
	}
}

// traced runs a worker under strace.
func traced(t *testing.T, mutant string) (told int, wrong []string) {
	t.Helper()
	if out, err := exec.Command("strace", "-f", "-e", "trace=none", "true").CombinedOutput(); err != nil {
		skip(t, "flush before acknowledgement", fmt.Sprintf("no strace that works here: %v %s", err, out))
	}
	w := newWorld(t, seed(t))
	w.mutant = mutant
	w.lease = time.Minute // no renewal comes between
	trace := filepath.Join(w.dir, "trace")
	p := w.spawn("", "strace", "-f", "-y", "-s", "64", "-o", trace, "-e", "trace=fsync,fdatasync,write,pwrite64")
	w.until("the worker is ready", func() bool { return p.ready })
	acks := 0
	add := func(x *task) {
		w.add(x)
		w.push(p)
		w.until("all is acknowledged", x.done)
		acks += 1 + len(x.sends)
		if x.cancel {
			acks++
		}
	}
	for range 5 { // nothing runs: only starts, events and cancels
		later := time.Now().Add(time.Hour)
		add(&task{workflow: "waits", input: mail{}, at: later, sends: []int{w.next + 1000, w.next + 1001}})
		add(&task{workflow: "forever", input: mail{}, at: later, cancel: true})
	}
	alone := acks
	for _, kind := range []string{"ways", "calls", "bank", "once"} {
		one := &world{t: t, rng: w.rng}
		one.fillWith(t, kind)
		for _, x := range one.tasks {
			add(x)
			ended := false
			w.command(p, message{Op: "settle", Run: x.run}, func(message) { ended = true })
			w.until("the run ends", func() bool { return ended })
		}
	}
	w.stop(p)
	raw, err := os.ReadFile(trace)
	if err != nil {
		t.Fatal(err)
	}
	told, acked, wrong := readTrace(string(raw), alone)
	if acked < acks || told < acked+20 {
		t.Errorf("the trace shows %d acknowledgements of %d, and %d lines in all: too few to prove anything", acked, acks, told)
	}
	return told, wrong
}

// readTrace reads a trace. A line is one call, or its beginning, or its end.
// Beside the first acknowledgements, so many as alone says, nothing runs.
func readTrace(trace string, alone int) (told, acked int, wrong []string) {
	var (
		call    = regexp.MustCompile(`^(\d+) +(\w+)\((\d+)<([^>]*)>(.*)$`)
		resumed = regexp.MustCompile(`^(\d+) +<\.\.\. (\w+) resumed>`)
		flushes = map[string]int{} // by thread: the flush that has begun, as a number of line
		written int                // the last line that wrote to the log
		flushed int                // the beginning of the last flush that has ended
		changed int                // the first line that wrote to the log since the last acknowledgement
	)
	n := 0
	for line := range strings.SplitSeq(trace, "\n") {
		n++
		if m := resumed.FindStringSubmatch(line); m != nil {
			if strings.HasSuffix(m[2], "sync") && flushes[m[1]] > 0 {
				flushed = max(flushed, flushes[m[1]])
				delete(flushes, m[1])
			}
			continue
		}
		m := call.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		thread, name, path, rest := m[1], m[2], m[4], m[5]
		log := strings.HasSuffix(path, ".db-wal")
		switch {
		case log && strings.Contains(name, "write"):
			written = n
			if changed == 0 {
				changed = n
			}
		case log && strings.Contains(rest, "unfinished"):
			flushes[thread] = n
		case log:
			flushed = n
		case name != "write":
		case strings.HasSuffix(path, "/ledger"), strings.Contains(rest, `{\"op\":\"ack\"`):
			told++
			ack, of := !strings.HasSuffix(path, "/ledger"), written
			if ack {
				acked++
				if acked > alone {
					of = changed
				}
			}
			switch {
			case of > flushed:
				wrong = append(wrong, fmt.Sprintf("line %d tells of line %d, which is not flushed: %s", n, of, strings.TrimSpace(line)))
			case ack && changed == 0:
				wrong = append(wrong, fmt.Sprintf("line %d acknowledges and nothing was written: %s", n, strings.TrimSpace(line)))
			}
			if ack {
				changed = 0
			}
		}
	}
	return told, acked, wrong
}
