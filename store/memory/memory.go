// Package memory is a store that lives in the process: for tests, for the
// simulator, and as the model that other stores are compared with.
//
// It keeps everything under one lock and loses everything when the process
// ends. It is deterministic: with the same calls and the same clock, results
// come in the same order, and no goroutine is started except for Watch. It
// knows what package store says a store knows, and nothing else; bytes are
// copied on the way in and out.
package memory

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/durable-go/durable/store"
)

// errClosed is what calls after Close get.
var errClosed = errors.New("memory: the store is closed")

// Store is one handle on data in memory. Handles made by OpenStore share the
// data with the one they were made from; closing one leaves the others and the
// data alone.
type Store struct {
	data   *data
	closed bool // guarded by data.mu
}

var (
	_ store.Store  = (*Store)(nil)
	_ store.Opener = (*Store)(nil)
)

// data is what the handles share.
type data struct {
	mu         sync.Mutex
	clock      func() time.Time
	executions map[store.ID]*execution
	ids        []store.ID // of executions, ascending
	keys       map[key]store.ID
	dedupes    map[dedupe]bool
	waits      map[string]store.ID // open waits
	blobs      blobs
	draws      map[store.Counter][]draw
	logs       map[store.ID]map[logKey]store.Log
	streams    map[store.ID]map[string][]store.Chunk // by name, ascending
	leases     map[store.Incarnation]store.Living
	owned      map[store.Incarnation]map[store.ID]struct{} // by owner
	queues     map[string]*line
	holds      map[string]map[store.ID]struct{}   // who holds of a name
	children   map[store.ID]map[store.ID]struct{} // by parent
	tokens     map[string][]token
	pauses     map[string]store.Pause
	published  map[string][]publication // by topic, oldest first
	watchers   map[*watcher]struct{}
}

// Option changes how a store is made.
type Option func(*data)

// Clock gives the store its time; the default is time.Now. It may stand still
// and it may step back: what is due and alive is always judged by its reading
// at that moment. It is called under the store's lock, once per call, and may
// not call the store.
func Clock(now func() time.Time) Option {
	return func(d *data) { d.clock = now }
}

// New makes an empty store.
func New(opts ...Option) *Store {
	d := &data{
		clock:      time.Now,
		executions: map[store.ID]*execution{},
		keys:       map[key]store.ID{},
		dedupes:    map[dedupe]bool{},
		waits:      map[string]store.ID{},
		blobs:      newBlobs(),
		draws:      map[store.Counter][]draw{},
		logs:       map[store.ID]map[logKey]store.Log{},
		streams:    map[store.ID]map[string][]store.Chunk{},
		leases:     map[store.Incarnation]store.Living{},
		owned:      map[store.Incarnation]map[store.ID]struct{}{},
		queues:     map[string]*line{},
		holds:      map[string]map[store.ID]struct{}{},
		children:   map[store.ID]map[store.ID]struct{}{},
		tokens:     map[string][]token{},
		pauses:     map[string]store.Pause{},
		published:  map[string][]publication{},
		watchers:   map[*watcher]struct{}{},
	}
	for _, o := range opts {
		o(d)
	}
	return &Store{data: d}
}

// OpenStore returns another handle on the same data. It works after Close, too:
// closing and opening is this store's restart.
func (s *Store) OpenStore(ctx context.Context) (store.Store, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return &Store{data: s.data}, nil
}

// Close ends this handle. The data stays for other handles.
func (s *Store) Close() error {
	s.data.mu.Lock()
	defer s.data.mu.Unlock()
	s.closed = true
	return nil
}

// enter takes the lock for one call, unless the call must fail. Whoever gets no
// error calls leave.
func (s *Store) enter(ctx context.Context) (now time.Time, err error) {
	if err := ctx.Err(); err != nil {
		return time.Time{}, err
	}
	s.data.mu.Lock()
	if s.closed {
		s.data.mu.Unlock()
		return time.Time{}, errClosed
	}
	// Without its monotonic reading a time means the same in every process.
	return s.data.clock().Round(0), nil
}

func (s *Store) leave() { s.data.mu.Unlock() }
