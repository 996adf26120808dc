package term

import (
	"io"
	"os"

	xterm "golang.org/x/term"
)

// Screen is where output for people goes. What is not a terminal has no colours and no
// width.
type Screen struct {
	io.Writer
	TTY    bool
	Colour bool

	// Wide and High are the size of a terminal that is none, in tests.
	Wide, High int

	file *os.File
}

// NewScreen looks at where w leads. NO_COLOR and TERM=dumb switch colours off.
func NewScreen(w io.Writer, env func(string) string) *Screen {
	s := &Screen{Writer: w}
	if f, ok := w.(*os.File); ok && xterm.IsTerminal(int(f.Fd())) {
		s.file = f
		s.TTY = env("TERM") != "dumb"
		s.Colour = s.TTY && env("NO_COLOR") == ""
	}
	return s
}

// Size is the width and height; 0 if it has none.
func (s *Screen) Size() (wide, high int) {
	if s.file == nil {
		return s.Wide, s.High
	}
	wide, high, err := xterm.GetSize(int(s.file.Fd()))
	if err != nil || wide <= 0 || high <= 0 {
		return 80, 24
	}
	return wide, high
}

// IsTerminal says whether a person can type into r.
func IsTerminal(r io.Reader) bool {
	f, ok := r.(*os.File)
	return ok && xterm.IsTerminal(int(f.Fd()))
}

// Style is a colour or weight.
type Style string

// The styles, of the eight colours that every terminal has.
const (
	Plain  Style = ""
	Bold   Style = "1"
	Dim    Style = "2"
	Red    Style = "31"
	Green  Style = "32"
	Yellow Style = "33"
	Blue   Style = "34"
	Cyan   Style = "36"
)

// Paint gives text a style, if there are colours.
func (s *Screen) Paint(style Style, text string) string {
	if !s.Colour || style == Plain || text == "" {
		return text
	}
	return "\x1b[" + string(style) + "m" + text + "\x1b[0m"
}
