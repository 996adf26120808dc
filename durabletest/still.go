package durabletest

import (
	"fmt"
	"io"
	"regexp"
	"runtime"
	"strings"
	"time"
)

// lookEvery is how often, in real time, it is looked whether virtual time stands still.
const lookEvery = 10 * time.Second

// watchTime says on out which goroutines keep virtual time from passing: those that stand, at two looks, at a mutex, in the network or at
// a channel of outside. It goes on until done is closed, each of them once.
func watchTime(out io.Writer, every time.Duration, done <-chan struct{}) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	told := make(map[string]bool)
	var before map[string]bool
	for {
		select {
		case <-done:
			return
		case <-tick.C:
		}
		now := standing(stacks())
		for stack := range now {
			if before[stack] && !told[stack] {
				told[stack] = true
				fmt.Fprintf(out, "durabletest: virtual time stands still: a goroutine waits for what is no waiting in virtual time. "+
					"A mutex is to be held for a moment only, not over a call that waits; what is of outside, such as the network or a channel that was made before Run, does not belong in the test.\n%s\n", stack)
			}
		}
		before = now
	}
}

// stacks is what all goroutines do.
func stacks() string {
	for n := 1 << 20; ; n *= 2 {
		b := make([]byte, n)
		if k := runtime.Stack(b, true); k < n {
			return string(b[:k])
		}
	}
}

// waitsOutside is how the stack of a goroutine begins that waits, and not durably.
var waitsOutside = regexp.MustCompile(`^goroutine \d+ \[(sync\.(RW)?Mutex\.R?Lock|IO wait|chan receive|chan send|select|semacquire)(, \d+ minutes)?, synctest bubble \d+\]:\n`) // lint:var a pattern

// standing finds the goroutines of bubbles that wait, but not durably, in the text of all stacks.
func standing(all string) map[string]bool {
	list := make(map[string]bool)
	for stack := range strings.SplitSeq(all, "\n\n") {
		if waitsOutside.MatchString(stack) {
			head, rest, _ := strings.Cut(stack, "\n")
			state, _, _ := strings.Cut(head, ",") // how long it waits changes
			list[state+"]:\n"+rest] = true
		}
	}
	return list
}
