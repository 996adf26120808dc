//go:build fail

package fail

import (
	"errors"
	"fmt"
	"os"
	ossignal "os/signal"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// On tells whether the points are there.
const On = true

// ErrInjected is the error of the action error.
var ErrInjected = errors.New("fail: an injected error")

// rule is one entry of FAIL.
type rule struct {
	label       Label
	action      string
	delay       time.Duration
	first, last int
}

type points struct {
	once  sync.Once
	mu    sync.Mutex
	rules []rule
	hits  map[Label]int
}

var process points // lint:var failpoints are a property of the process: its environment sets them

// Point may end, stop, delay or panic here, if the environment says so.
func Point(l Label) {
	if err := process.hit(l); err != nil {
		refuse(fmt.Errorf("%s returns no error", l))
	}
}

// Err is Point, and may also return ErrInjected.
func Err(l Label) error { return process.hit(l) }

func (p *points) hit(l Label) error {
	p.once.Do(func() {
		rules, err := parse(os.Getenv("FAIL"))
		if err != nil {
			refuse(err)
		}
		p.rules, p.hits = rules, make(map[Label]int)
	})
	if len(p.rules) == 0 {
		return nil
	}
	p.mu.Lock()
	p.hits[l]++
	n := p.hits[l]
	p.mu.Unlock()
	for _, r := range p.rules {
		if r.label == l && r.first <= n && n <= r.last {
			return r.act()
		}
	}
	return nil
}

func (r rule) act() error {
	if r.action == "delay" {
		<-time.After(r.delay)
		return nil
	}
	fmt.Fprintf(os.Stderr, "fail: %s %s\n", r.label, r.action)
	switch r.action {
	case "kill":
		signal(syscall.SIGKILL)
		select {} // until it arrives
	case "stop":
		// The stop may reach other threads first; this goroutine must not go on
		// from its label before somebody lets the process continue.
		continued := make(chan os.Signal, 1)
		ossignal.Notify(continued, syscall.SIGCONT)
		signal(syscall.SIGSTOP)
		<-continued
		ossignal.Stop(continued)
	case "panic":
		panic("fail: " + string(r.label))
	case "error":
		return fmt.Errorf("%w at %s", ErrInjected, r.label)
	}
	return nil
}

func signal(s syscall.Signal) {
	if err := syscall.Kill(os.Getpid(), s); err != nil {
		refuse(err)
	}
}

// refuse ends the process: going on would hide a mistake of the test.
func refuse(err error) {
	fmt.Fprintln(os.Stderr, "fail:", err)
	os.Exit(86)
}

func parse(text string) ([]rule, error) {
	var rules []rule
	for entry := range strings.SplitSeq(text, ",") {
		if entry == "" {
			continue
		}
		label, rest, ok := strings.Cut(entry, "=")
		r := rule{label: Label(label), first: 1, last: 1}
		if !ok || !slices.Contains(Labels(), r.label) {
			return nil, fmt.Errorf("FAIL: %q does not begin with a label and =", entry)
		}
		action, hit, counted := strings.Cut(rest, "@")
		if counted {
			var err error
			if r.first, r.last, err = hits(hit); err != nil {
				return nil, fmt.Errorf("FAIL: %q: %w", entry, err)
			}
		}
		name, delay, timed := strings.Cut(action, ":")
		r.action = name
		switch {
		case name == "delay" && timed:
			var err error
			if r.delay, err = time.ParseDuration(delay); err != nil {
				return nil, fmt.Errorf("FAIL: %q: %w", entry, err)
			}
		case timed || !slices.Contains([]string{"kill", "stop", "panic", "error"}, name):
			return nil, fmt.Errorf("FAIL: %q: the actions are kill, stop, panic, error and delay:d", entry)
		}
		rules = append(rules, r)
	}
	return rules, nil
}

// hits reads 3, 2-9 or 2-.
func hits(text string) (first, last int, err error) {
	from, to, ranged := strings.Cut(text, "-")
	if first, err = strconv.Atoi(from); err != nil || first < 1 {
		return 0, 0, fmt.Errorf("%q is no number from 1", from)
	}
	switch {
	case !ranged:
		return first, first, nil
	case to == "":
		return first, 1 << 30, nil
	}
	if last, err = strconv.Atoi(to); err != nil || last < first {
		return 0, 0, fmt.Errorf("%q is no range", text)
	}
	return first, last, nil
}
