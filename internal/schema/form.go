package schema

import (
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"
)

// Field is one field of a form, as people are to see it.
type Field struct {
	Name      string            `json:"name"`           // the member of the answer's JSON object
	Path      string            `json:"path"`           // JSON Pointer into the answer
	Kind      string            `json:"kind"`           // text, integer, number, boolean, time, list, group
	Items     string            `json:"items,omitzero"` // list: the kind of its items
	Label     string            `json:"label"`
	Help      string            `json:"help,omitzero"`
	Required  bool              `json:"required,omitzero"`
	Multiline bool              `json:"multiline,omitzero"`
	Min       json.Number       `json:"min,omitzero"` // of a number; of a text's length; of a list's items
	Max       json.Number       `json:"max,omitzero"`
	Options   []json.RawMessage `json:"options,omitempty"` // what it may be, if not everything
	Default   json.RawMessage   `json:"default,omitempty"` // what it is if the answer leaves it out
	Fields    []Field           `json:"fields,omitempty"`  // group

	optional bool // a pointer: a group that may be left out
}

// maxFields is how many fields a form may have: more nobody fills in.
const maxFields = 200

// Form returns the fields of a struct type, and the schema of answers. The error
// names every field that cannot be in a form.
func Form(t reflect.Type) ([]Field, []byte, error) {
	if t.Kind() != reflect.Struct || t == reflect.TypeFor[time.Time]() || ownSchema(t) != nil {
		return nil, nil, fmt.Errorf("a form is a struct, and %s is not", t)
	}
	var f former
	fields, schema := f.group(t, "", t.String())
	switch {
	case len(f.mistakes) > 0:
		return nil, nil, errors.Join(f.mistakes...)
	case len(fields) == 0:
		return nil, nil, fmt.Errorf("%s has no fields that JSON shows", t)
	case f.count > maxFields:
		return nil, nil, fmt.Errorf("%s has %d fields; a form has at most %d", t, f.count, maxFields)
	}
	raw, err := json.Marshal(schema)
	return fields, raw, err
}

type former struct {
	within   []reflect.Type
	mistakes []error
	count    int
}

func (f *former) mistake(where, format string, args ...any) {
	f.mistakes = append(f.mistakes, fmt.Errorf("field %s: %s", where, fmt.Sprintf(format, args...)))
}

// object is a schema.
type object = map[string]any

// group makes the fields of a struct. where names it for Go programmers.
func (f *former) group(t reflect.Type, path, where string) ([]Field, object) {
	if slices.Contains(f.within, t) {
		f.mistake(where, "%s contains itself; a form has an end", t)
		return nil, nil
	}
	f.within = append(f.within, t)
	defer func() { f.within = f.within[:len(f.within)-1] }()
	var fields []Field
	properties, required := object{}, []string{}
	for _, sf := range members(t) {
		at := where + "." + sf.Name
		name, option, _ := strings.Cut(sf.Tag.Get("json"), ",")
		if name == "" {
			name = sf.Name
		}
		if slices.Contains(strings.Split(option, ","), "string") {
			f.mistake(at, `the json option "string" has no place in a form`)
			continue
		}
		if sf.Anonymous && (name == sf.Name || !sf.IsExported()) && sf.Type.Kind() == reflect.Pointer {
			f.mistake(at, "an embedded pointer has no place in a form; give it a name")
			continue
		}
		if properties[name] != nil {
			f.mistake(at, "another field is named %q, too", name)
			continue
		}
		f.count++
		field, s := f.field(sf, Field{Name: name, Path: path + pointer(name), Label: name}, at)
		if s == nil {
			continue
		}
		if field.Required || field.Kind == "group" && !field.optional {
			required = append(required, name)
		}
		fields, properties[name] = append(fields, field), s
	}
	s := object{"type": "object", "properties": properties, "additionalProperties": false}
	if len(required) > 0 {
		s["required"] = required
	}
	return fields, s
}

// members are the fields that JSON shows; those of embedded structs are promoted.
func members(t reflect.Type) (list []reflect.StructField) {
	for i := range t.NumField() {
		sf := t.Field(i)
		tag := sf.Tag.Get("json")
		if tag == "-" {
			continue
		}
		if sf.Anonymous && strings.HasPrefix(tag+",", ",") && sf.Type.Kind() == reflect.Struct && ownSchema(sf.Type) == nil && sf.Type != t {
			list = append(list, members(sf.Type)...)
		} else if sf.IsExported() || sf.Anonymous && sf.Type.Kind() == reflect.Pointer {
			list = append(list, sf)
		}
	}
	return list
}

// field makes one field and its schema; no schema if it cannot be.
func (f *former) field(sf reflect.StructField, field Field, at string) (Field, object) {
	t := sf.Type
	if t.Kind() == reflect.Pointer {
		t, field.optional = t.Elem(), true
	}
	if t.Kind() == reflect.Struct && t != reflect.TypeFor[time.Time]() && ownSchema(t) == nil {
		field.Kind = "group"
		var s object
		field.Fields, s = f.group(t, field.Path, at)
		for _, m := range readTag(sf.Tag.Get("durable"), &field, t) {
			f.mistake(at, "%s", m)
		}
		return field, s
	}
	s, kind, why := scalar(t)
	if why != "" && (t.Kind() == reflect.Slice || t.Kind() == reflect.Array) && t.Elem().Kind() != reflect.Uint8 {
		var item object
		if item, field.Items, why = scalar(t.Elem()); why == "" {
			kind, s = "list", object{"type": "array", "items": item}
			if t.Kind() == reflect.Array {
				s["minItems"], s["maxItems"] = t.Len(), t.Len()
			}
		} else {
			why = "a list of this kind has no place in a form: " + why
		}
	}
	if why != "" {
		f.mistake(at, "%s", why)
		return field, nil
	}
	field.Kind = kind
	for _, m := range readTag(sf.Tag.Get("durable"), &field, t) {
		f.mistake(at, "%s", m)
	}
	field.limit(s)
	return field, s
}

// scalar is the schema of what one entry of a form may be; or why it cannot be.
func scalar(t reflect.Type) (s object, kind, why string) {
	if t == reflect.TypeFor[time.Time]() {
		return object{"type": "string", "format": "date-time"}, "time", ""
	}
	if t == reflect.TypeFor[time.Duration]() {
		return nil, "", "a duration would be asked for in nanoseconds; ask for a number of hours or days"
	}
	zero := reflect.New(t).Interface()
	if e, ok := zero.(enum); ok && t.Kind() == reflect.String {
		return object{"type": "string", "enum": e.Values()}, "text", ""
	}
	if _, own := zero.(json.Marshaler); own {
		return nil, "", fmt.Sprintf("%s writes its own JSON, which only its code knows", t)
	}
	if _, text := zero.(encoding.TextMarshaler); text {
		return object{"type": "string"}, "text", ""
	}
	switch k := t.Kind(); k {
	case reflect.String:
		return object{"type": "string"}, "text", ""
	case reflect.Bool:
		return object{"type": "boolean"}, "boolean", ""
	case reflect.Float32, reflect.Float64:
		return object{"type": "number"}, "number", ""
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		low := int64(-1) << (t.Bits() - 1)
		return object{"type": "integer", "minimum": low, "maximum": -(low + 1)}, "integer", ""
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return object{"type": "integer", "minimum": 0, "maximum": ^uint64(0) >> (64 - t.Bits())}, "integer", ""
	case reflect.Chan:
		return nil, "", "a channel has no place in a form"
	case reflect.Func:
		return nil, "", "a function has no place in a form"
	case reflect.Map:
		return nil, "", "a map has no place in a form, since nobody knows its keys; use a struct"
	case reflect.Interface:
		return nil, "", "an interface has no place in a form, since nobody knows what is in it"
	case reflect.Pointer:
		return nil, "", "a pointer to a pointer, or a list of pointers, has no place in a form"
	case reflect.Slice, reflect.Array:
		return nil, "", "bytes and lists of lists have no place in a form"
	case reflect.Struct:
		return nil, "", "a list of structs has no place in a form; ask with WaitForInput"
	default:
		return nil, "", fmt.Sprintf("a %s has no place in a form", k)
	}
}

// limit puts what the tag says into the schema.
func (f *Field) limit(s object) {
	low, high := "minimum", "maximum"
	switch f.Kind {
	case "text":
		low, high = "minLength", "maxLength"
		if f.Required && len(f.Options) == 0 {
			s[low] = 1
		}
	case "list":
		low, high = "minItems", "maxItems"
		if f.Required {
			s[low] = 1
		}
	}
	if f.Min != "" {
		s[low] = f.Min
	}
	if f.Max != "" {
		s[high] = f.Max
	}
	of := s
	if f.Kind == "list" {
		of = s["items"].(object)
	}
	if f.Options == nil {
		if names, ok := of["enum"].([]string); ok { // its type lists them
			for _, n := range names {
				raw, _ := json.Marshal(n)
				f.Options = append(f.Options, raw)
			}
		}
	}
	if f.Options != nil {
		of["enum"] = f.Options
		if f.Kind == "list" {
			s["uniqueItems"] = true
		}
	}
}

// fill gives the fields that an answer leaves out their defaults. What is null is left out, too, unless
// it is required: so does Go write an empty list, and a pointer to nothing.
func fill(fields []Field, value []byte) ([]byte, error) {
	if len(fields) == 0 {
		return value, nil
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(value, &members); err != nil || members == nil {
		return value, nil // Check says what is wrong
	}
	was := maps.Clone(members)
	for i := range fields {
		f := &fields[i]
		if string(members[f.Name]) == "null" && !f.Required {
			delete(members, f.Name)
		}
		switch have, there := members[f.Name]; {
		case f.Kind == "group" && (there || f.Required):
			if !there {
				have = json.RawMessage("{}")
			}
			inner, err := fill(f.Fields, have)
			if err != nil {
				return nil, err
			}
			members[f.Name] = inner
		case !there && f.Default != nil:
			members[f.Name] = f.Default
		}
	}
	if maps.EqualFunc(was, members, func(a, b json.RawMessage) bool { return string(a) == string(b) }) {
		return value, nil
	}
	return json.Marshal(members)
}
