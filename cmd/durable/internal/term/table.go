package term

import (
	"io"
	"strings"
)

// Table is rows of cells under a head. Cells are cleaned; on a terminal columns shrink
// until a row fits into a line.
type Table struct {
	Columns []Column
	Rows    [][]Cell
}

// Column is a column's head, and how it behaves.
type Column struct {
	Head  string
	Right bool // aligned to the right
	Min   int  // it may shrink to this width, if a row does not fit; 0: it never shrinks
	Wide  int  // it is at least this wide while there is room, so that it does not move
}

// Cell is text with a style.
type Cell struct {
	Text  string
	Style Style
}

// Add adds a row of plain cells.
func (t *Table) Add(texts ...string) {
	row := make([]Cell, len(texts))
	for i, text := range texts {
		row[i] = Cell{Text: text}
	}
	t.Rows = append(t.Rows, row)
}

// AddCells adds a row.
func (t *Table) AddCells(cells ...Cell) { t.Rows = append(t.Rows, cells) }

const gap = "  "

// Write writes the table.
func (t *Table) Write(s *Screen) error {
	wide, _ := s.Size()
	_, err := io.WriteString(s, strings.Join(t.Lines(s, wide), "\n")+"\n")
	return err
}

// Lines is the table as lines of at most wide columns; 0 is any number.
func (t *Table) Lines(s *Screen, wide int) []string {
	rows := make([][]Cell, 0, len(t.Rows)+1)
	head := make([]Cell, len(t.Columns))
	for i, c := range t.Columns {
		head[i] = Cell{c.Head, Dim}
	}
	rows = append(rows, head)
	for _, r := range t.Rows {
		row := make([]Cell, len(t.Columns))
		copy(row, r)
		for i := range row {
			row[i].Text = Line(row[i].Text)
		}
		rows = append(rows, row)
	}
	widths := t.widths(rows, wide)
	lines := make([]string, len(rows))
	for i, row := range rows {
		lines[i] = t.line(s, row, widths)
	}
	return lines
}

func (t *Table) widths(rows [][]Cell, wide int) []int {
	widths := make([]int, len(t.Columns))
	total := len(gap) * (len(t.Columns) - 1)
	for i, c := range t.Columns {
		widths[i] = c.Wide
		for _, row := range rows {
			widths[i] = max(widths[i], Width(row[i].Text))
		}
		total += widths[i]
	}
	// The widest column that may still shrink gives, one step at a time.
	for wide > 0 && total > wide {
		give := -1
		for i, c := range t.Columns {
			if c.Min > 0 && widths[i] > c.Min && (give < 0 || widths[i] > widths[give]) {
				give = i
			}
		}
		if give < 0 {
			break
		}
		widths[give]--
		total--
	}
	return widths
}

func (t *Table) line(s *Screen, row []Cell, widths []int) string {
	var b strings.Builder
	for i, c := range row {
		if i > 0 {
			b.WriteString(gap)
		}
		text := Cut(c.Text, widths[i])
		blank := strings.Repeat(" ", widths[i]-Width(text))
		switch {
		case t.Columns[i].Right:
			b.WriteString(blank + s.Paint(c.Style, text))
		case i == len(row)-1:
			b.WriteString(s.Paint(c.Style, text))
		default:
			b.WriteString(s.Paint(c.Style, text) + blank)
		}
	}
	return strings.TrimRight(b.String(), " ")
}
