package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/cmd/durable/internal/term"
	"github.com/durable-go/durable/examples/documents/pipeline"
)

// reviewer asks the person at the terminal.
type reviewer struct {
	screen *term.Screen
	lines  <-chan string // what is typed; closed at the end of the input
	engine *durable.Engine
	rule   bool // the person said: all others by rule
	later  map[string]bool
}

// errEnough: the person wants to answer the rest another day.
var errEnough = errors.New("answers come later")

// read reads lines in the background: a read from a terminal cannot be called off.
func read(r interface{ ReadString(byte) (string, error) }) <-chan string {
	lines := make(chan string)
	go func() {
		defer close(lines)
		for {
			line, err := r.ReadString('\n')
			if err != nil {
				return
			}
			lines <- strings.TrimSpace(line)
		}
	}()
	return lines
}

// ask writes a prompt and waits for a line.
func (r *reviewer) ask(ctx context.Context, format string, a ...any) (string, error) {
	if _, err := fmt.Fprintf(r.screen, format, a...); err != nil {
		return "", err
	}
	select {
	case <-ctx.Done():
		return "", ctx.Err()
	case line, ok := <-r.lines:
		if !ok {
			return "", errEnough
		}
		return line, nil
	}
}

// review asks one question and sends the answer.
func (r *reviewer) review(ctx context.Context, p *place, n, of int) error {
	in := *p.question
	if r.rule && in.Name != holdName {
		return r.byRule(ctx, in)
	}
	r.head(p, in, n, of)
	var (
		answer any
		err    error
	)
	switch in.Name {
	case pipeline.ReviewType:
		answer, err = r.kind(ctx, in)
	case pipeline.ReviewInvoice:
		answer, err = r.invoice(ctx, in)
	case holdName:
		answer, err = r.hold(ctx, in)
	default:
		err = fmt.Errorf("this demo cannot ask %q; answer it with: durable inbox answer %s", in.Name, in.ID)
	}
	switch {
	case err != nil:
		return err
	case r.rule:
		return r.byRule(ctx, in)
	case answer == nil:
		r.later[in.ID] = true
		return nil
	}
	return r.send(ctx, in, answer)
}

func (r *reviewer) byRule(ctx context.Context, in durable.PendingInput) error {
	answer, err := pipeline.Rule(in)
	if err != nil {
		return err
	}
	return r.send(ctx, in, answer)
}

// send answers; that somebody else was faster is no mistake.
func (r *reviewer) send(ctx context.Context, in durable.PendingInput, answer any) error {
	err := r.engine.ProvideInput(ctx, in.Execution, in.ID, answer, durable.By("demo"))
	if errors.Is(err, durable.ErrNoSuchWait) || errors.Is(err, durable.ErrRunDone) {
		_, err = fmt.Fprintln(r.screen, "Somebody else has answered meanwhile.")
	}
	return err
}

// head shows what is asked, and the text it is about.
func (r *reviewer) head(p *place, in durable.PendingInput, n, of int) {
	wide, high := r.screen.Size()
	wide = min(max(wide, 40), 100)
	s := r.screen
	title := fmt.Sprintf("── %d of %d ── %s ", n, of, term.Line(p.Name))
	fmt.Fprintf(s, "\n%s\n", s.Paint(term.Bold, title+strings.Repeat("─", max(wide-term.Width(title), 0))))
	var q struct {
		Problems []string
		Excerpt  string
	}
	_ = json.Unmarshal(in.Details, &q) // what cannot be shown is not shown
	var lines []string
	for l := range strings.Lines(term.Text(q.Excerpt)) {
		if l = strings.TrimRight(l, " \n"); l != "" {
			lines = append(lines, l)
		}
	}
	most := max(high-9-len(q.Problems), 6)
	for i, l := range lines {
		if i >= most {
			fmt.Fprintln(s, s.Paint(term.Dim, fmt.Sprintf("  │ … %d more lines", len(lines)-i)))
			break
		}
		fmt.Fprintln(s, s.Paint(term.Dim, "  │ ")+term.Cut(l, wide-4))
	}
	if q.Excerpt == "" {
		fmt.Fprintln(s, s.Paint(term.Dim, "  │ (the document is empty)"))
	}
	fmt.Fprintf(s, "%s\n", s.Paint(term.Bold, term.Line(in.Prompt)))
	for _, problem := range q.Problems {
		fmt.Fprintln(s, s.Paint(term.Yellow, term.Cut("  ! "+term.Line(problem), wide)))
	}
}

// kind asks which kind a document is; nil is "later".
func (r *reviewer) kind(ctx context.Context, in durable.PendingInput) (any, error) {
	var q pipeline.TypeQuestion
	if err := json.Unmarshal(in.Details, &q); err != nil {
		return nil, err
	}
	for {
		line, err := r.ask(ctx, "[Enter] %s   [i]nvoice  [c]ontract  [o]ther   [l]ater  [r]ule for all\n> ", q.Guess)
		if err != nil {
			return nil, err
		}
		switch strings.ToLower(line) {
		case "":
			return pipeline.TypeReview{Type: q.Guess}, nil
		case "i", "invoice":
			return pipeline.TypeReview{Type: pipeline.TypeInvoice}, nil
		case "c", "contract":
			return pipeline.TypeReview{Type: pipeline.TypeContract}, nil
		case "o", "other":
			return pipeline.TypeReview{Type: pipeline.TypeOther}, nil
		case "l", "later":
			return nil, nil
		case "r", "rule":
			r.rule = true
			return nil, nil
		}
		fmt.Fprintf(r.screen, "%q is none of these.\n", line)
	}
}

// invoice asks what to do with amounts that do not add up; nil is "later".
func (r *reviewer) invoice(ctx context.Context, in durable.PendingInput) (any, error) {
	var q pipeline.InvoiceQuestion
	if err := json.Unmarshal(in.Details, &q); err != nil {
		return nil, err
	}
	i := q.Invoice
	fmt.Fprintf(r.screen, "  read as: %d lines, net %s, tax %s, total %s %s\n", len(i.Lines), i.Net, i.Tax, i.Total, term.Line(i.Currency))
	for {
		line, err := r.ask(ctx, "[Enter] keep it and flag it   [e]dit the amounts   [l]ater  [r]ule for all\n> ")
		if err != nil {
			return nil, err
		}
		switch strings.ToLower(line) {
		case "", "k", "keep":
			return pipeline.InvoiceReview{Action: pipeline.Keep}, nil
		case "e", "edit":
			return r.edit(ctx, i)
		case "l", "later":
			return nil, nil
		case "r", "rule":
			r.rule = true
			return nil, nil
		}
		fmt.Fprintf(r.screen, "%q is none of these.\n", line)
	}
}

// amount reads what somebody typed, or says what is wrong with it.
func (r *reviewer) amount(text string) (m pipeline.Money, ok bool) {
	err := m.UnmarshalText([]byte(text))
	if err == nil && strings.TrimSpace(text) == "" {
		err = pipeline.ErrNumber
	}
	if err != nil {
		fmt.Fprintf(r.screen, "  %v\n", err)
	}
	return m, err == nil
}

// edit asks for the amounts. The pipeline checks them again.
func (r *reviewer) edit(ctx context.Context, i pipeline.Invoice) (any, error) {
	if len(i.Lines) == 0 {
		fmt.Fprintln(r.screen, "Lines, as: description; amount. An empty one ends them.")
		for len(i.Lines) < 100 {
			text, err := r.ask(ctx, "  line %d: ", len(i.Lines)+1)
			if err != nil {
				return nil, err
			}
			if text == "" {
				break
			}
			what, amount, _ := strings.Cut(text, ";")
			m, ok := r.amount(amount)
			if !ok {
				continue
			}
			i.Lines = append(i.Lines, pipeline.Line{Description: strings.TrimSpace(what), Amount: m})
		}
	}
	for _, field := range []struct {
		name  string
		value *pipeline.Money
	}{{"net", &i.Net}, {"tax", &i.Tax}, {"total", &i.Total}} {
		for {
			text, err := r.ask(ctx, "  %s [%s]: ", field.name, field.value)
			if err != nil {
				return nil, err
			}
			if text == "" {
				break
			}
			if m, ok := r.amount(text); ok {
				*field.value = m
				break
			}
		}
	}
	if bad := i.Check(); len(bad) > 0 {
		fmt.Fprintln(r.screen, r.screen.Paint(term.Yellow, "  It does not add up yet: the pipeline will ask again."))
	}
	return pipeline.InvoiceReview{Action: pipeline.Correct, Invoice: &i}, nil
}
