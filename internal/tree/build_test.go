package tree

func step(name string) *Node { return &Node{Kind: Step, Name: name} }

func seq(name string, body ...*Node) *Node { return &Node{Kind: Sequence, Name: name, Body: body} }

func loop(name string, body ...*Node) *Node { return &Node{Kind: Loop, Name: name, Body: body} }

func branch(name string, cases ...Case) *Node { return &Node{Kind: Branch, Name: name, Cases: cases} }

func way(key string, body ...*Node) Case { return Case{Key: key, Body: body} }

// otherwise gives a branch a default.
func (n *Node) otherwise(body ...*Node) *Node {
	n.Else, n.Default = true, body
	return n
}

func workflow(body ...*Node) *Workflow {
	return Place(&Workflow{Name: "docs", Root: &Node{Kind: Sequence, Body: body}})
}
