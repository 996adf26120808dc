package plan_test

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/durable-go/durable/internal/tree"
)

// parseTree reads the tree of a story: a node a line, and what is in a node
// indented below it by one tab more.
//
//	step NAME [retry N] [once] [reconcile]
//	sequence NAME
//	loop NAME
//	branch NAME
//		case KEY
//		default
func parseTree(lines []string) (*tree.Workflow, error) {
	p := treeParser{lines: lines}
	root := &tree.Node{Kind: tree.Sequence, Body: p.body(1)}
	if p.err == nil && p.at < len(lines) {
		p.err = fmt.Errorf("%q is indented too far", lines[p.at])
	}
	if p.err != nil {
		return nil, fmt.Errorf("the tree: %w", p.err)
	}
	w := tree.Place(&tree.Workflow{Name: "story", Root: root})
	if m := tree.Check(w, func(string) bool { return true }); len(m) > 0 {
		return nil, fmt.Errorf("the tree has mistakes: %v", m)
	}
	return w, nil
}

type treeParser struct {
	lines []string
	at    int
	err   error
}

// line takes the next line if it stands at this depth.
func (p *treeParser) line(depth int) ([]string, bool) {
	if p.at == len(p.lines) || p.err != nil {
		return nil, false
	}
	text, ok := strings.CutPrefix(p.lines[p.at], strings.Repeat("\t", depth))
	if !ok || text == "" || text[0] == '\t' {
		return nil, false
	}
	p.at++
	return strings.Fields(text), true
}

func (p *treeParser) body(depth int) (list []*tree.Node) {
	for {
		words, ok := p.line(depth)
		if !ok {
			return list
		}
		list = append(list, p.node(words, depth))
	}
}

func (p *treeParser) node(words []string, depth int) *tree.Node {
	n := &tree.Node{}
	if len(words) > 1 {
		n.Name = words[1]
	}
	switch words[0] {
	case "step":
		n.Kind = tree.Step
		p.policy(n, words[2:])
	case "sequence":
		n.Kind, n.Body = tree.Sequence, p.body(depth+1)
	case "loop":
		n.Kind, n.Body = tree.Loop, p.body(depth+1)
	case "branch":
		n.Kind = tree.Branch
		for way, ok := p.line(depth + 1); ok; way, ok = p.line(depth + 1) {
			if way[0] == "default" {
				n.Else, n.Default = true, p.body(depth+2)
			} else {
				n.Cases = append(n.Cases, tree.Case{Key: way[1], Body: p.body(depth + 2)})
			}
		}
	default:
		p.err = fmt.Errorf("unknown kind %s", words[0])
	}
	return n
}

func (p *treeParser) policy(n *tree.Node, words []string) {
	for i, word := range words {
		switch word {
		case "once":
			n.AtMostOnce = true
		case "reconcile":
			n.Reconciles = true
		case "retry":
			n.Retry = &tree.Retry{}
		default:
			most, err := strconv.Atoi(word)
			if err != nil || i == 0 || words[i-1] != "retry" {
				p.err = fmt.Errorf("unknown word %s", word)
				return
			}
			n.Retry.MaxAttempts = most
		}
	}
}
