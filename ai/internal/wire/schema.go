package wire

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// Dialect is what a provider understands of JSON Schema.
type Dialect int

// The dialects.
const (
	AnthropicDialect Dialect = iota
	OpenAIStrict
	GeminiDialect
)

// Bend makes a schema fit a dialect. What the dialect does not have moves into the descriptions,
// where the model reads it; whoever gets the answer checks it against the full schema. Strict is false where
// OpenAI's strict form cannot say it (maps, values of any type, a root that is no object): the schema is then as it came.
func Bend(schema json.RawMessage, d Dialect) (bent json.RawMessage, strict bool, err error) {
	b := bender{dialect: d, strict: true}
	root, err := b.bend(schema, true)
	if err != nil {
		return nil, false, fmt.Errorf("schema: %w", err)
	}
	if d == OpenAIStrict && !b.strict {
		root = Compact(schema)
		o, err := readObject(root)
		if err != nil {
			return nil, false, fmt.Errorf("schema: %w", err)
		}
		o.remove("$schema")
		return o.bytes(), false, nil
	}
	return root, d == OpenAIStrict, nil
}

type bender struct {
	dialect Dialect
	strict  bool
	depth   int
}

// maxSchemaDepth is how deep schemas may be nested.
const maxSchemaDepth = 100

// keywords are what a dialect has.
func (d Dialect) keywords() []string {
	common := []string{"$ref", "$defs", "type", "anyOf", "enum", "title", "description", "properties", "additionalProperties", "required", "items"}
	switch d {
	case AnthropicDialect:
		return append(common, "allOf", "const", "pattern", "minItems", "format")
	case OpenAIStrict:
		return append(common, "const", "pattern", "format", "minItems", "maxItems", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf")
	default:
		return append(common, "$id", "$anchor", "format", "prefixItems", "minItems", "maxItems", "minimum", "maximum", "oneOf", "propertyOrdering")
	}
}

func (d Dialect) formats() []string {
	switch d {
	case AnthropicDialect:
		return []string{"date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid"}
	case OpenAIStrict:
		return []string{"date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid"}
	}
	return nil // any
}

func (b *bender) bend(schema json.RawMessage, root bool) (json.RawMessage, error) {
	if b.depth++; b.depth > maxSchemaDepth {
		return nil, fmt.Errorf("nested deeper than %d", maxSchemaDepth)
	}
	defer func() { b.depth-- }()
	if t := bytes.TrimSpace(schema); string(t) == "true" || string(t) == "false" {
		b.strict = false
		return t, nil
	}
	s, err := readObject(schema)
	if err != nil {
		return nil, err
	}
	for _, silent := range []string{"$schema", "$comment"} {
		s.remove(silent)
	}
	b.rewrite(s)
	notes := b.drop(s)
	if err := b.inner(s); err != nil {
		return nil, err
	}
	if err := b.close(s, root); err != nil {
		return nil, err
	}
	if _, ref := s.get("$ref"); ref && b.dialect != GeminiDialect { // nothing may stand beside it
		for _, name := range slices.Clone(s.names) {
			if name != "$ref" && name != "$defs" {
				s.remove(name)
			}
		}
		return s.bytes(), nil
	}
	describe(s, notes)
	return s.bytes(), nil
}

// rewrite says the same in words that the dialect has.
func (b *bender) rewrite(s *object) {
	rename := func(from, to string) {
		if v, ok := s.get(from); ok {
			if _, taken := s.get(to); !taken {
				s.set(to, v)
				s.remove(from)
			}
		}
	}
	rename("definitions", "$defs")
	if b.dialect != GeminiDialect {
		rename("oneOf", "anyOf")
	}
	if v, ok := s.get("const"); ok && b.dialect == GeminiDialect {
		if _, taken := s.get("enum"); !taken {
			s.set("enum", slices.Concat(json.RawMessage("["), v, json.RawMessage("]")))
			s.remove("const")
		}
	}
	var all []json.RawMessage
	if v, ok := s.get("allOf"); ok && b.dialect != AnthropicDialect && json.Unmarshal(v, &all) == nil && len(all) == 1 {
		// Of one part alone, what is not said here already can be said here.
		if part, err := readObject(all[0]); err == nil && !slices.ContainsFunc(part.names, func(n string) bool { _, taken := s.get(n); return taken }) {
			s.remove("allOf")
			for _, n := range part.names {
				s.set(n, part.values[n])
			}
		}
	}
}

// drop takes out what the dialect does not have and returns it in words.
func (b *bender) drop(s *object) (notes []string) {
	for _, name := range slices.Clone(s.names) {
		v := s.values[name]
		keep := slices.Contains(b.dialect.keywords(), name)
		switch name {
		case "format":
			var f string
			known := b.dialect.formats()
			keep = keep && json.Unmarshal(v, &f) == nil && (known == nil || slices.Contains(known, f))
		case "minItems":
			keep = keep && (b.dialect != AnthropicDialect || string(v) == "0" || string(v) == "1")
		}
		if keep {
			continue
		}
		s.remove(name)
		if name == "$id" || name == "$anchor" {
			continue
		}
		text := string(Compact(v))
		var plain string
		if json.Unmarshal(v, &plain) == nil {
			text = plain
		}
		notes = append(notes, name+": "+text)
		if b.dialect == OpenAIStrict && slices.Contains([]string{"allOf", "patternProperties", "prefixItems"}, name) {
			b.strict = false // these give a value its shape
		}
	}
	return notes
}

// inner bends the schemas within a schema.
func (b *bender) inner(s *object) error {
	for _, name := range []string{"items", "additionalProperties"} {
		if v, ok := s.get(name); ok && isObject(v) {
			bent, err := b.bend(v, false)
			if err != nil {
				return err
			}
			s.set(name, bent)
		}
	}
	for _, name := range []string{"$defs", "properties"} {
		if v, ok := s.get(name); ok {
			of, err := readObject(v)
			if err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			for _, key := range of.names {
				bent, err := b.bend(of.values[key], false)
				if err != nil {
					return fmt.Errorf("%s: %w", key, err)
				}
				of.set(key, bent)
			}
			s.set(name, of.bytes())
		}
	}
	for _, name := range []string{"anyOf", "oneOf", "allOf", "prefixItems"} {
		if v, ok := s.get(name); ok {
			var list []json.RawMessage
			if err := json.Unmarshal(v, &list); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			for i := range list {
				bent, err := b.bend(list[i], false)
				if err != nil {
					return err
				}
				list[i] = bent
			}
			encoded, err := Marshal(list)
			if err != nil {
				return err
			}
			s.set(name, encoded)
		}
	}
	return nil
}

// close makes objects with properties take no others, and at OpenAI makes all of them required.
func (b *bender) close(s *object, root bool) error {
	types := typesOf(s)
	props, hasProps := s.get("properties")
	more, hasMore := s.get("additionalProperties")
	isObj := slices.Contains(types, "object") || hasProps
	if root && b.dialect == OpenAIStrict && (!isObj || len(types) != 1) {
		b.strict = false
	}
	if b.dialect == OpenAIStrict {
		_, enum := s.get("enum")
		_, constant := s.get("const")
		_, anyOf := s.get("anyOf")
		_, ref := s.get("$ref")
		if len(types) == 0 && !hasProps && !enum && !constant && !anyOf && !ref {
			b.strict = false // a value of any type
		}
		if _, items := s.get("items"); slices.Contains(types, "array") && !items {
			b.strict = false
		}
	}
	if !isObj {
		return nil
	}
	closed := hasMore && string(bytes.TrimSpace(more)) == "false"
	switch {
	case b.dialect == GeminiDialect:
		return nil
	case hasProps && (!hasMore || closed):
		s.set("additionalProperties", json.RawMessage("false"))
	case b.dialect == AnthropicDialect && !hasMore:
		s.set("properties", json.RawMessage("{}"))
		s.set("additionalProperties", json.RawMessage("false"))
		return nil
	case b.dialect == OpenAIStrict:
		b.strict = false // a map
		return nil
	}
	if b.dialect != OpenAIStrict || !hasProps {
		return nil
	}
	of, err := readObject(props)
	if err != nil {
		return err
	}
	var required []string
	if v, ok := s.get("required"); ok {
		if err := json.Unmarshal(v, &required); err != nil {
			return fmt.Errorf("required: %w", err)
		}
	}
	for _, name := range of.names {
		if !slices.Contains(required, name) {
			p, err := nullable(of.values[name])
			if err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			of.set(name, p)
		}
	}
	encoded, err := Marshal(append([]string{}, of.names...))
	if err != nil {
		return err
	}
	s.set("properties", of.bytes())
	s.set("required", encoded)
	return nil
}

// nullable makes a schema take null, too.
func nullable(schema json.RawMessage) (json.RawMessage, error) {
	if !isObject(schema) {
		return schema, nil
	}
	s, err := readObject(schema)
	if err != nil {
		return nil, err
	}
	types := typesOf(s)
	_, constant := s.get("const")
	switch {
	case slices.Contains(types, "null"):
		return schema, nil
	case len(types) > 0 && !constant:
		encoded, err := Marshal(append(types, "null"))
		if err != nil {
			return nil, err
		}
		s.set("type", encoded)
		var values []json.RawMessage
		if v, ok := s.get("enum"); ok && json.Unmarshal(v, &values) == nil {
			if encoded, err = Marshal(append(values, json.RawMessage("null"))); err != nil {
				return nil, err
			}
			s.set("enum", encoded)
		}
		return s.bytes(), nil
	}
	o := &object{values: map[string]json.RawMessage{}}
	if d, ok := s.get("description"); ok {
		o.set("description", d)
		s.remove("description")
	}
	o.set("anyOf", slices.Concat(json.RawMessage("["), s.bytes(), json.RawMessage(`,{"type":"null"}]`)))
	return o.bytes(), nil
}

func typesOf(s *object) []string {
	v, ok := s.get("type")
	if !ok {
		return nil
	}
	var one string
	if json.Unmarshal(v, &one) == nil {
		return []string{one}
	}
	var many []string
	if json.Unmarshal(v, &many) != nil {
		return nil
	}
	return many
}

// describe adds what was dropped to the description.
func describe(s *object, notes []string) {
	if len(notes) == 0 {
		return
	}
	var text string
	if v, ok := s.get("description"); ok {
		_ = json.Unmarshal(v, &text) // what is no string cannot be kept
	}
	if text != "" {
		text += " "
	}
	encoded, _ := Marshal(text + "(" + strings.Join(notes, "; ") + ")") // a string can always be encoded
	s.set("description", encoded)
}
