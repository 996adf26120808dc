package memory

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"

	"github.com/durable-go/durable/store"
)

// body is the content of blobs, once for all executions that name it.
type body struct {
	content []byte
	names   int // how many executions have it
}

// blobs are the bodies by their hash, and which of them each execution has named.
type blobs struct {
	bodies map[string]*body
	named  map[store.ID]map[string]struct{}
}

func newBlobs() blobs {
	return blobs{bodies: map[string]*body{}, named: map[store.ID]map[string]struct{}{}}
}

// keptBlob is a blob that a transaction will keep.
type keptBlob struct {
	id      store.ID
	hash    string
	content []byte
}

func (t *tx) keepBlobs(id store.ID, contents [][]byte) {
	for _, b := range contents {
		sum := sha256.Sum256(b)
		t.kept = append(t.kept, keptBlob{id, hex.EncodeToString(sum[:]), b})
	}
}

// keep names a body, which is copied if nobody has it.
func (b *blobs) keep(k keptBlob) {
	if _, there := b.named[k.id][k.hash]; there {
		return
	}
	put(b.named, k.id, k.hash)
	if b.bodies[k.hash] == nil {
		b.bodies[k.hash] = &body{content: bytes.Clone(k.content)}
	}
	b.bodies[k.hash].names++
}

// forget takes the names of an execution back, and bodies that nobody names any more.
func (b *blobs) forget(id store.ID) {
	for hash := range b.named[id] {
		if b.bodies[hash].names--; b.bodies[hash].names == 0 {
			delete(b.bodies, hash)
		}
	}
	delete(b.named, id)
}

// Blobs implements store.Store.
func (s *Store) Blobs(ctx context.Context, id store.ID) ([]string, error) {
	if _, err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.leave()
	if s.data.executions[id] == nil {
		return nil, fmt.Errorf("memory: blobs of %s: %w", id, store.ErrNotFound)
	}
	return slices.Sorted(maps.Keys(s.data.blobs.named[id])), nil
}

// Blob implements store.Store.
func (s *Store) Blob(ctx context.Context, id store.ID, hash string) ([]byte, error) {
	if _, err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.leave()
	if _, named := s.data.blobs.named[id][hash]; !named {
		return nil, fmt.Errorf("memory: blob %q of %s: %w", hash, id, store.ErrNotFound)
	}
	return bytes.Clone(s.data.blobs.bodies[hash].content), nil
}
