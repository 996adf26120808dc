package storetest

import (
	"bytes"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/durable-go/durable/store"
)

func beginClauses() []clause {
	return []clause{
		{"begin/creates a pending execution with row 1", "G1, ST-1", beginCreates},
		{"begin/keeps every field", "G1", beginKeepsFields},
		{"begin/again has landed", "G1, ST-7", beginAgain},
		{"begin/again after it went on has landed", "G1, QU-8", beginAgainLater},
		{"begin/key taken with the same input", "G1, ST-6", beginKeySame},
		{"begin/key taken with another input", "G1, ST-6", beginKeyOther},
		{"begin/keys are per workflow and may be empty", "G1, ST-6", beginKeyScope},
		{"begin/one key twice in one batch", "G1, ST-7", beginKeyBatch},
		{"begin/key of an ended execution stays taken", "G1, ST-6", beginKeyEnded},
		{"begin/due later is not claimed before", "G11, ST-3", beginDueLater},
		{"begin/eager start is owned with epoch 1", "G7, ST-10", beginEager},
		{"begin/eager start with an unknown lease", "G7", beginEagerUnknown},
		{"begin/eager start with a dead lease", "G7", beginEagerDead},
		{"begin/eager start again has landed", "G1, QU-8", beginEagerAgain},
	}
}

func beginCreates(e *env) {
	before := e.now()
	rec := e.load(e.pending())
	switch {
	case rec.Status != store.Pending || rec.Owner != uuid.Nil || rec.Epoch != 0:
		e.failf("a fresh execution must be pending, unowned, epoch 0: %s", describe(rec.Execution))
	case rec.Length != 1 || len(rec.Rows) != 1 || string(rec.Rows[0].Body) != "began" || rec.Rows[0].Seq != 1:
		e.failf("row 1 is not the row of the Begin: %+v", rec.Rows)
	case rec.Due.Before(before) || rec.Due.After(rec.Now):
		e.failf("due %v is not the store's now (%v to %v)", rec.Due, before, rec.Now)
	case rec.Created.Before(before) || rec.Created.After(rec.Now) || !rec.Ended.IsZero():
		e.failf("created %v, ended %v; now is %v", rec.Created, rec.Ended, rec.Now)
	}
}

func beginKeepsFields(e *env) {
	b := start()
	b.Workflow, b.Version, b.Queue, b.Priority, b.Key = "invöice", "", "slow lane", -7, "key/1"
	b.Tags = []string{"b", "a", "ünïcode"}
	b.Due = e.now().Add(time.Hour)
	got := e.load(e.begin(b))
	if got.Workflow != b.Workflow || got.Version != b.Version || got.Queue != b.Queue || got.Priority != b.Priority || got.Key != b.Key {
		e.failf("begun as %+v, loaded as %+v", b, got.Execution)
	}
	want := slices.Sorted(slices.Values(b.Tags))
	if have := slices.Sorted(slices.Values(got.Tags)); !slices.Equal(have, want) {
		e.failf("tags %q became %q", want, have)
	}
	if !got.Due.Equal(b.Due) {
		e.failf("due %v became %v", b.Due, got.Due)
	}
}

func beginAgain(e *env) {
	b := start()
	b.Key = "k"
	e.begin(b)
	e.one(beginning(b), store.Landed, "the same Begin again")
	if rec := e.whole(b.ID); rec.Length != 1 {
		e.failf("the second Begin had an effect: %s", describe(rec.Execution))
	}
}

func beginAgainLater(e *env) {
	b := start()
	b.Owner = e.lease()
	r := run{id: e.begin(b), owner: b.Owner, epoch: 1, base: 1}
	e.advance(r, r.park(store.Completed))
	e.one(beginning(b), store.Landed, "a Begin whose execution has ended")
	if rec := e.whole(b.ID); rec.Length != 2 || rec.Status != store.Completed {
		e.failf("the second Begin had an effect: %s", describe(rec.Execution))
	}
}

func beginKeySame(e *env) {
	first, second := start(), start()
	first.Key, second.Key = "k", "k"
	e.begin(first)
	v := e.one(beginning(second), store.Exists, "a key that is taken")
	if v.ID != first.ID || !v.Same {
		e.failf("verdict %+v must name %s and the same input", v, first.ID)
	}
	_, err := e.st.Load(e.ctx(), second.ID, false)
	e.is(err, store.ErrNotFound, "load what was not begun")
}

func beginKeyOther(e *env) {
	first, second := start(), start()
	first.Key, second.Key = "k", "k"
	second.InputHash = []byte("other")
	e.begin(first)
	v := e.one(beginning(second), store.Exists, "a key that is taken")
	if v.ID != first.ID || v.Same {
		e.failf("verdict %+v must name %s and another input", v, first.ID)
	}
}

func beginKeyScope(e *env) {
	a, b := start(), start()
	a.Key, b.Key = "k", "k"
	b.Workflow = "another"
	e.begin(a)
	e.begin(b)
	e.pending()
	e.pending() // two without a key
}

func beginKeyBatch(e *env) {
	a, b := start(), start()
	a.Key, b.Key = "k", "k"
	vs := e.commit(beginning(a), beginning(b))
	if vs[0].Code != store.Applied || vs[1].Code != store.Exists || vs[1].ID != a.ID {
		e.failf("two starts with one key in a batch: %+v", vs)
	}
}

func beginKeyEnded(e *env) {
	a, b := start(), start()
	a.Key, b.Key = "k", "k"
	e.begin(a)
	r := e.takeover(a.ID)
	e.advance(r, r.park(store.Failed))
	e.one(beginning(b), store.Exists, "a key of an ended execution")
}

func beginDueLater(e *env) {
	b := start()
	b.Due = e.now().Add(time.Hour)
	e.begin(b)
	e.nobody("due in an hour")
	soon := start()
	soon.Due = e.now().Add(30 * time.Millisecond)
	e.begin(soon)
	who := e.lease()
	e.until("what is due soon is claimed", func() bool {
		c := e.claim(who)
		if len(c.Records) > 0 && c.Now.Before(soon.Due) {
			e.failf("claimed at %v, due at %v", c.Now, soon.Due)
		}
		return len(c.Records) == 1 && c.Records[0].ID == soon.ID
	})
}

func beginEager(e *env) {
	r := e.running()
	rec := e.load(r.id)
	if rec.Status != store.Running || rec.Owner != r.owner || rec.Epoch != 1 || rec.Rows[0].Epoch != 1 {
		e.failf("an eager start must be running, owned, epoch 1 in header and row: %s", describe(rec.Execution))
	}
	e.nobody("owned from the start")
	e.advance(r, r.next("go on"))
}

func beginEagerUnknown(e *env) {
	b := start()
	b.Owner = uuid.New()
	e.one(beginning(b), store.Superseded, "an eager start by nobody known")
	_, err := e.st.Load(e.ctx(), b.ID, false)
	e.is(err, store.ErrNotFound, "load what was not begun")
}

func beginEagerDead(e *env) {
	b := start()
	b.Key = "k"
	b.Owner = e.lease()
	e.lapse(b.Owner)
	e.one(beginning(b), store.Superseded, "an eager start with an expired lease")
	_, err := e.st.Load(e.ctx(), b.ID, false)
	e.is(err, store.ErrNotFound, "load what was not begun")
	b.Owner = uuid.Nil
	e.one(beginning(b), store.Applied, "the same start, not eager: the refused one must leave no key behind")
}

func beginEagerAgain(e *env) {
	b := start()
	b.Owner = e.lease()
	e.begin(b)
	e.one(beginning(b), store.Landed, "the same eager Begin again")
	e.lapse(b.Owner)
	e.one(beginning(b), store.Landed, "the same eager Begin again, after the lease")
	if rec := e.whole(b.ID); rec.Length != 1 || !bytes.Equal(rec.Rows[0].Body, b.Row) {
		e.failf("the second Begin had an effect: %s", describe(rec.Execution))
	}
}
