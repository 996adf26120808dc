package memory_test

import (
	"sync"
	"testing"
	"time"

	"github.com/durable-go/durable/store/memory"
	"github.com/durable-go/durable/store/storetest"
)

func TestConformance(t *testing.T) {
	storetest.Run(t, func(*testing.T) storetest.Harness {
		st := memory.New()
		return storetest.Harness{Opener: st, Bodies: func(testing.TB) int { return st.Bodies() }}
	})
}

// The same clauses in virtual time, as the simulator runs the store.
func TestConformanceWithVirtualClock(t *testing.T) {
	storetest.Run(t, func(*testing.T) storetest.Harness { return virtual() })
}

func virtual() storetest.Harness {
	var mu sync.Mutex
	now := time.Date(2031, 5, 4, 3, 2, 1, 0, time.UTC)
	return storetest.Harness{
		Opener: memory.New(memory.Clock(func() time.Time {
			mu.Lock()
			defer mu.Unlock()
			return now
		})),
		Advance: func(d time.Duration) {
			mu.Lock()
			defer mu.Unlock()
			now = now.Add(d)
		},
	}
}

// Memory against itself with another clock: what the driver compares must not
// depend on when it runs.
func TestDifferentialDriverIgnoresClocks(t *testing.T) {
	for seed := range uint64(3) {
		storetest.Differential(t, storetest.Harness{Opener: memory.New()}, virtual(), seed)
	}
}
