package main

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
)

// schema is as much of a JSON Schema as it takes to describe a form to people.
type schema struct {
	Type        any                `json:"type"`
	Enum        []json.RawMessage  `json:"enum"`
	Description string             `json:"description"`
	Properties  map[string]*schema `json:"properties"`
	Required    []string           `json:"required"`
	Items       *schema            `json:"items"`
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
	if len(s.Enum) > 0 {
		var values []string
		for _, v := range s.Enum {
			values = append(values, string(v))
		}
		text = "one of " + strings.Join(values, ", ")
	}
	if s.Items != nil && text == "array" {
		text = "list of " + s.Items.kind()
	}
	if s.Description != "" {
		text += " (" + s.Description + ")"
	}
	return text
}

// sample is a value that fits.
func (s *schema) sample() string {
	if s == nil {
		return "null"
	}
	if len(s.Enum) > 0 {
		return string(s.Enum[0])
	}
	if len(s.types()) == 0 {
		return "null"
	}
	switch s.types()[0] {
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
		fields = append(fields, `"`+n+`": `+s.Properties[n].sample())
	}
	return "{" + strings.Join(fields, ", ") + "}"
}
