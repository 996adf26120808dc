package schema

import (
	"encoding/json"
	"fmt"
	"math/big"
	"reflect"
	"strconv"
	"strings"
)

// readTag reads the tag of a form's field, as in
//
//	durable:"label=Amount, in EUR;required;min=0;max=100"
//
// Entries are separated by semicolons: label, help, required, multiline, min and
// max (of a number, of the length of a text, of the items of a list), enum with values
// separated by |, and default. It returns what is wrong.
func readTag(tag string, f *Field, t reflect.Type) (mistakes []string) {
	if f.Kind == "group" {
		f.Required = !f.optional
	}
	if tag == "" {
		return nil
	}
	seen := map[string]bool{}
	for entry := range strings.SplitSeq(tag, ";") {
		name, value, has := strings.Cut(strings.TrimSpace(entry), "=")
		if name == "" {
			continue
		}
		if seen[name] {
			mistakes = append(mistakes, fmt.Sprintf("the tag has %s twice", name))
		}
		seen[name] = true
		if m := f.entry(name, value, has, t); m != "" {
			mistakes = append(mistakes, m)
		}
	}
	if len(mistakes) == 0 {
		mistakes = f.check(t)
	}
	return mistakes
}

// entry takes one entry of a tag.
func (f *Field) entry(name, value string, has bool, t reflect.Type) string {
	flag := name == "required" || name == "multiline"
	switch {
	case flag && has:
		return fmt.Sprintf("%s takes no value", name)
	case !flag && (!has || value == ""):
		return fmt.Sprintf("%s has no value; write %s=…", name, name)
	case f.Kind == "group" && name != "label" && name != "help" && name != "required":
		return fmt.Sprintf("a group of fields has no %s", name)
	}
	switch name {
	case "label":
		f.Label = value
	case "help":
		f.Help = value
	case "required":
		f.Required, f.optional = true, false
	case "multiline":
		f.Multiline = true
		if f.Kind != "text" {
			return "multiline is for texts"
		}
	case "min", "max":
		return f.bound(name, value)
	case "enum":
		return f.options(value, t)
	case "default":
		raw, why := f.value(f.Kind, value)
		f.Default = raw
		return why
	default:
		return fmt.Sprintf("the tag has %q; it may have label, help, required, multiline, min, max, enum and default, with ; between them", name)
	}
	return ""
}

func (f *Field) bound(name, value string) string {
	whole := f.Kind != "number"
	switch f.Kind {
	case "boolean", "time":
		return fmt.Sprintf("a %s has no %s", f.Kind, name)
	}
	n, ok := new(big.Rat).SetString(value)
	if !ok || !json.Valid([]byte(value)) || len(value) > 40 {
		return fmt.Sprintf("%s=%s is no number", name, value)
	}
	if whole && !n.IsInt() || f.Kind != "number" && f.Kind != "integer" && n.Sign() < 0 {
		return fmt.Sprintf("%s=%s does not suit a %s", name, value, f.Kind)
	}
	if name == "min" {
		f.Min = json.Number(value)
	} else {
		f.Max = json.Number(value)
	}
	return ""
}

func (f *Field) options(value string, t reflect.Type) string {
	kind := f.Kind
	if kind == "list" {
		kind = f.Items
	}
	if kind == "boolean" || kind == "time" {
		return fmt.Sprintf("a %s has no enum", kind)
	}
	if _, own := reflect.New(t).Interface().(enum); own {
		return fmt.Sprintf("enum is not for %s, whose Values say what it may be", t)
	}
	seen := map[string]bool{}
	for one := range strings.SplitSeq(value, "|") {
		raw, why := f.value(kind, one)
		switch {
		case why != "":
			return why
		case seen[string(raw)]:
			return fmt.Sprintf("enum has %s twice", one)
		}
		seen[string(raw)] = true
		f.Options = append(f.Options, raw)
	}
	return ""
}

// value reads a value in a tag.
func (f *Field) value(kind, text string) (json.RawMessage, string) {
	switch kind {
	case "text", "time":
		raw, err := json.Marshal(text)
		if err != nil {
			return nil, err.Error()
		}
		return raw, ""
	case "list":
		var list []json.RawMessage
		for one := range strings.SplitSeq(text, "|") {
			raw, why := f.value(f.Items, one)
			if why != "" {
				return nil, why
			}
			list = append(list, raw)
		}
		raw, err := json.Marshal(list)
		if err != nil {
			return nil, err.Error()
		}
		return raw, ""
	}
	_, boolean := strconv.ParseBool(text)
	if !json.Valid([]byte(text)) || (kind == "boolean") != (boolean == nil && (text == "true" || text == "false")) || text == "null" || text[0] == '"' {
		return nil, fmt.Sprintf("%s is no %s", text, kind)
	}
	return json.RawMessage(text), ""
}

// check looks at what entries of a tag mean together.
func (f *Field) check(t reflect.Type) (mistakes []string) {
	if f.Min != "" && f.Max != "" {
		low, _ := new(big.Rat).SetString(string(f.Min))
		high, _ := new(big.Rat).SetString(string(f.Max))
		if low.Cmp(high) > 0 {
			mistakes = append(mistakes, fmt.Sprintf("min=%s is greater than max=%s", f.Min, f.Max))
		}
	}
	if f.Required && f.Default != nil {
		mistakes = append(mistakes, "it is required and has a default; it is one or the other")
	}
	if f.Kind == "group" {
		return mistakes
	}
	if f.Kind == "integer" {
		own, _, _ := scalar(t)
		for _, n := range []json.Number{f.Min, f.Max} {
			v, ok := new(big.Rat).SetString(string(n))
			low, _ := new(big.Rat).SetString(fmt.Sprint(own["minimum"]))
			high, _ := new(big.Rat).SetString(fmt.Sprint(own["maximum"]))
			if ok && (v.Cmp(low) < 0 || v.Cmp(high) > 0) {
				mistakes = append(mistakes, fmt.Sprintf("%s is beyond what a %s holds", n, t))
			}
		}
	}
	if s := f.alone(t); f.Default != nil && len(mistakes) == 0 {
		if err := Check(s, f.Default); err != nil {
			mistakes = append(mistakes, fmt.Sprintf("the default %s does not fit: %s", f.Default, err))
		}
	}
	return mistakes
}

// alone is the schema of the field's value.
func (f *Field) alone(t reflect.Type) []byte {
	s, _, _ := scalar(t)
	if f.Kind == "list" {
		item, _, _ := scalar(t.Elem())
		s = object{"type": "array", "items": item}
	}
	g := *f
	g.limit(s)
	raw, err := json.Marshal(s)
	if err != nil {
		panic("schema: a schema of plain data does not encode: " + err.Error())
	}
	return raw
}
