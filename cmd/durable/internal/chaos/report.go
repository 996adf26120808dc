package chaos

import (
	"fmt"
	"strings"
	"time"

	"github.com/durable-go/durable/cmd/durable/internal/term"
)

// say prints what happens, above the status line.
func (s *show) say(format string, a ...any) {
	if s.JSON {
		return
	}
	s.erase()
	fmt.Fprintf(s.Out, format, a...)
}

// status draws the status line, on a terminal.
func (s *show) status() {
	if s.JSON || !s.Out.TTY {
		return
	}
	wide, _ := s.Out.Size()
	done := len(s.documents) - len(s.open)
	text := fmt.Sprintf("round %d: %d of %d documents done · %d kills · %s", s.round, done, len(s.documents), len(s.crew.killed), term.Took(time.Since(s.begin)))
	fmt.Fprintf(s.Out, "\r%s\x1b[K", term.Cut(text, wide-1))
	s.line = true
}

func (s *show) erase() {
	if s.line {
		fmt.Fprint(s.Out, "\r\x1b[K")
		s.line = false
	}
}

// report prints the verdict.
func (s *show) report(v *Verdict) error {
	rounds := ""
	if s.round > 1 {
		rounds = fmt.Sprintf(": %d rounds of %d documents", s.round, len(s.documents))
	}
	again := v.Bodies - v.Steps
	t := &term.Table{Columns: []term.Column{{Head: "WHAT"}, {Head: "COUNT", Right: true}, {Head: "WHY", Min: 20}}}
	t.Add("kills", fmt.Sprint(v.Kills), fmt.Sprintf("%d worker processes, one after another, in %s", v.Workers, term.Took(time.Since(s.begin))))
	t.Add("runs", fmt.Sprint(v.Runs), fmt.Sprintf("%d completed%s", v.Compared, rounds))
	t.Add("bodies run", fmt.Sprint(v.Bodies), fmt.Sprintf("for %d steps", v.Steps))
	t.Add("bodies run again", fmt.Sprint(again), "")
	for _, why := range []struct {
		n    int
		text string
	}{
		{v.CutOff, "cut off: their worker was killed in the middle of them"},
		{v.Forgot, "their worker was killed before their end was stored"},
		{v.Retried, "they failed: the next attempt, as declared"},
		{v.Resumed, "a wait was over, for a person or a busy model: begun again"},
		{v.Ousted, "their worker showed no life in time and lost its lease"},
	} {
		if why.n > 0 {
			t.Add("", fmt.Sprint(why.n), why.text)
		}
	}
	t.AddCells(term.Cell{Text: "unexplained"}, number(len(v.Unexplained)), term.Cell{Text: "each body is held against kills, ledger and journal"})
	t.AddCells(term.Cell{Text: "results lost"}, number(len(v.Lost)), term.Cell{Text: fmt.Sprintf("%d of %d equal the same work in one go", v.Compared, v.Runs)})
	s.bill(t, v.Bill)
	s.say("\n")
	if err := t.Write(s.Out); err != nil {
		return err
	}
	for _, list := range [][]string{v.Lost, v.Unexplained} {
		for _, text := range list[:min(len(list), 20)] {
			s.say("%s\n", s.Out.Paint(term.Red, term.Text(text)))
		}
	}
	if len(v.Lost)+len(v.Unexplained) == 0 {
		s.say("\n%s\n", s.Out.Paint(term.Green, "Nothing was lost, and nothing was done or paid twice without a reason."))
	}
	if !strings.HasPrefix(s.DB, s.dir) {
		s.say("The runs are in %s: %s list --db %s\n", s.DB, s.Self, s.DB)
	}
	return nil
}

// bill adds what the calls of the model came to.
func (s *show) bill(t *term.Table, b Bill) {
	t.Add("calls paid", fmt.Sprint(b.Paid), "by the ledger of the model's server; of them:")
	for _, why := range []struct {
		n    int
		text string
	}{
		{b.Recorded, "are in the journals, each once"},
		{b.Broken, "the server broke off: asked again, as declared"},
		{b.CutOff, "went to a killed worker: the journals list them as interrupted"},
	} {
		if why.n > 0 {
			t.Add("", fmt.Sprint(why.n), why.text)
		}
	}
	t.Add("calls refused", fmt.Sprint(b.Refused), "too busy, overloaded, broken: waited or asked again, for nothing")
	t.Add("calls replayed", fmt.Sprint(b.Replayed), "answers that a body which began again took from the journal")
	t.Add("possibly paid", fmt.Sprint(b.PossiblyPaid), "tries that a kill interrupted: no journal can know whether they arrived")
	t.AddCells(term.Cell{Text: "paid twice"}, number(b.Twice), term.Cell{Text: "although the answer was there"})
	t.Add("tokens", term.Thousands(b.Usage.Total()), fmt.Sprintf("%s in, %s out, estimated", term.Thousands(b.Usage.Input), term.Thousands(b.Usage.Output)))
	t.Add("cost", "–", "unknown: the offline model has no price")
}

func number(n int) term.Cell {
	if n == 0 {
		return term.Cell{Text: "0", Style: term.Green}
	}
	return term.Cell{Text: fmt.Sprint(n), Style: term.Red}
}
