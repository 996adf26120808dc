package main

import (
	"crypto/sha256"
	"fmt"
	"strings"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/ai"
	"github.com/durable-go/durable/examples/documents/pipeline"
)

// Pile is a number of documents. They are read by one run, so that one budget bounds what all of them cost.
type Pile struct {
	IDs     []string `json:"ids"`
	Results []Result `json:"results,omitempty"`
}

// Result is what came of a document.
type Result struct {
	Document pipeline.Document `json:"document"` // without its text
	Error    string            `json:"error,omitempty"`
}

// pileName is the name of the workflow, and that of its budget.
const pileName = "read_pile"

// budget is what a pile may cost. What does not fit any more fails, and says so; the rest is read.
func budget() ai.Budget { return ai.Budget{Money: ai.USD / 2, Tokens: 200_000, Fail: true} }

// readPile has a child for each document, side by side.
func readPile(process *durable.Workflow[pipeline.Document]) *durable.Workflow[Pile] {
	return durable.Define(pileName,
		durable.Each("documents", documents,
			durable.Child("read", process,
				func(d *pipeline.Document) pipeline.Document { return *d },
				func(d *pipeline.Document, read pipeline.Document) { *d, d.Content = read, "" }),
		).IntoOutcomes(gather))
}

func documents(p *Pile) []pipeline.Document {
	list := make([]pipeline.Document, len(p.IDs))
	for i, id := range p.IDs {
		list[i].ID = id
	}
	return list
}

func gather(p *Pile, outcomes []durable.Outcome[pipeline.Document]) error {
	for _, o := range outcomes {
		r := Result{Document: o.Value}
		if o.Err != nil {
			r.Error = o.Err.Error()
		}
		p.Results = append(p.Results, r)
	}
	return nil
}

// key makes a second start with the same documents find the run of the first.
func (p *Pile) key() string {
	return fmt.Sprintf("%x", sha256.Sum256([]byte(strings.Join(p.IDs, "\n"))))
}
