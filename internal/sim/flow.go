package sim

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/durable-go/durable/internal/run"
	"github.com/durable-go/durable/internal/tree"
)

// flow is a workflow, as it was, and as deploys change it.
type flow struct {
	name string
	defs [3]*run.Definition // base, plus a step, minus a node
}

// The variants of a flow. The last one deployed is plus: it has every place of
// base.
const (
	base = iota
	plus
	minus
)

type planter struct {
	r    *rand.Rand
	n    int
	left int
	kinds
}

// kinds is what a workflow may have.
type kinds struct {
	calm   bool
	lanes  bool
	calls  bool // nodes that run children
	sagas  bool // compensations
	spread bool // items that are runs of their own
}

func (s *Sim) kinds(lanes, calls bool) kinds {
	return kinds{calm: s.Calm, lanes: lanes, calls: calls && s.Children, sagas: s.Sagas, spread: s.Spread}
}

// newFlow makes a random workflow.
func newFlow(r *rand.Rand, n int, k kinds) *flow {
	g := planter{r: r, left: 2 + r.IntN(5), kinds: k}
	if k.lanes {
		g.left += r.IntN(8)
	}
	f := &flow{name: "flow" + strconv.Itoa(n)}
	root := &tree.Node{Kind: tree.Sequence, Body: g.body(1)}
	f.define(base, root)
	longer, shorter := clone(root), clone(root)
	g.change(longer, func(list []*tree.Node) []*tree.Node {
		at := g.r.IntN(len(list) + 1)
		return append(list[:at:at], append([]*tree.Node{g.step()}, list[at:]...)...)
	})
	g.change(shorter, func(list []*tree.Node) []*tree.Node {
		if len(list) < 2 {
			return list
		}
		at := g.r.IntN(len(list))
		return append(list[:at:at], list[at+1:]...)
	})
	f.define(plus, longer)
	f.define(minus, shorter)
	return f
}

func (f *flow) define(variant int, root *tree.Node) {
	w := tree.Place(&tree.Workflow{Name: f.name, Root: root})
	f.defs[variant] = &run.Definition{Tree: w, Fingerprint: tree.Fingerprint(w)}
}

func (g *planter) name(letter string) string {
	g.n++
	return letter + strconv.Itoa(g.n)
}

func (g *planter) body(depth int) []*tree.Node {
	var list []*tree.Node
	for n := 1 + g.r.IntN(3); n > 0 && (g.left > 0 || len(list) == 0); n-- {
		list = append(list, g.node(depth))
	}
	return list
}

func (g *planter) node(depth int) *tree.Node {
	g.left--
	if n := g.lane(depth); n != nil {
		return n
	}
	kind := g.r.IntN(10)
	switch {
	case depth > 3 || kind < 6:
		return g.step()
	case kind < 7:
		return &tree.Node{Kind: tree.Sequence, Name: g.name("q"), Body: g.body(depth + 1)}
	case kind < 9:
		n := &tree.Node{Kind: tree.Branch, Name: g.name("b"), Else: g.r.IntN(2) == 0}
		for i := range 1 + g.r.IntN(2) {
			n.Cases = append(n.Cases, tree.Case{Key: "k/" + strconv.Itoa(i), Body: g.body(depth + 1)})
		}
		if n.Else {
			n.Default = g.body(depth + 1)
		}
		return n
	}
	return &tree.Node{Kind: tree.Loop, Name: g.name("l"), Max: 3, Body: g.body(depth + 1)}
}

func (g *planter) step() *tree.Node {
	n := &tree.Node{Kind: tree.Step, Name: g.name("s")}
	if g.r.IntN(4) == 0 {
		n.Queue = "ai"
	}
	switch g.r.IntN(6) {
	case 0:
		n.AtMostOnce, n.Reconciles = true, g.r.IntN(2) == 0
	case 1, 2, 3:
		n.Retry = &tree.Retry{MaxAttempts: 1 + g.r.IntN(4), Base: 50 * time.Millisecond, Max: 2 * second, Backoff: tree.Backoff(g.r.IntN(3))}
	}
	if g.r.IntN(8) == 0 {
		n.Timeout = time.Duration(1+g.r.IntN(10)) * second
	}
	return g.compensates(n)
}

func clone(n *tree.Node) *tree.Node {
	c := *n
	c.Body, c.Default, c.Cases = cloneAll(n.Body), cloneAll(n.Default), nil
	for _, k := range n.Cases {
		c.Cases = append(c.Cases, tree.Case{Key: k.Key, Body: cloneAll(k.Body)})
	}
	return &c
}

func cloneAll(list []*tree.Node) []*tree.Node {
	var c []*tree.Node
	for _, n := range list {
		c = append(c, clone(n))
	}
	return c
}

// change changes one of the lists of nodes under n.
func (g *planter) change(n *tree.Node, edit func([]*tree.Node) []*tree.Node) {
	var lists []*[]*tree.Node
	var walk func(n *tree.Node)
	walk = func(n *tree.Node) {
		each := []*[]*tree.Node{&n.Body, &n.Default}
		for i := range n.Cases {
			each = append(each, &n.Cases[i].Body)
		}
		for _, l := range each {
			if len(*l) > 0 {
				lists = append(lists, l)
			}
			for _, child := range *l {
				walk(child)
			}
		}
	}
	walk(n)
	l := lists[g.r.IntN(len(lists))]
	*l = edit(*l)
}

// hash mixes what names a place into a number that is the same in every run of
// the seed.
func hash(salt uint64, words ...string) uint64 {
	h := salt ^ 14695981039346656037
	for _, w := range words {
		for i := range len(w) {
			h = (h ^ uint64(w[i])) * 1099511628211
		}
		h = (h ^ 0xff) * 1099511628211
	}
	h ^= h >> 29
	h *= 0xbf58476d1ce4e5b9
	return h ^ h>>32
}

func (f *flow) String() string { return fmt.Sprint(f.name) }
