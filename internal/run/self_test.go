package run

import (
	"runtime"
	"sync"
	"testing"
)

// Goroutines that are alive are told apart, and each stays what it is, also when its stack grows and moves.
func TestSelf(t *testing.T) {
	const n = 200
	seen, done := make(map[uintptr]bool), make(chan struct{})
	var mu sync.Mutex
	var all, ready sync.WaitGroup
	var deep func(int) uintptr
	deep = func(k int) uintptr {
		var room [512]byte
		if k == 0 {
			return self()
		}
		v := deep(k - 1)
		runtime.KeepAlive(&room)
		return v
	}
	for range n {
		ready.Add(1)
		all.Go(func() {
			me := self()
			mu.Lock()
			seen[me] = true
			mu.Unlock()
			ready.Done()
			<-done
			runtime.Gosched()
			if self() != me || deep(1000) != me {
				t.Error("a goroutine is another one now")
			}
		})
	}
	ready.Wait()
	runtime.GC()
	close(done)
	all.Wait()
	if len(seen) != n || seen[self()] {
		t.Errorf("%d goroutines have %d names", n, len(seen))
	}
}
