//go:build fail

package fail

import (
	"errors"
	"testing"
	"time"
)

func TestParse(t *testing.T) {
	rules, err := parse("commit.after=kill@3,renew.before=error@2-9,load=delay:50ms@4-,tried=stop")
	if err != nil {
		t.Fatal(err)
	}
	want := []rule{
		{CommitAfter, "kill", 0, 3, 3},
		{RenewBefore, "error", 0, 2, 9},
		{Load, "delay", 50 * time.Millisecond, 4, 1 << 30},
		{Tried, "stop", 0, 1, 1},
	}
	if len(rules) != len(want) {
		t.Fatalf("%+v", rules)
	}
	for i, r := range rules {
		if r != want[i] {
			t.Errorf("%+v, want %+v", r, want[i])
		}
	}
	for _, bad := range []string{"commit", "no.such=kill", "load=burn", "load=kill@0", "load=kill@x", "load=kill@5-2", "load=delay", "load=delay:x", "load=kill:5ms"} {
		if rules, err := parse(bad); err == nil {
			t.Errorf("%q is read as %+v", bad, rules)
		}
	}
	if rules, err := parse(""); err != nil || len(rules) != 0 {
		t.Errorf("%v %v", rules, err)
	}
}

func TestHits(t *testing.T) {
	p := points{hits: make(map[Label]int)}
	p.once.Do(func() {})
	p.rules, _ = parse("commit.before=error@2-3,load=panic@2")
	for n, wrong := range []bool{false, true, true, false} {
		if err := p.hit(CommitBefore); errors.Is(err, ErrInjected) != wrong {
			t.Errorf("hit %d gives %v", n+1, err)
		}
	}
	_ = p.hit(Load)
	defer func() {
		if recover() == nil {
			t.Error("the second hit did not panic")
		}
	}()
	_ = p.hit(Load)
}
