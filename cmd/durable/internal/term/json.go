package term

import (
	"bytes"
	"encoding/json"
	"io"

	"github.com/durable-go/durable/internal/printable"
)

// WriteJSON writes v as indented JSON. Control characters that JSON allows are escaped: the
// reader is a program, but the output may end on a terminal.
func WriteJSON(w io.Writer, v any) error {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(v); err != nil {
		return err
	}
	_, err := w.Write(printable.JSON(b.Bytes()))
	return err
}
