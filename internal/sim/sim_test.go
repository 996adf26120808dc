package sim

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
)

func number(t *testing.T, name string, or uint64) uint64 {
	v := os.Getenv(name)
	if v == "" {
		return or
	}
	n, err := strconv.ParseUint(v, 10, 64)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}

func TestSeeds(t *testing.T) {
	if os.Getenv("SIM_SEED") != "" {
		o := Draw(number(t, "SIM_SEED", 0))
		t.Logf("%s", o)
		if r := Run(o, os.Stdout); r.Err != nil {
			t.Fatal(r.Err)
		}
		return
	}
	n := number(t, "SIM_SEEDS", 1000)
	first := number(t, "SIM_FIRST", 1)
	var (
		next  atomic.Uint64
		bad   atomic.Int64
		mu    sync.Mutex
		marks = map[string]int{}
		wg    sync.WaitGroup
	)
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for i := next.Add(1); i <= n && bad.Load() < 10; i = next.Add(1) {
				o := Draw(first + i - 1)
				r := Run(o, nil)
				mu.Lock()
				for k, v := range r.Marks {
					marks[k] += v
				}
				mu.Unlock()
				if r.Err != nil {
					bad.Add(1)
					t.Errorf("SIM_SEED=%d: %v", o.Seed, r.Err)
				}
			}
		})
	}
	wg.Wait()
	fmt.Println(marks)
}
