package wire

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strings"
)

// MaxEvent is the size of the largest event that is read, in bytes.
const MaxEvent = 16 << 20

// ErrEventTooLarge is the error of an event of more than MaxEvent bytes.
var ErrEventTooLarge = errors.New("an event of more than 16 MiB")

// Event is a server-sent event with data. Events without data do not exist.
type Event struct {
	Name string // "" means message
	Data []byte // lines joined by \n; valid until the next call of Next
}

// EventReader reads server-sent events (the rules of the HTML standard; ids and retry times are
// dropped). How the bytes are cut into reads makes no difference.
type EventReader struct {
	in   *bufio.Reader
	seen bool // of the first line
	cr   bool // the last line ended in CR: an LF that follows belongs to it
	size int  // of the lines of this event, comments included
	line []byte
	data []byte
}

// NewEventReader reads events from r.
func NewEventReader(r io.Reader) *EventReader {
	return &EventReader{in: bufio.NewReader(r)}
}

// Next returns the next event. At the end it is io.EOF, or io.ErrUnexpectedEOF if an event is unfinished there, which
// is dropped, as the standard says. Any other error is that of the reader, or ErrEventTooLarge.
func (r *EventReader) Next() (Event, error) {
	var name string
	r.data, r.size = r.data[:0], 0
	hasData := false
	for {
		line, err := r.readLine()
		if err == io.EOF && r.size > 0 {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return Event{}, err
		}
		if len(line) == 0 {
			if hasData {
				return Event{Name: name, Data: r.data[:len(r.data)-1]}, nil
			}
			name, r.size = "", 0
			continue
		}
		field, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.TrimPrefix(value, []byte(" "))
		switch string(field) {
		case "event":
			name = string(value)
		case "data":
			hasData = true
			r.data = append(append(r.data, value...), '\n')
		}
	}
}

// readLine returns a line without its end, which is CR, LF or both. A line without an end is io.EOF.
func (r *EventReader) readLine() ([]byte, error) {
	r.line = r.line[:0]
	for {
		b, err := r.in.ReadByte()
		if err != nil {
			return nil, err
		}
		if b == '\n' && r.cr {
			r.cr = false
			continue
		}
		r.cr = b == '\r'
		if b == '\r' || b == '\n' {
			line := r.line
			if !r.seen {
				r.seen = true
				line = bytes.TrimPrefix(line, []byte("\xef\xbb\xbf"))
			}
			return line, nil
		}
		if r.size++; r.size > MaxEvent {
			return nil, ErrEventTooLarge
		}
		r.line = append(r.line, b)
	}
}

// WriteEvent writes one event. The name is left out if it is empty.
func WriteEvent(w io.Writer, name string, data []byte) error {
	var b strings.Builder
	if name != "" {
		b.WriteString("event: " + name + "\n")
	}
	text := strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(string(data))
	for line := range strings.SplitSeq(text, "\n") {
		b.WriteString("data: " + line + "\n")
	}
	b.WriteString("\n")
	_, err := io.WriteString(w, b.String())
	return err
}
