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
		{v.Retried, "the model was busy: the next attempt, as declared"},
		{v.Resumed, "a person answered: begun again, the model not asked again"},
		{v.Ousted, "their worker showed no life in time and lost its lease"},
	} {
		if why.n > 0 {
			t.Add("", fmt.Sprint(why.n), why.text)
		}
	}
	t.AddCells(term.Cell{Text: "unexplained"}, number(len(v.Unexplained)), term.Cell{Text: "each body is held against kills, ledger and journal"})
	t.AddCells(term.Cell{Text: "results lost"}, number(len(v.Lost)), term.Cell{Text: fmt.Sprintf("%d of %d equal the same work in one go", v.Compared, v.Runs)})
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
		s.say("\n%s\n", s.Out.Paint(term.Green, "Nothing was lost, and nothing was done twice without a reason."))
	}
	if !strings.HasPrefix(s.DB, s.dir) {
		s.say("The runs are in %s: %s list --db %s\n", s.DB, s.Self, s.DB)
	}
	return nil
}

func number(n int) term.Cell {
	if n == 0 {
		return term.Cell{Text: "0", Style: term.Green}
	}
	return term.Cell{Text: fmt.Sprint(n), Style: term.Red}
}
