package durable

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/durable-go/durable/internal/journal"
	"github.com/durable-go/durable/internal/run"
	"github.com/durable-go/durable/store"
)

const (
	maxBlob  = 16 << 20 // bytes
	maxBlobs = 64 << 20 // bytes of those that go with one record
)

// Blob keeps a body of up to 16 MiB beside the run's state and journal, and returns the hex
// SHA-256 of it, by which ReadBlob finds it in any step of the same run. It is not durable
// at once: it becomes so in the same write as the next record of this body, which is that of the next
// durable call, or of the step's end. So what is recorded never names a blob that is not there.
// The same body is kept once, however often it is given, by however many runs. If the body ends without such a record
// (an error, a panic, a Snooze), what it gave since the last one is dropped.
//
// Within the function of a Do it goes with the Do's record, also
// with that of an error. Within one of an All it goes with the record of that item. It is no durable call: it
// has no name, and a step may call it anywhere but within or after Tx.
//
// Blobs are removed with the last run that has given them. A run may have any number of them; those that go with one
// record may have 64 MiB together, else ErrTooLarge.
func Blob(ctx context.Context, body []byte) (hash string, err error) {
	b, s, err := shelfOf(ctx, "Blob")
	if err != nil {
		return "", err
	}
	if b.tx != nil || b.dropped {
		return "", fmt.Errorf("%w: Blob: Tx is the last durable thing that a step does", ErrNotInStep)
	}
	if len(body) > maxBlob {
		return "", fmt.Errorf("Blob: %w: %d bytes, the limit is %d; keep it in pieces, or elsewhere", ErrTooLarge, len(body), maxBlob)
	}
	return s.put(body)
}

// ReadBlob returns a body that a step of this run gave to Blob. It sees what this body gave just
// now, and what is recorded of the run; not what another lane or item has not recorded yet,
// and nothing of other runs: ErrNotFound. While the database is away it waits. If the database has lost
// or changed what was kept, ReadBlob does not return: the run is blocked, and no attempt is counted.
//
// It may be called where Blob may be, and also within Tx.
func ReadBlob(ctx context.Context, hash string) ([]byte, error) {
	b, s, err := shelfOf(ctx, "ReadBlob")
	if err != nil {
		return nil, err
	}
	for _, s := range []*shelf{s, b.shelf} {
		if body, ok := s.get(hash); ok {
			return body, nil
		}
	}
	if !isHash(hash) {
		return nil, fmt.Errorf("ReadBlob: %w: %.80q is not what Blob returns: 64 hex digits", ErrInvalid, hash)
	}
	var body []byte
	err = persist(ctx, func() (err error) {
		body, err = b.engine.store.Blob(ctx, b.h.Execution, hash)
		return err
	})
	lost := err
	if err == nil {
		lost = checkBlob(hash, body)
	}
	if errors.Is(lost, store.ErrLost) || errors.Is(lost, journal.ErrCorrupt) {
		// No attempt mends that: it is none.
		b.h.GiveUp(fmt.Sprintf("a blob that was kept is not there as it was, and %s needs it: %v; restore the database, then unblock the run", b.h.Path, lost))
	}
	if err != nil {
		return nil, fmt.Errorf("ReadBlob: %w", err)
	}
	return body, nil
}

// Blob returns a body that a step of a run gave to the function Blob, once that is recorded.
// ErrNotFound if there is no such blob, or no such run.
func (e *Engine) Blob(ctx context.Context, id ID, hash string) ([]byte, error) {
	if !isHash(hash) {
		return nil, fmt.Errorf("blob of run %s: %w: %.80q is not what Blob returns: 64 hex digits", id, ErrInvalid, hash)
	}
	body, err := e.store.Blob(ctx, id, hash)
	if err != nil {
		return nil, fmt.Errorf("blob of run %s: %w", id, err)
	}
	return body, checkBlob(hash, body)
}

func checkBlob(hash string, body []byte) error {
	if got := hashOf(body); got != hash {
		return fmt.Errorf("%w: the blob %s has content with the hash %s", journal.ErrCorrupt, hash, got)
	}
	return nil
}

func isHash(s string) bool { return len(s) == 64 && strings.Trim(s, "0123456789abcdef") == "" }

func hashOf(body []byte) string {
	sum := sha256.Sum256(body)
	return hex.EncodeToString(sum[:])
}

// shelf has what Blob and StreamWriter.End were given and no record has taken yet: of a body, or of a function of its
// Do or All.
type shelf struct {
	mu    sync.Mutex
	shut  bool
	size  int
	blobs []run.Blob
	ends  []run.End // of streams
}

// shelfKey is where the context of a function has its shelf.
type shelfKey struct{}

// shelfOf finds the shelf that a context leads to, if it may be used here.
func shelfOf(ctx context.Context, what string) (*body, *shelf, error) {
	b := bodyOf(ctx)
	if b == nil {
		return nil, nil, fmt.Errorf("%w: %s: the context is not that of a step; pass the ctx that the step was given", ErrNotInStep, what)
	}
	if s, ok := ctx.Value(shelfKey{}).(*shelf); ok {
		return b, s, nil
	}
	if err := b.h.Misuse(); err != nil {
		return nil, nil, fmt.Errorf("%w: %s: %w", ErrNotInStep, what, err)
	}
	return b, b.shelf, nil
}

func (s *shelf) put(body []byte) (string, error) {
	hash := hashOf(body)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.shut {
		return "", fmt.Errorf("%w: Blob: the function has returned", ErrNotInStep)
	}
	if s.find(hash) != nil {
		return hash, nil
	}
	if s.size += len(body); s.size > maxBlobs {
		s.size -= len(body)
		return "", fmt.Errorf("Blob: %w: what is to go with the next record is more than %d bytes; record something in between, with Do", ErrTooLarge, maxBlobs)
	}
	s.blobs = append(s.blobs, run.Blob{Hash: hash, Body: append([]byte{}, body...)})
	return hash, nil
}

func (s *shelf) get(hash string) ([]byte, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if x := s.find(hash); x != nil {
		return bytes.Clone(x.Body), true
	}
	return nil, false
}

func (s *shelf) find(hash string) *run.Blob {
	for i := range s.blobs {
		if s.blobs[i].Hash == hash {
			return &s.blobs[i]
		}
	}
	return nil
}

// all is what is on the shelf.
func (s *shelf) all() []run.Blob {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.blobs[:len(s.blobs):len(s.blobs)]
}

// clear takes off what a record has taken.
func (s *shelf) clear() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.blobs, s.size, s.ends = nil, 0, nil
}

// close lets nothing more be put there.
func (s *shelf) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.shut = true
}

// call makes a call durable, and with it what lies on the shelves.
func (b *body) call(req *run.CallRequest, more ...*shelf) (*journal.Call, error) {
	shelves := append([]*shelf{b.shelf}, more...)
	for _, s := range shelves {
		req.Blobs = append(req.Blobs, s.all()...)
		req.Ends = append(req.Ends, s.allEnds()...)
	}
	c, err := b.h.Call(req)
	if err == nil {
		for _, s := range shelves {
			s.clear()
		}
	}
	return c, err
}
