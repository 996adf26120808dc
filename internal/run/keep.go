package run

import "github.com/durable-go/durable/store"

// What bodies keep beside the journal goes with the write that records their next
// call or their end. A body that begins again keeps the same again; what this worker knows to be
// in the store is not sent a second time, and the store would not keep it twice.

// endCall is the name of the end of a body, beside calls.
const endCall = "end"

// maxKept is how many blobs each half of what a worker remembers has.
const maxKept = 1 << 15

// kept remembers what is in the store. It forgets what is old: then it is sent once
// more.
type kept struct{ now, before map[keptKey]struct{} }

type keptKey struct {
	id   store.ID
	hash string
}

func (k *kept) has(key keptKey) bool {
	if _, ok := k.now[key]; ok {
		return true
	}
	_, ok := k.before[key]
	if ok {
		k.add(key)
	}
	return ok
}

func (k *kept) add(key keptKey) {
	if k.now == nil || len(k.now) >= maxKept {
		k.now, k.before = make(map[keptKey]struct{}), k.now
	}
	k.now[key] = struct{}{}
}

// keep puts blobs into the next write of a run, at the latest into that with the record
// that they belong to.
func (w *Worker) keep(r *run, key string, blobs []Blob) {
	for _, b := range blobs {
		if !w.kept.has(keptKey{r.id, b.Hash}) {
			r.batch.blobs = append(r.batch.blobs, blob{key, b})
		}
	}
}

// keptNow learns what a write that has landed has kept.
func (w *Worker) keptNow(id store.ID, b *batch) {
	for i := range b.blobs {
		if hash := b.blobs[i].Hash; hash != "" {
			w.kept.add(keptKey{id, hash})
		}
	}
}

// bodies is the blobs of a batch as the store takes them.
func (b *batch) bodies() (list [][]byte) {
	for i := range b.blobs {
		list = append(list, b.blobs[i].Body)
	}
	return list
}
