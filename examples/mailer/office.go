package main

import (
	"errors"
	"strings"
	"sync"

	"github.com/durable-go/durable"
)

// office is a post office that takes each key once, knows which addresses do not exist,
// and is busy now and then.
type office struct {
	mu    sync.Mutex
	taken map[string]bool // by key
	calls int
	sent  int
	done  func(sent int) // after each letter that is new
}

var (
	errBusy   = errors.New("the server is busy")
	errNobody = errors.New("there is no such address")
)

func (o *office) send(key, to string) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.calls++
	switch {
	case o.calls%97 == 0:
		return errBusy
	case strings.HasSuffix(to, "@nowhere.example"):
		return durable.Permanent(errNobody) // asking again does not help
	case o.taken[key]:
		return nil // it has that letter
	}
	if o.taken == nil {
		o.taken = make(map[string]bool)
	}
	o.taken[key] = true
	o.sent++
	if o.done != nil {
		o.done(o.sent)
	}
	return nil
}

func (o *office) letters() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.sent
}
