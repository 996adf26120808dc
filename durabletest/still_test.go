package durabletest

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/durable-go/durable"
)

// told takes what the watch says, and opens what holds the test up.
type told struct {
	once sync.Once
	open func()
	text chan string
}

func (w *told) Write(b []byte) (int, error) {
	w.once.Do(func() {
		w.text <- string(b)
		w.open()
	})
	return len(b), nil
}

// A step that stands at a mutex stops the clock: the test hangs, and is told why.
func TestTimeThatStandsStill(t *testing.T) {
	var mu sync.Mutex
	mu.Lock()
	w := &told{open: mu.Unlock, text: make(chan string, 1)}
	done := make(chan struct{})
	defer close(done)
	go watchTime(w, 20*time.Millisecond, done)
	locks := durable.Define("locks", durable.Step("lock", func(context.Context, *int) error {
		mu.Lock()
		defer mu.Unlock()
		return nil
	}))
	Run(t, durable.Config{Workflows: []durable.Definition{locks}}, func(_ *testing.T, e *Engine) {
		Start(e, locks, 1).Done()
	})
	if text := <-w.text; !strings.Contains(text, "TestTimeThatStandsStill.func") || !strings.Contains(text, "sync.Mutex.Lock") {
		t.Errorf("it says\n%s", text)
	}
}

func TestStanding(t *testing.T) {
	const all = `goroutine 1 [sync.Mutex.Lock, synctest bubble 7]:
main.a()

goroutine 2 [sync.Mutex.Lock, 3 minutes, synctest bubble 7]:
main.b()

goroutine 3 [sync.Mutex.Lock]:
main.outside()

goroutine 4 [select (durable), synctest bubble 7]:
main.waits()

goroutine 5 [running, synctest bubble 7]:
main.works()

goroutine 6 [IO wait, synctest bubble 7]:
main.c()
`
	got := standing(all)
	if len(got) != 3 || !got["goroutine 2 [sync.Mutex.Lock]:\nmain.b()"] {
		t.Errorf("%v", got)
	}
}
