package demo

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/durable-go/durable/cmd/durable/internal/term"
	"github.com/durable-go/durable/examples/documents/pipeline"
)

// report prints what was found, and what was asked on the way.
func report(s *term.Screen, f *follower, took time.Duration, answered int, how string) error {
	t := &term.Table{Columns: []term.Column{
		{Head: "DOCUMENT", Min: 16}, {Head: "TYPE"}, {Head: "SURE", Right: true}, {Head: "FOUND", Min: 20}, {Head: "REVIEW"},
	}}
	wide, _ := s.Size()
	notes := max(wide-32, 40)
	if wide == 0 {
		notes = 1000
	}
	asked := &term.Table{Columns: []term.Column{{Head: "ASKED ABOUT", Min: 16}, {Head: "WHAT CAME OF IT", Min: 20}}}
	for _, p := range f.places {
		t.AddCells(p.resultCells()...)
		if len(p.result.Notes) > 0 {
			name := p.Name
			for _, line := range term.Wrap(term.Line(strings.Join(p.result.Notes, "; ")), notes) {
				asked.Add(name, line)
				name = ""
			}
		} else if p.question != nil {
			asked.AddCells(term.Cell{Text: p.Name}, term.Cell{Text: "no answer yet: " + p.question.Prompt, Style: term.Yellow})
		}
	}
	if err := t.Write(s); err != nil {
		return err
	}
	if len(asked.Rows) > 0 {
		fmt.Fprintln(s)
		if err := asked.Write(s); err != nil {
			return err
		}
	}
	return f.sum(s, took, answered, how)
}

// sum prints the counts.
func (f *follower) sum(s *term.Screen, took time.Duration, answered int, how string) error {
	kinds := make(map[pipeline.DocType]int)
	flagged := 0
	for _, p := range f.places {
		if p.standing() == completed {
			kinds[p.result.Type]++
		}
		if p.result.Review {
			flagged++
		}
	}
	c := f.count()
	lines := []string{
		fmt.Sprintf("%s in %s: %s, %s, %s.",
			s.Paint(term.Bold, fmt.Sprintf("%d of %d documents done", c.completed, c.all)), term.Took(took),
			many(kinds[pipeline.TypeInvoice], "invoice"), many(kinds[pipeline.TypeContract], "contract"), many(kinds[pipeline.TypeOther], "other")),
		many(c.steps, "step") + ".",
	}
	if c.retries > 0 {
		lines[1] = fmt.Sprintf("%s, %s repeated after trouble.", many(c.steps, "step"), many(c.retries, "attempt"))
	}
	lines = append(lines, f.bill()...)
	if answered > 0 {
		lines = append(lines, fmt.Sprintf("%s to people answered%s.", many(answered, "question"), how))
	}
	if flagged > 0 {
		lines = append(lines, fmt.Sprintf("%s flagged, for a person to read some day.", many(flagged, "document")))
	}
	if c.failed > 0 {
		lines = append(lines, s.Paint(term.Red, fmt.Sprintf("%d failed.", c.failed)))
	}
	if c.waiting > 0 {
		lines = append(lines, s.Paint(term.Yellow, fmt.Sprintf("%d not done: a question is open.", c.waiting)))
	}
	if _, err := fmt.Fprintln(s); err != nil {
		return err
	}
	wide, _ := s.Size()
	if wide == 0 {
		wide = 100
	}
	for _, l := range lines {
		if term.Width(l) > wide && !strings.Contains(l, "\x1b") {
			l = strings.Join(term.Wrap(l, wide), "\n")
		}
		if _, err := fmt.Fprintln(s, l); err != nil {
			return err
		}
	}
	return nil
}

func many(n int, what string) string {
	if n == 1 || what == "other" {
		return fmt.Sprintf("%d %s", n, what)
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// resultCells is a document's row in the report.
func (p *place) resultCells() []term.Cell {
	name, d := term.Cell{Text: p.Name}, p.result
	s := p.standing()
	if s != completed {
		why := ""
		if p.x != nil && p.x.Error != nil {
			why = p.x.Error.Error()
		}
		return []term.Cell{name, {Text: string(s), Style: s.style()}, {}, {Text: why, Style: term.Red}, {}}
	}
	sure := term.Cell{Text: d.Surety()}
	if d.Confidence != nil && *d.Confidence < pipeline.Sure {
		sure.Style = term.Yellow
	}
	review := term.Cell{}
	if d.Review {
		review = term.Cell{Text: "flagged", Style: term.Yellow}
	}
	return []term.Cell{name, {Text: string(d.Type)}, sure, {Text: found(p)}, review}
}

// found is the essence of a document.
func found(p *place) string {
	d := p.result
	switch {
	case d.Invoice != nil:
		i := d.Invoice
		text := strings.TrimSpace(i.Total.String() + " " + i.Currency)
		if i.Number != "" {
			text = i.Number + "  " + text
		}
		return text
	case d.Contract != nil:
		names := make([]string, len(d.Contract.Parties))
		for i, party := range d.Contract.Parties {
			names[i] = party.Name
		}
		return strings.Join(names, " / ")
	}
	return ""
}

// counted lists counts, the largest first.
func counted(n map[string]int) string {
	names := slices.Collect(maps.Keys(n))
	slices.SortFunc(names, func(a, b string) int { return cmp.Or(n[b]-n[a], strings.Compare(a, b)) })
	for i, name := range names {
		names[i] = fmt.Sprintf("%d × %s", n[name], name)
	}
	return strings.Join(names, "; ")
}
