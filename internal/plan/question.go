package plan

import "github.com/durable-go/durable/internal/tree"

// Code is the code of the error when the question's function panics.
func (q *Question) Code() string {
	switch {
	case q.Join:
		return "merge"
	case q.Node.Kind == tree.Each:
		return "items"
	case q.Node.Kind.Waits():
		return "panic"
	}
	return q.Node.Kind.String()
}

// Has tells whether the plan has user code at a path.
func (p *Plan) Has(path string) bool {
	for i := range p.Bodies {
		if p.Bodies[i].Path == path {
			return true
		}
	}
	for i := range p.Questions {
		if p.Questions[i].Path == path {
			return true
		}
	}
	return false
}
