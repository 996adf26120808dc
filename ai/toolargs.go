package ai

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// decodeArgs reads canonical arguments as an In.
func decodeArgs[In any](args []byte) (In, error) {
	var in In
	d := json.NewDecoder(bytes.NewReader(args))
	d.DisallowUnknownFields()
	if err := d.Decode(&in); err != nil {
		return in, err
	}
	return in, validate(&in)
}

// take reads what a model gives as arguments of a tool, and returns their canonical form: members sorted, each once,
// those that are null and need not be there left out. The error is for the model, and says all that is wrong.
func (t *tool) take(args []byte) ([]byte, error) {
	if len(args) > maxArgs {
		return nil, fmt.Errorf("the arguments have %d bytes; at most %d are taken", len(args), maxArgs)
	}
	if args = bytes.TrimSpace(args); len(args) == 0 {
		args = []byte("{}")
	}
	if err := checkDepth(args, maxDepth); err != nil {
		return nil, err
	}
	d := json.NewDecoder(bytes.NewReader(args))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, fmt.Errorf("the arguments are no JSON: %w", err)
	}
	if v == nil {
		v = map[string]any{}
	}
	args, err := t.reader.Fit(canonical(v))
	if err != nil {
		return nil, err
	}
	return args, t.check(args)
}

// plainArgs is the canonical form of what a model has given as arguments, whatever they are for.
func plainArgs(args []byte) []byte {
	if args = bytes.TrimSpace(args); len(args) == 0 {
		args = []byte("{}")
	}
	d := json.NewDecoder(bytes.NewReader(args))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return canonical(valid(string(args)))
	}
	if v == nil {
		v = map[string]any{}
	}
	return canonical(v)
}

// checkDepth refuses JSON that is nested deeper than a limit, or followed by something.
func checkDepth(raw []byte, limit int) error {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	depth, values := 0, 0
	for {
		tok, err := d.Token()
		if errors.Is(err, io.EOF) && values == 1 && depth == 0 {
			return nil
		}
		if err != nil {
			return fmt.Errorf("the arguments are no JSON: %w", err)
		}
		switch tok {
		case json.Delim('{'), json.Delim('['):
			if depth++; depth > limit {
				return fmt.Errorf("the arguments are nested deeper than %d", limit)
			}
			continue
		case json.Delim('}'), json.Delim(']'):
			depth--
		}
		if depth == 0 {
			if values++; values > 1 {
				return errors.New("the arguments are more than one JSON value")
			}
		}
	}
}

// argsHash is that of the tool and its canonical arguments.
func argsHash(tool string, args []byte) string { return hashOf([]byte(tool + "\x00" + string(args))) }

// resultText is what the model sees of a tool's result.
func resultText(out any) (string, error) {
	switch v := out.(type) {
	case nil:
		return "done", nil
	case string:
		return v, nil
	case struct{}:
		return "done", nil
	case []byte:
		return valid(string(v)), nil
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(out); err != nil {
		return "", Fatal(fmt.Errorf("the tool's result has no JSON: %w", err))
	}
	return string(bytes.TrimSuffix(b.Bytes(), []byte("\n"))), nil
}

// cut shortens a tool's result to what the model gets to see.
func cut(text string, limit int) string {
	text = valid(text)
	if len(text) <= limit {
		return text
	}
	whole := len(text)
	return valid(clip(text, limit)) + fmt.Sprintf("\n[cut off: the first %d of %d bytes]", limit, whole)
}
