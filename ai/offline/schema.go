package offline

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// schema is what is read of a JSON schema. What it says beyond that is not kept to: the
// caller checks the answer.
type schema struct {
	Type       types              `json:"type"`
	Enum       []any              `json:"enum"`
	Properties map[string]*schema `json:"properties"`
	Required   []string           `json:"required"`
	Items      *schema            `json:"items"`
	AnyOf      []*schema          `json:"anyOf"`
	OneOf      []*schema          `json:"oneOf"`
	AllOf      []*schema          `json:"allOf"`
	Ref        string             `json:"$ref"`
	Defs       map[string]*schema `json:"$defs"`
	Format     string             `json:"format"`
	Pattern    string             `json:"pattern"`
	MinLength  int                `json:"minLength"`

	nullable bool
}

// types is one type or several. A schema that is true or false has none.
type types []string

// UnmarshalJSON reads "string" and ["string", "null"].
func (t *types) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '[' {
		return json.Unmarshal(b, (*[]string)(t))
	}
	var one string
	err := json.Unmarshal(b, &one)
	*t = types{one}
	return err
}

// UnmarshalJSON reads an object, and true as one that says nothing.
func (s *schema) UnmarshalJSON(b []byte) error {
	if string(b) == "true" || string(b) == "false" {
		return nil
	}
	type plain schema
	return json.Unmarshal(b, (*plain)(s))
}

// maxDepth is how deep schemas are followed; a recursive one ends there.
const maxDepth = 24

func parseSchema(b []byte) (*schema, error) {
	s := new(schema)
	if err := json.Unmarshal(b, s); err != nil {
		return nil, fmt.Errorf("the schema is none: %w", err)
	}
	return s, nil
}

// resolve follows references and takes the first alternative that is not null.
func (s *schema) resolve(root *schema) *schema {
	nullable := false
	for range maxDepth {
		switch {
		case s == nil:
			return &schema{nullable: nullable}
		case s.Ref != "":
			name, ok := strings.CutPrefix(s.Ref, "#/$defs/")
			if s.Ref == "#" {
				s = root
				continue
			}
			if !ok {
				return &schema{nullable: nullable}
			}
			s = root.Defs[name]
			continue
		case len(s.AllOf) == 1 && s.Properties == nil:
			s = s.AllOf[0]
			continue
		}
		alternatives := append(slices.Clone(s.AnyOf), s.OneOf...)
		if len(alternatives) == 0 {
			break
		}
		var next *schema
		for _, a := range alternatives {
			if a != nil && slices.Equal(a.Type, types{"null"}) {
				nullable = true
			} else if next == nil {
				next = a
			}
		}
		s = next
	}
	if s == nil || s.Ref != "" {
		return &schema{nullable: nullable}
	}
	out := *s
	out.nullable = nullable || slices.Contains(s.Type, "null")
	return &out
}

// kind is the type that a value is to have.
func (s *schema) kind() string {
	for _, t := range s.Type {
		if t != "null" {
			return t
		}
	}
	switch {
	case s.Properties != nil:
		return "object"
	case s.Items != nil:
		return "array"
	}
	return ""
}

// words are the words of an enum of texts, or nil.
func (s *schema) words() []string {
	var out []string
	for _, v := range s.Enum {
		if w, ok := v.(string); ok {
			out = append(out, w)
		} else if v != nil {
			return nil
		}
	}
	return out
}

var errTwice = errors.New("two of the words mean the same kind of document")

// meanings maps the words of an enum to kinds. A word that is no kind of document is an
// error: the model would never choose it.
func meanings(ws []string) (map[kind]string, error) {
	out := map[kind]string{}
	for _, w := range ws {
		var k kind
		switch normal(w) {
		case "invoice", "invoices", "bill", "rechnung", "facture":
			k = kindInvoice
		case "contract", "contracts", "agreement", "vertrag", "contrat":
			k = kindContract
		case "other", "others", "unknown", "none", "neither", "unclear", "misc", "else", "otherdocument", "sonstiges", "autre":
			k = kindOther
		default:
			return nil, fmt.Errorf("this model knows invoice, contract and other; it would never answer %.60q", w)
		}
		if out[k] != "" {
			return nil, fmt.Errorf("%w: %.60q and %.60q", errTwice, out[k], w)
		}
		out[k] = w
	}
	return out, nil
}

// normal is a name without case, blanks and punctuation.
func normal(s string) string {
	return strings.Map(func(r rune) rune {
		if letter(r) {
			return r
		}
		return -1
	}, strings.ToLower(s))
}

// wrapper is the property that an object is only a wrapper of, if it is one: the only enum
// among properties that are the confidence or the reasons of it.
func (s *schema) wrapper(root *schema) (name string, enum *schema) {
	for n, p := range s.Properties {
		p = p.resolve(root)
		switch normal(n) {
		case "confidence", "reasons", "reason":
			continue
		}
		if name != "" || p.words() == nil {
			return "", nil
		}
		name, enum = n, p
	}
	return name, enum
}
