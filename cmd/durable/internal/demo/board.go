package demo

import (
	"cmp"
	"fmt"
	"io"
	"path"
	"strings"
	"time"

	"github.com/durable-go/durable/cmd/durable/internal/term"
)

// board is a live table that is written over in place. A run keeps its row until it is
// done and another one needs the row, so that nothing jumps.
type board struct {
	screen *term.Screen
	rows   []*place
	drawn  int // lines on the screen now
	begin  time.Time
	name   int // columns of the longest name
}

const (
	hideCursor = "\x1b[?25l"
	showCursor = "\x1b[?25h"
	eraseLine  = "\x1b[K"
	eraseBelow = "\x1b[J"
)

// draw writes the board over the last one.
func (b *board) draw(f *follower, now time.Time) error {
	wide, high := b.screen.Size()
	b.seat(f, min(len(f.places), max(high-5, 3)))
	lines := b.table(now).Lines(b.screen, wide-2)
	for i := range lines {
		lines[i] = "  " + lines[i]
	}
	lines = append(lines, "", b.footer(f.count(), now, wide))
	var out strings.Builder
	out.WriteString(hideCursor + b.home())
	for i, l := range lines {
		if i > 0 {
			out.WriteString("\r\n")
		}
		out.WriteString(l + eraseLine)
	}
	out.WriteString(eraseBelow)
	b.drawn = len(lines)
	_, err := io.WriteString(b.screen, out.String())
	return err
}

// home goes to the first line of what is drawn.
func (b *board) home() string {
	if b.drawn > 1 {
		return fmt.Sprintf("\r\x1b[%dA", b.drawn-1)
	}
	return "\r"
}

// clear takes the board off the screen.
func (b *board) clear() error {
	_, err := io.WriteString(b.screen, b.home()+eraseBelow+showCursor)
	b.drawn = 0
	return err
}

// seat gives rows to those at work that have none: free ones, then those of the runs that
// ended first, then those of runs that wait.
func (b *board) seat(f *follower, n int) {
	if len(b.rows) > n {
		b.rows = b.rows[:n]
	}
	sits := make(map[*place]bool)
	for _, p := range b.rows {
		sits[p] = true
	}
	for _, p := range f.places {
		if s := p.standing(); sits[p] || s == queued || p.ended && len(b.rows) >= n {
			continue
		}
		if len(b.rows) < n {
			b.rows = append(b.rows, p)
			continue
		}
		if i := b.spare(p); i >= 0 {
			b.rows[i] = p
		}
	}
}

// spare is the row of least interest, if p is of more; else -1.
func (b *board) spare(p *place) int {
	least := -1
	for i, q := range b.rows {
		if !q.ended && (q.standing() != waiting || p.standing() == waiting) {
			continue
		}
		if least < 0 || older(q, b.rows[least]) {
			least = i
		}
	}
	return least
}

func older(a, b *place) bool {
	if a.ended != b.ended {
		return a.ended
	}
	return a.ended && a.x.Ended.Before(b.x.Ended)
}

func (b *board) table(now time.Time) *term.Table {
	t := &term.Table{Columns: []term.Column{
		{Head: "DOCUMENT", Min: 10, Wide: b.name},
		{Head: "STATUS", Wide: 8},
		{Head: "STEP", Min: 10, Wide: 38},
		{Head: "TIME", Right: true, Wide: 7},
		{Head: "RETRIES", Right: true},
	}}
	for _, p := range b.rows {
		s := p.standing()
		again := ""
		if n := p.retries(); n > 0 {
			again = fmt.Sprint(n)
		}
		t.AddCells(term.Cell{Text: p.Name}, term.Cell{Text: string(s), Style: s.style()}, p.stepCell(s),
			term.Cell{Text: term.Took(p.took(now))}, term.Cell{Text: again, Style: term.Yellow})
	}
	return t
}

func (s standing) style() term.Style {
	switch s {
	case completed:
		return term.Green
	case running:
		return term.Cyan
	case retrying, waiting:
		return term.Yellow
	case queued:
		return term.Dim
	}
	return term.Red
}

// stepCell says which steps are done, as dots, and which one is next.
func (p *place) stepCell(s standing) term.Cell {
	dots := strings.Repeat("●", len(p.done()))
	switch s {
	case completed:
		return term.Cell{Text: fmt.Sprintf("%s %s", dots, p.result.Type)}
	case waiting:
		return term.Cell{Text: dots + "○ for a person: " + p.question.Name, Style: term.Yellow}
	case running, retrying:
		now := p.current()
		if now.Status == "done" {
			return term.Cell{Text: dots + "○"}
		}
		text := dots + "○ " + path.Base(now.Path)
		trouble := p.trouble()
		switch {
		case trouble != nil:
			what, _ := plainly(trouble)
			text += ": " + what
		case s == retrying && now.Error != nil:
			text += ": " + cmp.Or(brief(now.Error.Message), now.Status)
		case now.Attempt > 1:
			text += fmt.Sprintf(", attempt %d", now.Attempt)
		}
		return term.Cell{Text: text}
	case queued:
		return term.Cell{}
	}
	if p.x.Error != nil {
		return term.Cell{Text: p.x.Error.Error(), Style: term.Red}
	}
	return term.Cell{Text: dots}
}

// brief is the part of a message before its details.
func brief(message string) string {
	message = strings.TrimPrefix(message, "model: ")
	message, _, _ = strings.Cut(message, ",")
	return message
}

// footer is a bar and what is where.
func (b *board) footer(c counts, now time.Time, wide int) string {
	cells := 24
	if wide < 100 {
		cells = 10
	}
	ended := c.completed + c.failed
	full := ended * cells / max(c.all, 1)
	text := fmt.Sprintf("%d of %d done", ended, c.all)
	for _, part := range []struct {
		n    int
		what string
	}{{c.running, "running"}, {c.retrying, "retrying"}, {c.waiting, "waiting"}, {c.queued, "queued"}, {c.failed, "failed"}, {c.blocked, "blocked"}} {
		if part.n > 0 {
			text += fmt.Sprintf(" · %d %s", part.n, part.what)
		}
	}
	text += " · " + term.Took(now.Sub(b.begin))
	return "  " + b.screen.Paint(term.Green, strings.Repeat("━", full)) + b.screen.Paint(term.Dim, strings.Repeat("━", cells-full)) +
		"  " + term.Cut(text, max(wide-cells-5, 10))
}
