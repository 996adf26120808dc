package wire

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

func readAll(r io.Reader) (events []string, err error) {
	events = []string{}
	in := NewEventReader(r)
	for {
		e, err := in.Next()
		if err != nil {
			return events, err
		}
		events = append(events, e.Name+"|"+string(e.Data))
	}
}

func TestEvents(t *testing.T) {
	for name, c := range map[string]struct {
		in   string
		want []string
	}{
		"empty":             {"", nil},
		"one":               {"event: a\ndata: x\n\n", []string{"a|x"}},
		"no name":           {"data:x\n\n", []string{"|x"}},
		"only one space":    {"data:  x\n\n", []string{"| x"}},
		"several lines":     {"data: x\ndata\ndata: y\n\n", []string{"|x\n\ny"}},
		"comments":          {": hello\ndata: x\n:\n\n: bye\n\n", []string{"|x"}},
		"CR":                {"event: a\rdata: x\r\rdata: y\r\r", []string{"a|x", "|y"}},
		"CRLF":              {"event: a\r\ndata: x\r\n\r\ndata: y\r\n\r\n", []string{"a|x", "|y"}},
		"mixed":             {"data: x\r\n\ndata: y\n\r\ndata: z\r\r", []string{"|x", "|y", "|z"}},
		"a mark of order":   {"\xef\xbb\xbfdata: x\n\n", []string{"|x"}},
		"no data":           {"event: a\n\ndata: x\n\n", []string{"|x"}},
		"empty data":        {"data:\n\n", []string{"|"}},
		"other fields":      {"id: 7\nretry: 10\nwhat: ever\ndata: x\n\n", []string{"|x"}},
		"colons":            {"data: {\"a\":1}\n\n", []string{`|{"a":1}`}},
		"blank lines":       {"\n\n\ndata: x\n\n\n\ndata: y\n\n", []string{"|x", "|y"}},
		"cut in a line":     {"data: x\n\ndata: y", []string{"|x"}},
		"cut before a line": {"data: x\n\ndata: y\n", []string{"|x"}},
		"invalid UTF-8":     {"data: \xff\n\n", []string{"|\xff"}},
	} {
		t.Run(name, func(t *testing.T) {
			for how, r := range map[string]io.Reader{
				"whole": strings.NewReader(c.in), "byte by byte": iotest.OneByteReader(strings.NewReader(c.in)), "halves": iotest.HalfReader(strings.NewReader(c.in)),
			} {
				got, err := readAll(r)
				if wanted := map[bool]error{false: io.EOF, true: io.ErrUnexpectedEOF}[strings.HasPrefix(name, "cut")]; err != wanted || strings.Join(got, "~") != strings.Join(c.want, "~") || len(got) != len(c.want) {
					t.Errorf("%s: %q and %v, want %q", how, got, err, c.want)
				}
			}
		})
	}
}

func TestEventTooLarge(t *testing.T) {
	fits := "data: " + strings.Repeat("x", MaxEvent-6) + "\n\n"
	if got, err := readAll(strings.NewReader(fits)); err != io.EOF || len(got) != 1 {
		t.Errorf("an event of just 16 MiB: %d events, %v", len(got), err)
	}
	for name, in := range map[string]io.Reader{
		"one line":     strings.NewReader("data: " + strings.Repeat("x", MaxEvent)),
		"many lines":   io.MultiReader(strings.NewReader("data: a\n"), repeat("data: "+strings.Repeat("y", 1<<16)+"\n")),
		"comments too": repeat(": " + strings.Repeat("y", 1<<16) + "\n"),
	} {
		if _, err := readAll(in); !errors.Is(err, ErrEventTooLarge) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// What is between events does not add up.
	calm := strings.Repeat("data: "+strings.Repeat("z", 1<<20)+"\n\n"+": ping\n\n", 20)
	if got, err := readAll(strings.NewReader(calm)); err != io.EOF || len(got) != 20 {
		t.Errorf("20 events of 1 MiB: %d events, %v", len(got), err)
	}
}

type repeat string

func (r repeat) Read(p []byte) (int, error) { return copy(p, r), nil }

func TestEventErrorOfReader(t *testing.T) {
	broken := errors.New("broken")
	_, err := readAll(io.MultiReader(strings.NewReader("data: x\n"), iotest.ErrReader(broken)))
	if !errors.Is(err, broken) {
		t.Errorf("the reader's error is lost: %v", err)
	}
}

func FuzzEvents(f *testing.F) {
	for _, s := range []string{"event: a\r\ndata: x\r\n\r\n", ": c\rdata:y\r\r", "data\n\n", "\xef\xbb\xbfdata: x\n\n"} {
		f.Add([]byte(s), uint8(1))
	}
	f.Fuzz(func(t *testing.T, b []byte, n uint8) {
		whole, err := readAll(bytes.NewReader(b))
		if err != io.EOF && err != io.ErrUnexpectedEOF {
			t.Fatal(err)
		}
		ended := err
		pieces, err := readAll(&fragments{b, int(n)%7 + 1})
		if err != ended || strings.Join(whole, "~") != strings.Join(pieces, "~") {
			t.Fatalf("in fragments %q, whole %q: %v", pieces, whole, err)
		}
		// What is written is read again.
		var out bytes.Buffer
		for _, e := range whole {
			name, data, _ := strings.Cut(e, "|")
			if err := WriteEvent(&out, name, []byte(data)); err != nil {
				t.Fatal(err)
			}
		}
		again, err := readAll(&out)
		if err != io.EOF || strings.Join(whole, "~") != strings.Join(again, "~") {
			t.Fatalf("written %q, read %q: %v", whole, again, err)
		}
	})
}

type fragments struct {
	b []byte
	n int
}

func (f *fragments) Read(p []byte) (int, error) {
	if len(f.b) == 0 {
		return 0, io.EOF
	}
	n := copy(p, f.b[:min(f.n, len(f.b))])
	f.b = f.b[n:]
	return n, nil
}
