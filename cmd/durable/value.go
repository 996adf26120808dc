package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"strings"
)

// value reads what a user sends: JSON, text, or a file ("-" is standard input) of one of
// them. Text that looks like JSON and is none is a mistake, not text.
func (a *app) value(text string, given bool, file string) (json.RawMessage, error) {
	switch {
	case given && file != "":
		return nil, usage("give the value or --file, not both")
	case file == "-":
		b, err := io.ReadAll(io.LimitReader(a.in, maxPayload+1))
		if err != nil {
			return nil, err
		}
		text = string(b)
	case file != "":
		b, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		text = string(b)
	case !given:
		return json.RawMessage("null"), nil
	}
	trimmed := strings.TrimSpace(text)
	var raw json.RawMessage
	err := json.Unmarshal([]byte(trimmed), &raw)
	if err == nil {
		return raw, nil
	}
	if trimmed != "" && strings.ContainsRune(`{["`, rune(trimmed[0])) {
		return nil, usage("the value is not JSON: %s", mistake(trimmed, err))
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(trimmed); err != nil {
		return nil, err
	}
	return bytes.TrimSpace(b.Bytes()), nil
}

// mistake says where JSON is wrong.
func mistake(text string, err error) string {
	syntax, ok := errors.AsType[*json.SyntaxError](err)
	if !ok || syntax.Offset <= 0 || int(syntax.Offset) > len(text) {
		return err.Error()
	}
	from := max(int(syntax.Offset)-20, 0)
	return err.Error() + ", after " + strings.ToValidUTF8(text[from:syntax.Offset], "")
}
