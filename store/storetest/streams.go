package storetest

import (
	"strings"
	"sync"
	"sync/atomic"

	"github.com/durable-go/durable/store"
)

func streamClauses() []clause {
	return []clause{
		{"stream/chunks come in order, after an index", "LS-1", streamOrder},
		{"stream/pages, and what is left", "LS-1", streamPages},
		{"stream/any bytes come back as they were", "PL-1", streamBytes},
		{"stream/a write again adds nothing", "LS-1, QU-8", streamAgain},
		{"stream/what is not at the end is ignored", "LS-2", streamLate},
		{"stream/a reset removes what was before", "LS-2", streamReset},
		{"stream/an end removes what was before, with its row", "LS-4", streamEnd},
		{"stream/several in one write", "LS-1", streamSeveral},
		{"stream/streams do not see each other", "LS-1", streamScope},
		{"stream/an old owner adds nothing", "G3, LS-3", streamFenced},
		{"stream/a refused write leaves no chunk", "LS-4", streamRefused},
		{"stream/malformed ones are refused", "LS-6", streamMistakes},
		{"stream/a view is one state", "LS-5", streamView},
		{"stream/they outlive the end, a restart, and not the run", "LS-4, RN-2", streamLife},
		{"race/chunks of an owner and of the next", "G3, LS-3", streamRace},
	}
}

func text(name string, index int64, s string) store.Chunk {
	return store.Chunk{Stream: name, Index: index, Kind: store.ChunkText, Attempt: 1, Text: []byte(s)}
}

func reset(name string, index int64, attempt int) store.Chunk {
	return store.Chunk{Stream: name, Index: index, Kind: store.ChunkReset, Attempt: attempt}
}

func ending(name string, index int64, s string) store.Chunk {
	return store.Chunk{Stream: name, Index: index, Kind: store.ChunkEnd, Attempt: 2, Text: []byte(s)}
}

// chunks commits a write that has nothing but chunks.
func (e *env) chunks(r run, list ...store.Chunk) {
	e.tb.Helper()
	a := r.bare()
	a.Chunks = list
	e.one(advancing(a), store.Applied, "chunks alone")
}

func (e *env) stream(id store.ID, name string, after int64) store.StreamView {
	e.tb.Helper()
	v, err := e.st.Stream(e.ctx(), store.StreamRequest{ID: id, Name: name, After: after})
	e.ok(err, "stream")
	return v
}

// streams wants exactly these chunks after an index.
func (e *env) streams(id store.ID, name string, after int64, want ...store.Chunk) {
	e.tb.Helper()
	v := e.stream(id, name, after)
	for i := range v.Chunks {
		if len(v.Chunks[i].Text) == 0 {
			v.Chunks[i].Text = nil
		}
	}
	if d := differ(want, v.Chunks); d != "" || v.More {
		e.failf("the stream %q after %d: %s, more: %t", name, after, d, v.More)
	}
	if n := len(want); n > 0 {
		last := want[n-1]
		last.Text = nil
		if d := differ(last, v.Last); d != "" {
			e.failf("the newest chunk of %q: %s", name, d)
		}
	}
}

func streamOrder(e *env) {
	r := e.running()
	e.streams(r.id, "answer", 0)
	if v := e.stream(r.id, "answer", 0); v.Last.Index != 0 || v.Execution.Status != store.Running || v.Execution.ID != r.id {
		e.failf("a stream that has not begun: %+v", v)
	}
	one, two, five := text("answer", 1, "one"), text("answer", 2, "two"), text("answer", 5, "five")
	e.chunks(r, one, two)
	a := r.next("two")
	a.Chunks = []store.Chunk{five}
	r = e.advance(r, a)
	e.streams(r.id, "answer", -1, one, two, five)
	e.streams(r.id, "answer", 0, one, two, five)
	e.streams(r.id, "answer", 1, two, five)
	e.streams(r.id, "answer", 4, five)
	if v := e.stream(r.id, "answer", 5); len(v.Chunks) != 0 || v.Last.Index != 5 || v.More {
		e.failf("after the last: %+v", v)
	}
	if v := e.stream(r.id, "answer", 1<<62); len(v.Chunks) != 0 || v.Last.Index != 5 {
		e.failf("after what is to come: %+v", v)
	}
	_, err := e.st.Stream(e.ctx(), store.StreamRequest{ID: newID(), Name: "answer"})
	e.is(err, store.ErrNotFound, "a stream of what is not there")
	list, err := e.st.Streams(e.ctx(), newID())
	e.ok(err, "streams of what is not there")
	if len(list) > 0 {
		e.failf("streams of what is not there: %+v", list)
	}
}

func streamPages(e *env) {
	r := e.running()
	all := make([]store.Chunk, store.StreamPage+3)
	for i := range all {
		all[i] = text("s", int64(10*i+1), strings.Repeat("x", i))
	}
	e.chunks(r, all...)
	if v := e.stream(r.id, "s", 0); len(v.Chunks) != store.StreamPage || !v.More || v.Last.Index != all[len(all)-1].Index {
		e.failf("a page of %d chunks, more: %t, newest %d", len(v.Chunks), v.More, v.Last.Index)
	}
	var got []store.Chunk
	for after, more := int64(0), true; more; {
		v, err := e.st.Stream(e.ctx(), store.StreamRequest{ID: r.id, Name: "s", After: after, Limit: 7})
		e.ok(err, "stream")
		if more = v.More; more != (len(got)+len(v.Chunks) < len(all)) || len(v.Chunks) > 7 || len(v.Chunks) == 0 {
			e.failf("%d chunks after %d of %d, more: %t", len(v.Chunks), len(got), len(all), more)
		}
		got = append(got, v.Chunks...)
		after = got[len(got)-1].Index
	}
	got[0].Text = all[0].Text
	if d := differ(all, got); d != "" {
		e.failf("all pages: %s", d)
	}
}

func streamBytes(e *env) {
	r := e.running()
	name := strings.Repeat("ä", store.MaxStream/2)
	c := text(name, 1, "")
	c.Text = awkward()
	big := text(name, 1<<62, strings.Repeat("\x00", store.MaxChunk))
	e.chunks(r, c, big)
	e.streams(r.id, name, 0, c, big)
	end := ending(name, 1<<62+1, strings.Repeat("\xff", 1<<20))
	given := strings.Clone(string(end.Text))
	e.chunks(r, end)
	clear(end.Text)
	got := e.stream(r.id, name, 0).Chunks
	if len(got) != 1 || string(got[0].Text) != given {
		e.failf("a large end came back otherwise")
	}
	clear(got[0].Text)
	if got = e.stream(r.id, name, 0).Chunks; string(got[0].Text) != given {
		e.failf("the store shares memory with who reads")
	}
}

func streamAgain(e *env) {
	r := e.running()
	a := r.next("two")
	a.Chunks = []store.Chunk{text("s", 1, "one"), text("s", 2, "two")}
	r = e.advance(r, a)
	e.one(advancing(a), store.Landed, "the write again")
	e.chunks(r, text("s", 3, "three"))
	e.chunks(r, text("s", 3, "other"))
	e.chunks(r, text("s", 2, "other"), text("s", 3, "other"), text("s", 4, "four"))
	e.streams(r.id, "s", 0, text("s", 1, "one"), text("s", 2, "two"), text("s", 3, "three"), text("s", 4, "four"))
}

func streamLate(e *env) {
	r := e.running()
	late := []store.Chunk{text("s", 1, "one"), text("s", 2, "two")}
	e.chunks(r, late...)
	e.chunks(r, reset("s", 3, 2))
	e.chunks(r, late...)
	e.streams(r.id, "s", 0, reset("s", 3, 2))
	e.chunks(r, text("s", 4, "four"), text("s", 5, "five"))
	e.chunks(r, reset("s", 3, 2))
	e.chunks(r, reset("s", 4, 3)) // of a text there is no reset
	e.streams(r.id, "s", 0, reset("s", 3, 2), text("s", 4, "four"), text("s", 5, "five"))
	e.chunks(r, ending("s", 6, "all"))
	e.chunks(r, text("s", 4, "four"), reset("s", 5, 7))
	e.streams(r.id, "s", 0, ending("s", 6, "all"))
}

func streamReset(e *env) {
	r := e.running()
	e.chunks(r, text("s", 1, "one"), text("s", 2, "two"), text("other", 1, "stays"))
	e.chunks(r, text("s", 3, "three"), reset("s", 4, 2), text("s", 5, "five"))
	e.streams(r.id, "s", 0, reset("s", 4, 2), text("s", 5, "five"))
	e.streams(r.id, "s", 2, reset("s", 4, 2), text("s", 5, "five"))
	e.streams(r.id, "s", 4, text("s", 5, "five"))
	e.streams(r.id, "other", 0, text("other", 1, "stays"))
}

func streamEnd(e *env) {
	r := e.running()
	e.chunks(r, text("s", 1, "one"), text("s", 2, "two"))
	a := r.next("the record")
	a.Chunks = []store.Chunk{ending("s", 3, "one two")}
	stale := a
	stale.Epoch--
	e.one(advancing(stale), store.Superseded, "the end of an old owner")
	e.streams(r.id, "s", 0, text("s", 1, "one"), text("s", 2, "two"))
	r = e.advance(r, a)
	e.streams(r.id, "s", 0, ending("s", 3, "one two"))
	e.streams(r.id, "s", 1, ending("s", 3, "one two"))
	e.chunks(r, reset("s", 9, 3), text("s", 10, "anew"))
	e.streams(r.id, "s", 3, reset("s", 9, 3), text("s", 10, "anew"))
	e.streams(r.id, "s", 0, reset("s", 9, 3), text("s", 10, "anew"))
}

func streamSeveral(e *env) {
	r, o := e.running(), e.running()
	a, b := r.bare(), o.next("two")
	a.Chunks = []store.Chunk{text("x", 1, "x1"), text("y", 7, "y7"), text("x", 2, "x2"), reset("y", 8, 2), ending("z", 1, "z")}
	b.Chunks = []store.Chunk{text("x", 1, "of the other"), reset("x", 2, 2), text("x", 3, "x3"), reset("x", 4, 3)}
	e.commit(advancing(a), advancing(b))
	e.streams(r.id, "x", 0, text("x", 1, "x1"), text("x", 2, "x2"))
	e.streams(r.id, "y", 0, reset("y", 8, 2))
	e.streams(r.id, "z", 0, ending("z", 1, "z"))
	e.streams(o.id, "x", 0, reset("x", 4, 3))
	list, err := e.st.Streams(e.ctx(), r.id)
	e.ok(err, "streams")
	x, z := text("x", 2, ""), ending("z", 1, "")
	x.Text, z.Text = nil, nil
	if d := differ([]store.Chunk{x, reset("y", 8, 2), z}, list); d != "" {
		e.failf("all streams: %s", d)
	}
}

func streamScope(e *env) {
	r, o := e.running(), e.running()
	e.chunks(r, text("s", 1, "mine"))
	e.chunks(o, text("s", 1, "theirs"), text("S", 1, "large"), text("s ", 1, "with a space"))
	e.chunks(r, reset("s", 2, 2))
	e.streams(o.id, "s", 0, text("s", 1, "theirs"))
	e.streams(o.id, "S", 0, text("S", 1, "large"))
	e.streams(o.id, "s ", 0, text("s ", 1, "with a space"))
	e.streams(r.id, "S", 0)
}

func streamFenced(e *env) {
	r := e.running()
	e.chunks(r, text("s", 1, "one"))
	e.lapse(r.owner)
	e.expire(1)
	old := r
	r = e.takeover(r.id)
	for what, c := range map[string]store.Chunk{"text": text("s", 2, "late"), "a reset": reset("s", 3, 2), "an end": ending("s", 4, "late")} {
		a := old.bare()
		a.Chunks = []store.Chunk{c}
		e.one(advancing(a), store.Superseded, what+" of an old owner")
		a.Owner = r.owner
		e.one(advancing(a), store.Superseded, what+" of an old epoch")
		a.Owner, a.Epoch = old.owner, r.epoch
		e.one(advancing(a), store.Superseded, what+" of somebody else")
	}
	e.streams(r.id, "s", 0, text("s", 1, "one"))
	e.chunks(r, reset("s", 9, 2))
	e.streams(r.id, "s", 0, reset("s", 9, 2))
}

func streamRefused(e *env) {
	r := e.running()
	a := r.next("two")
	a.Chunks, a.Seen = []store.Chunk{text("s", 1, "one")}, 0
	e.one(delivering(send(r.id, "t", "m1")), store.Applied, "send")
	e.one(advancing(a), store.Unseen, "a write that overlooks a message")
	e.streams(r.id, "s", 0)
	bad := start()
	bad.Row = nil
	a.Seen = -1
	e.refused("a batch with a malformed write", advancing(a), beginning(bad))
	e.streams(r.id, "s", 0)
}

func streamMistakes(e *env) {
	r := e.running()
	long := text("s", 1, strings.Repeat("x", store.MaxChunk+1))
	for why, list := range map[string][]store.Chunk{
		"no name":              {text("", 1, "x")},
		"a long name":          {text(strings.Repeat("x", store.MaxStream+1), 1, "x")},
		"a name that is none":  {text("\xff", 1, "x")},
		"index 0":              {text("s", 0, "x")},
		"a negative index":     {text("s", -1, "x")},
		"an index twice":       {text("s", 1, "x"), text("s", 1, "y")},
		"a descending index":   {text("s", 2, "x"), text("o", 1, "x"), text("s", 1, "y")},
		"no kind":              {{Stream: "s", Index: 1, Attempt: 1}},
		"an unknown kind":      {{Stream: "s", Index: 1, Attempt: 1, Kind: 4}},
		"no attempt":           {reset("s", 1, 0)},
		"a reset with a text":  {{Stream: "s", Index: 1, Attempt: 1, Kind: store.ChunkReset, Text: []byte("x")}},
		"a text that is large": {long},
		"an end that is large": {ending("s", 1, strings.Repeat("x", store.MaxStreamEnd+1))},
	} {
		a := r.bare()
		a.Chunks = list
		e.refused(why, advancing(a))
	}
	e.streams(r.id, "s", 0)
}

func streamView(e *env) {
	for range 10 {
		r := e.running()
		e.chunks(r, text("s", 1, "one"))
		a := r.park(store.Failed)
		a.Release.Error, a.Release.ErrorCode = []byte("why"), "panic"
		a.Chunks = []store.Chunk{text("s", 2, "two")}
		read := make(chan struct{}, 1)
		var all sync.WaitGroup
		all.Go(func() { e.watchEnd(r, read) })
		<-read
		e.one(advancing(a), store.Applied, "the end")
		all.Wait()
	}
}

// watchEnd reads a stream whose second chunk comes with the end of its execution.
func (e *env) watchEnd(r run, read chan<- struct{}) {
	for {
		v, err := e.st.Stream(e.ctx(), store.StreamRequest{ID: r.id, Name: "s"})
		select {
		case read <- struct{}{}:
		default:
		}
		switch {
		case err != nil:
			e.errorf("stream: %v", err)
			return
		case (v.Execution.Status == store.Failed) != (v.Last.Index == 2) || len(v.Chunks) != int(v.Last.Index):
			e.errorf("%s with %d chunks, the newest %d", v.Execution.Status, len(v.Chunks), v.Last.Index)
			return
		case v.Last.Index == 2:
			if string(v.Execution.Error) != "why" || v.Execution.ErrorCode != "panic" || v.Execution.Epoch != r.epoch {
				e.errorf("how it ended: %+v", v.Execution)
			}
			return
		}
	}
}

func streamLife(e *env) {
	r := e.running()
	e.chunks(r, text("open", 1, "half"), ending("done", 1, "all"))
	e.advance(r, r.park(store.Failed))
	e.restart()
	e.streams(r.id, "open", 0, text("open", 1, "half"))
	e.streams(r.id, "done", 0, ending("done", 1, "all"))
	a := r.bare()
	a.Chunks = []store.Chunk{text("open", 2, "late")}
	e.one(advancing(a), store.Superseded, "a chunk after the end")
	e.prunes(store.PruneRequest{}, 1)
	_, err := e.st.Stream(e.ctx(), store.StreamRequest{ID: r.id, Name: "open"})
	e.is(err, store.ErrNotFound, "a stream of what was removed")
	list, err := e.st.Streams(e.ctx(), r.id)
	e.ok(err, "streams of what was removed")
	if len(list) > 0 {
		e.failf("it left the streams %+v", list)
	}
	b := start()
	b.ID = r.id
	e.one(beginning(b), store.Applied, "it begins again")
	e.streams(r.id, "open", 0)
	e.streams(r.id, "done", 0)
}

func streamRace(e *env) {
	for range 5 {
		r := e.running()
		e.chunks(r, text("s", 1, "one"))
		e.lapse(r.owner)
		other := e.open()
		var all sync.WaitGroup
		begun := make(chan struct{})
		var taken atomic.Bool
		all.Go(func() {
			for i, left := int64(2), 5; left > 0; i++ {
				if taken.Load() {
					left--
				}
				a := r.bare()
				a.Chunks = []store.Chunk{text("s", i, "more")}
				v, err := other.Commit(e.ctx(), []store.Write{advancing(a)})
				if i == 2 {
					close(begun)
				}
				if err != nil {
					e.errorf("a chunk: %v", err)
					return
				}
				if code := v.Verdicts[0].Code; code == store.Superseded || code != store.Applied && code != store.Busy {
					return
				}
			}
		})
		<-begun
		e.expire(1)
		who := e.lease()
		var next run
		e.until("it is claimed, unless a chunk is being written", func() bool {
			for _, rec := range e.claim(who).Records {
				next = run{rec.ID, who, rec.Epoch, rec.Length}
			}
			return next.id == r.id
		})
		before := e.stream(r.id, "s", 0).Last.Index
		taken.Store(true)
		all.Wait()
		if after := e.stream(r.id, "s", 0).Last.Index; after != before {
			e.failf("a chunk of the old owner landed after the takeover: %d, then %d", before, after)
		}
		e.chunks(next, reset("s", 1<<40, 2))
		e.streams(r.id, "s", 0, reset("s", 1<<40, 2))
	}
}
