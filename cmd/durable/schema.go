package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// schema is as much of a JSON Schema as it takes to describe a form to people.
type schema struct {
	Type        any                `json:"type"`
	Enum        []json.RawMessage  `json:"enum"`
	Const       json.RawMessage    `json:"const"`
	Description string             `json:"description"`
	Properties  map[string]*schema `json:"properties"`
	Required    []string           `json:"required"`
	Items       *schema            `json:"items"`
	AnyOf       []*schema          `json:"anyOf"` // the first is as good as any
	Ref         string             `json:"$ref"`
	Defs        map[string]*schema `json:"$defs"`
}

// deepest is how far fields within fields are described: a schema may contain itself.
const deepest = 5

// readSchema reads a schema. What it cannot read may be any JSON.
func readSchema(raw json.RawMessage) *schema {
	s := new(schema)
	if json.Unmarshal(raw, s) != nil {
		return new(schema)
	}
	s.follow(s.Defs)
	if s.Type == nil && len(s.AnyOf) > 0 {
		return s.AnyOf[0]
	}
	return s
}

// UnmarshalJSON takes schemas that are true or false for any JSON.
func (s *schema) UnmarshalJSON(raw []byte) error {
	if raw = bytes.TrimSpace(raw); len(raw) == 0 || raw[0] != '{' {
		return nil
	}
	type plain schema
	return json.Unmarshal(raw, (*plain)(s))
}

// follow puts definitions in the places that name them.
func (s *schema) follow(defs map[string]*schema) {
	at := func(t *schema) *schema {
		if t == nil {
			return nil
		}
		if d := defs[strings.TrimPrefix(t.Ref, "#/$defs/")]; t.Ref != "" && d != nil {
			return d
		}
		t.follow(defs)
		if t.Type == nil && len(t.AnyOf) > 0 {
			return t.AnyOf[0]
		}
		return t
	}
	for i, a := range s.AnyOf {
		s.AnyOf[i] = at(a)
	}
	for name, p := range s.Properties {
		s.Properties[name] = at(p)
	}
	for _, d := range s.Defs {
		d.follow(defs)
	}
	s.Items = at(s.Items)
}

// names is the fields, required ones first.
func (s *schema) names() []string {
	names := slices.Clone(s.Required)
	for _, n := range slices.Sorted(maps.Keys(s.Properties)) {
		if !slices.Contains(names, n) {
			names = append(names, n)
		}
	}
	return names
}

// types is the JSON types it allows, null left out.
func (s *schema) types() []string {
	var list []string
	switch t := s.Type.(type) {
	case string:
		list = []string{t}
	case []any:
		for _, one := range t {
			if name, ok := one.(string); ok && name != "null" {
				list = append(list, name)
			}
		}
	}
	return list
}

// kind says in words what fits.
func (s *schema) kind() string {
	if s == nil {
		return "any JSON"
	}
	text := strings.Join(s.types(), " or ")
	if len(s.types()) == 0 || len(s.types()) > 3 {
		text = "any JSON"
	}
	switch {
	case s.Const != nil:
		text = "always " + string(s.Const)
	case len(s.Enum) > 0:
		var values []string
		for _, v := range s.Enum {
			values = append(values, string(v))
		}
		text = "one of " + strings.Join(values, ", ")
	case s.Items != nil && text == "array":
		text = "list of " + s.Items.kind()
	}
	if s.Description != "" {
		text += " (" + s.Description + ")"
	}
	return text
}

// lines describes the fields, a line for each, those of objects in them indented below.
func (s *schema) lines(deep int) []string {
	if s == nil || deep == 0 {
		return nil
	}
	if len(s.Properties) == 0 {
		return s.Items.lines(deep - 1)
	}
	names := s.names()
	widest := 0
	for _, n := range names {
		widest = max(widest, len(n))
	}
	var lines []string
	for _, n := range names {
		line := fmt.Sprintf("%-*s  %s", widest, n, s.Properties[n].kind())
		if !slices.Contains(s.Required, n) {
			line += ", may be left out"
		}
		lines = append(lines, line)
		for _, inner := range s.Properties[n].lines(deep - 1) {
			lines = append(lines, "  "+inner)
		}
	}
	return lines
}

// sample is a value that fits, with the fields that must be there.
func (s *schema) sample(deep int) string {
	switch {
	case s == nil || deep == 0:
		return "null"
	case s.Const != nil:
		return string(s.Const)
	case len(s.Enum) > 0:
		return string(s.Enum[0])
	}
	kind := "object"
	if types := s.types(); len(types) > 0 {
		kind = types[0]
	} else if len(s.Properties) == 0 {
		return "null"
	}
	switch kind {
	case "string":
		return `"…"`
	case "boolean":
		return "true"
	case "integer", "number":
		return "0"
	case "array":
		return "[]"
	}
	var fields []string
	for _, n := range s.Required {
		fields = append(fields, fmt.Sprintf("%q: %s", n, s.Properties[n].sample(deep-1)))
	}
	return "{" + strings.Join(fields, ", ") + "}"
}
