package storetest

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/durable-go/durable/store"
)

func recordClauses() []clause {
	return []clause{
		{"load/unknown", "EV-5", loadUnknown},
		{"load/a snapshot replaces the rows before it", "G6", loadSnapshot},
		{"load/the newest snapshot counts, whole ignores it", "G6, G21", loadSnapshots},
		{"load/rows of a control after a snapshot", "G6", loadControlRow},
		{"load/any bytes come back as they were", "PL-1, EV-9", loadBytes},
		{"load/what a caller holds is its own", "G21", loadCopies},
		{"load/an old base lands below a snapshot", "QU-8", loadLandedBelow},
		{"logs/order and since", "QY-4", logsOrder},
		{"logs/a key is written once", "QY-4, QU-8", logsOnce},
		{"logs/of one execution only", "QY-4", logsScope},
		{"blobs/by the hash of their content", "PL-1", blobsHash},
		{"blobs/of one execution only", "PL-1", blobsScope},
	}
}

func loadUnknown(e *env) {
	for _, whole := range []bool{false, true} {
		_, err := e.st.Load(e.ctx(), newID(), whole)
		e.is(err, store.ErrNotFound, "load what is not there")
	}
}

func loadSnapshot(e *env) {
	r := e.running()
	r = e.advance(r, r.next("two"))
	a := r.next("three")
	a.Snapshot = []byte("one to three")
	r = e.advance(r, a)
	r = e.advance(r, r.next("four"))
	rec := e.load(r.id)
	if string(rec.Snapshot) != "one to three" || rec.SnapshotSeq != 3 || len(rec.Rows) != 1 || rec.Rows[0].Seq != 4 || rec.Length != 4 {
		e.failf("snapshot %q to %d, rows %+v; want to 3 and row 4", rec.Snapshot, rec.SnapshotSeq, rec.Rows)
	}
}

func loadSnapshots(e *env) {
	r := e.running()
	for i := 2; i <= 6; i++ {
		a := r.next(fmt.Sprint("row ", i))
		if i%2 == 0 {
			a.Snapshot = fmt.Append(nil, "to ", i)
		}
		r = e.advance(r, a)
	}
	if rec := e.load(r.id); string(rec.Snapshot) != "to 6" || rec.SnapshotSeq != 6 || len(rec.Rows) != 0 {
		e.failf("snapshot %q to %d and %d rows; want to 6 and none", rec.Snapshot, rec.SnapshotSeq, len(rec.Rows))
	}
	if rec := e.whole(r.id); len(rec.Rows) != 6 || string(rec.Rows[2].Body) != "row 3" || rec.SnapshotSeq != 0 || len(rec.Snapshot) != 0 {
		e.failf("whole: %d rows, snapshot to %d; want 6 and none", len(rec.Rows), rec.SnapshotSeq)
	}
}

func loadControlRow(e *env) {
	r := e.running()
	a := r.next("two")
	a.Snapshot = []byte("to two")
	r = e.advance(r, a)
	e.one(controlling(cancel(r.id)), store.Applied, "cancel")
	if rec := e.load(r.id); rec.SnapshotSeq != 2 || len(rec.Rows) != 1 || rec.Rows[0].Seq != 3 {
		e.failf("snapshot to %d, rows %+v; want to 2 and row 3", rec.SnapshotSeq, rec.Rows)
	}
}

// awkward are bytes that text columns, C strings and escapes trip over.
func awkward() []byte {
	all := make([]byte, 0, 1024)
	for b := range 256 {
		all = append(all, byte(b), 0)
	}
	return append(all, "\xff\xfe\xc3\x28 \\x00 \\ ' \" ; -- %s $1 ?1 \u2028 \U0001F600\x00"...)
}

func loadBytes(e *env) {
	b := start()
	b.Owner, b.Row, b.InputHash, b.Key = e.lease(), awkward(), awkward(), "k"
	r := run{e.begin(b), b.Owner, 1, 1}
	e.one(delivering(store.Deliver{ID: r.id, Topic: "t", Payload: awkward(), Dedupe: "m1"}), store.Applied, "send")
	e.one(delivering(store.Deliver{ID: r.id, Topic: "t", Dedupe: "m2"}), store.Applied, "send nothing")
	a := r.next("two")
	a.Row, a.Snapshot, a.Blobs = awkward(), awkward(), [][]byte{awkward(), {}}
	a.Open = []store.Wait{r.wait("w", "t")}
	a.Open[0].Detail = awkward()
	r = e.advance(r, a)
	rec, ws := e.whole(r.id), e.waits(r.id)
	snap := e.load(r.id).Snapshot
	blob, err := e.st.Blob(e.ctx(), r.id, hashOf(string(awkward())))
	e.ok(err, "blob")
	if _, err = e.st.Blob(e.ctx(), r.id, hashOf("")); err != nil {
		e.failf("an empty blob: %v", err)
	}
	c := r.park(store.Failed)
	c.Release.Error = awkward()
	e.advance(r, c)
	for what, got := range map[string][]byte{
		"row 1": rec.Rows[0].Body, "row 2": rec.Rows[1].Body, "payload": rec.Messages[0].Payload,
		"snapshot": snap, "detail": ws[0].Detail, "blob": blob, "error": e.load(r.id).Error,
	} {
		if !bytes.Equal(got, awkward()) {
			e.failf("%s came back as %d other bytes", what, len(got))
		}
	}
	if len(rec.Messages[1].Payload) != 0 {
		e.failf("no payload came back as %q", rec.Messages[1].Payload)
	}
	b.ID = newID()
	if v := e.one(beginning(b), store.Exists, "the key again"); !v.Same {
		e.failf("the input hash was not kept byte by byte")
	}
}

func loadCopies(e *env) {
	r := e.running()
	row, payload := []byte("row"), []byte("payload")
	a := r.bare()
	a.Row = row
	r = e.advance(r, a)
	e.one(delivering(store.Deliver{ID: r.id, Topic: "t", Payload: payload, Dedupe: "m"}), store.Applied, "send")
	copy(row, "!!!")
	copy(payload, "!!!!!!!")
	rec := e.load(r.id)
	if string(rec.Rows[1].Body) != "row" || string(rec.Messages[0].Payload) != "payload" {
		e.failf("the store shares memory with who wrote: %q, %q", rec.Rows[1].Body, rec.Messages[0].Payload)
	}
	copy(rec.Rows[1].Body, "!!!")
	copy(rec.Messages[0].Payload, "!!!!!!!")
	rec = e.load(r.id)
	if string(rec.Rows[1].Body) != "row" || string(rec.Messages[0].Payload) != "payload" {
		e.failf("the store shares memory with who read: %q, %q", rec.Rows[1].Body, rec.Messages[0].Payload)
	}
}

func loadLandedBelow(e *env) {
	r := e.running()
	old := r.next("two")
	r = e.advance(r, old)
	a := r.next("three")
	a.Snapshot = []byte("to three")
	e.advance(r, a)
	e.one(advancing(old), store.Landed, "a row that a snapshot covers, again")
}

func logsOrder(e *env) {
	r := e.running()
	t0 := e.now()
	at := func(ms int, path string, attempt, n int) store.Log {
		return store.Log{Path: path, Attempt: attempt, N: n, At: t0.Add(time.Duration(ms) * time.Millisecond), Level: -4, Text: "héllo \n world", Attrs: []byte(`{"a":1}`)}
	}
	want := []store.Log{at(-5, "z", 9, 9), at(0, "a", 1, 2), at(0, "a", 2, 1), at(0, "b", 1, 1), at(0, "b", 1, 10), at(7, "a", 1, 1)}
	a := r.bare()
	for _, i := range []int{4, 2, 5, 0, 3, 1} {
		a.Logs = append(a.Logs, want[i])
	}
	e.advance(r, a)
	for since, first := range map[time.Time]int{{}: 0, t0.Add(-5 * time.Millisecond): 0, t0.Add(-4 * time.Millisecond): 1, t0: 1, t0.Add(time.Millisecond): 5, t0.Add(time.Hour): 6} {
		got, err := e.st.Logs(e.ctx(), r.id, since)
		e.ok(err, "logs")
		if d := differ(want[first:], got); d != "" {
			e.failf("logs since %v: %s", since, d)
		}
	}
}

func logsOnce(e *env) {
	r := e.running()
	l := store.Log{Path: "p", Attempt: 1, N: 1, At: e.now(), Text: "first"}
	a := r.bare()
	a.Logs = []store.Log{l}
	e.advance(r, a)
	a.Logs[0].Text = "second"
	a.Logs = append(a.Logs, store.Log{Path: "p", Attempt: 1, N: 2, At: e.now(), Text: "next"})
	e.advance(r, a)
	got, err := e.st.Logs(e.ctx(), r.id, time.Time{})
	e.ok(err, "logs")
	if len(got) != 2 || got[0].Text != "first" || got[1].Text != "next" {
		e.failf("an entry that is there was written again: %+v", got)
	}
}

func logsScope(e *env) {
	r, s := e.running(), e.running()
	for _, x := range []run{r, s} {
		a := x.bare()
		a.Logs = []store.Log{{Path: "p", Attempt: 1, N: 1, At: e.now(), Text: x.id.String()}}
		e.advance(x, a)
	}
	got, err := e.st.Logs(e.ctx(), r.id, time.Time{})
	e.ok(err, "logs")
	if len(got) != 1 || got[0].Text != r.id.String() {
		e.failf("logs of another execution: %+v", got)
	}
}

func hashOf(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}

func blobsHash(e *env) {
	r := e.running()
	a := r.next("two")
	a.Blobs = [][]byte{[]byte("one"), []byte("two"), []byte("one")}
	r = e.advance(r, a)
	b := r.bare()
	b.Blobs = [][]byte{[]byte("one"), []byte("three")}
	e.advance(r, b)
	for _, s := range []string{"one", "two", "three"} {
		if got, err := e.st.Blob(e.ctx(), r.id, hashOf(s)); err != nil || string(got) != s {
			e.failf("blob %s: %q, %v", s, got, err)
		}
	}
	for _, hash := range []string{"", "%", hashOf("four")} {
		_, err := e.st.Blob(e.ctx(), r.id, hash)
		e.is(err, store.ErrNotFound, "a blob that is not there")
	}
}

func blobsScope(e *env) {
	r, s := e.running(), e.running()
	a := r.bare()
	a.Blobs = [][]byte{[]byte("secret")}
	e.advance(r, a)
	_, err := e.st.Blob(e.ctx(), s.id, hashOf("secret"))
	e.is(err, store.ErrNotFound, "another execution's blob")
}
