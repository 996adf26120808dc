package run

import (
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/durable-go/durable/store"
)

func step() Item {
	return Item{Write: store.Write{Advance: &store.Advance{ID: uuid.New(), Row: []byte("x")}}}
}

func answer(b *Batch, code store.Code) store.Result {
	r := store.Result{Verdicts: make([]store.Verdict, len(b.Writes))}
	for i := range r.Verdicts {
		r.Verdicts[i].Code = code
	}
	return r
}

// A committer that gives no batch says when to ask again, or that something
// else will tell: never a time that is over, with which its shell would spin.
func TestQU7_CommitterIsNeverAskedInAHotLoop(t *testing.T) {
	now := time.Now()
	asked := func(c *Committer, what string) *Batch {
		t.Helper()
		b := c.Next(now)
		if at := c.RetryAt(now); b == nil && !at.IsZero() && !at.After(now) {
			t.Errorf("%s: no batch, and it wants to be asked at once", what)
		}
		return b
	}
	var c Committer
	c.Add(step())
	b := asked(&c, "one write")
	asked(&c, "while it is on its way")
	c.Done(b, store.Result{}, errors.New("away"), now)
	if asked(&c, "in the pause after a failure") != nil {
		t.Error("no pause after a failure")
	}
	now = now.Add(time.Minute)
	b = asked(&c, "after the pause")
	c.Add(step())
	asked(&c, "while it is on its way again")
	c.Done(b, answer(b, store.Busy), nil, now)
	b = asked(&c, "the other one")
	asked(&c, "with one that rests and one on its way")
	now = now.Add(time.Minute)
	asked(&c, "with one that has rested and one on its way")
	c.Done(b, answer(b, store.Applied), nil, now)
	if b = asked(&c, "what has rested"); b == nil || len(b.Writes) != 1 {
		t.Fatalf("what was Busy is not asked again: %+v", b)
	}
	if s := c.Done(b, answer(b, store.Applied), nil, now); len(s) != 1 || !c.Idle() {
		t.Errorf("in the end %+v, idle: %v", s, c.Idle())
	}
}

// A second batch leaves while one is on its way if it is as large, and never with
// a write of an execution that has one on its way.
func TestCommitter_TwoOnTheirWay(t *testing.T) {
	now := time.Now()
	c := Committer{Width: 2}
	mine := step()
	c.Add(mine)
	c.Add(step())
	first := c.Next(now)
	c.Add(mine)
	if c.Next(now) != nil {
		t.Error("a smaller batch left beside the first")
	}
	c.Add(step())
	c.Add(step())
	second := c.Next(now)
	if second == nil || len(second.Writes) != 2 {
		t.Fatalf("the second batch is %+v, want the two other writes", second)
	}
	if c.Add(step()); c.Next(now) != nil {
		t.Error("a third batch left")
	}
	c.Done(second, answer(second, store.Applied), nil, now)
	c.Done(first, answer(first, store.Applied), nil, now)
	if b := c.Next(now); b == nil || len(b.Writes) != 2 {
		t.Errorf("what waited does not leave: %+v", b)
	}
}

// A child may be at work while nobody knows yet that the write which began it has
// landed. The two writes never share a batch: a store refuses that whole.
func TestCH2_AChildsWriteIsNotInTheBatchThatBeginsIt(t *testing.T) {
	now := time.Now()
	var c Committer
	parent, child := step(), step()
	parent.Write.Advance.Children = []store.Begin{{ID: child.Write.Advance.ID, Parent: parent.Write.Advance.ID, Row: []byte("x")}}
	c.Add(parent)
	lost := c.Next(now)
	c.Add(child)
	c.Add(step())
	c.Done(lost, store.Result{}, errors.New("the answer was lost"), now)
	now = now.Add(time.Minute)
	first := c.Next(now)
	if err := store.Check(first.Writes); err != nil || len(first.Writes) != 2 {
		t.Fatalf("the first batch has %d writes: %v", len(first.Writes), err)
	}
	c.Done(first, answer(first, store.Landed), nil, now)
	if b := c.Next(now); b == nil || len(b.Writes) != 1 || b.Writes[0].Advance.ID != child.Write.Advance.ID {
		t.Errorf("then: %+v", b)
	}
}
