package offline

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
)

// answer is the JSON for a schema, and how sure it is if it is a classification.
func (r *rules) answer(root *schema, text string) ([]byte, *float64, error) {
	s := root.resolve(root)
	if ws := s.words(); ws != nil {
		word, v, err := r.choose(ws, text)
		if err != nil {
			return nil, nil, err
		}
		out, err := json.Marshal(word)
		return out, &v.Confidence, err
	}
	if name, enum := s.wrapper(root); name != "" {
		word, v, err := r.choose(enum.words(), text)
		if err != nil {
			return nil, nil, err
		}
		m := map[string]any{name: word}
		for n := range s.Properties {
			switch normal(n) {
			case "confidence":
				m[n] = v.Confidence
			case "reasons":
				m[n] = v.Reasons
			case "reason":
				m[n] = strings.Join(v.Reasons, "; ")
			}
		}
		out, err := json.Marshal(m)
		return out, &v.Confidence, err
	}
	if s.kind() != "object" {
		return nil, nil, errors.New("this model only classifies and extracts: the schema must be an enum or an object")
	}
	d, ok := read(text)
	if !ok {
		return nil, nil, errNotText
	}
	f := &filling{rules: r, root: root, d: d, text: text}
	value, _ := f.object(s, scope{}, 0)
	out, err := json.Marshal(value)
	return out, nil, err
}

// choose picks the word for a text. Where no word means "other", what speaks for other
// still lowers the confidence: the text is perhaps none of them.
func (r *rules) choose(ws []string, text string) (string, verdict, error) {
	means, err := meanings(ws)
	if err != nil {
		return "", verdict{}, err
	}
	word, v := pick(means, r.classify(text))
	return word, v, nil
}

func pick(means map[kind]string, v verdict) (string, verdict) {
	if word, ok := means[v.Kind]; ok {
		return word, v
	}
	best := kind("")
	for _, k := range kinds() {
		if _, ok := means[k]; ok && (best == "" || v.Share[k] > v.Share[best]) {
			best = k
		}
	}
	v.Kind, v.Confidence = best, rounded(v.Enough*v.Share[best])
	return means[best], v
}

// scope is the thing whose properties are filled: a document, or a part of one.
type scope struct {
	item  *item
	side  *side
	value any // what "amount" or "value" means
}

type filling struct {
	rules *rules
	root  *schema
	d     document
	text  string

	taken *verdict
	inv   *invoice
	con   *contract
}

func (f *filling) verdict() verdict {
	if f.taken == nil {
		v := f.rules.classify(f.text)
		f.taken = &v
	}
	return *f.taken
}

func (f *filling) invoice() *invoice {
	if f.inv == nil {
		i := f.rules.readInvoice(f.d)
		f.inv = &i
	}
	return f.inv
}

func (f *filling) contract() *contract {
	if f.con == nil {
		c := f.rules.readContract(f.d)
		f.con = &c
	}
	return f.con
}

// object fills the properties of an object; found says whether any of them was.
func (f *filling) object(s *schema, at scope, depth int) (out map[string]any, found bool) {
	out = map[string]any{}
	if depth > maxDepth {
		return out, false
	}
	for name, p := range s.Properties {
		p = p.resolve(f.root)
		v, ok := f.property(name, p, at, depth)
		if !ok {
			v, ok = absent(p, slices.Contains(s.Required, name))
		} else {
			found = true
		}
		if ok {
			out[name] = v
		}
	}
	return out, found
}

// absent is what stands for a value that was not found: nothing, but null, an empty text or
// an empty list where one is required and the schema allows it.
func absent(p *schema, required bool) (any, bool) {
	switch {
	case !required:
		return nil, false
	case p.nullable:
		return nil, true
	case p.kind() == "string" && p.Enum == nil && p.Format == "" && p.Pattern == "" && p.MinLength == 0:
		return "", true
	case p.kind() == "array":
		return []any{}, true
	}
	return nil, false
}

// property is the value of one property.
func (f *filling) property(name string, p *schema, at scope, depth int) (any, bool) {
	if ws := p.words(); ws != nil && at == (scope{}) {
		if means, err := meanings(ws); err == nil && len(means) > 0 {
			w, _ := pick(means, f.verdict())
			return w, true
		}
	}
	n := normal(name)
	v, known := f.value(n, at)
	if base, ok := strings.CutSuffix(n, "cents"); !known && ok && base != "" {
		if v, known = f.value(strings.TrimSuffix(base, "in"), at); known {
			m, ok := v.(cents)
			return int64(m), ok && p.kind() == "integer"
		}
	}
	if !known {
		switch {
		case p.kind() == "object" && at == (scope{}):
			return pair(f.object(p, scope{}, depth+1))
		case at == (scope{}):
			return f.fit(f.rules.labelledAs(f.d.lines, name), p, depth)
		}
		return nil, false
	}
	return f.fit(v, p, depth)
}

func pair(m map[string]any, found bool) (any, bool) { return m, found }

// fit brings a value that was found into the type that the schema says.
func (f *filling) fit(v any, p *schema, depth int) (any, bool) {
	switch p.kind() {
	case "array":
		return f.list(v, p, depth)
	case "object":
		switch v := v.(type) {
		case side:
			return pair(f.object(p, scope{side: &v}, depth+1))
		case item:
			return pair(f.object(p, scope{item: &v}, depth+1))
		case cents, decimal:
			return pair(f.object(p, scope{value: v}, depth+1))
		}
		return nil, false
	case "number":
		return numeric(v, f.d)
	case "integer":
		n, ok := numeric(v, f.d)
		if !ok {
			return nil, false
		}
		whole, frac, _ := strings.Cut(n.(json.Number).String(), ".")
		return json.Number(whole), strings.Trim(frac, "0") == ""
	case "boolean":
		switch s, _ := v.(string); strings.ToLower(s) {
		case "yes", "true", "ja", "oui":
			return true, true
		case "no", "false", "nein", "non":
			return false, true
		}
		return nil, false
	case "string", "":
		s, ok := plainText(v)
		if p.Format == "date" || p.Format == "date-time" {
			d, _, found := findDate(s, monthFirst(f.d.lines, currency(f.d)))
			if s, ok = string(d), found; p.Format == "date-time" && found {
				s += "T00:00:00Z"
			}
		}
		if ws := p.words(); ws != nil {
			i := slices.IndexFunc(ws, func(w string) bool { return normal(w) == normal(s) })
			if i < 0 {
				return nil, false
			}
			s = ws[i]
		}
		return s, ok && s != ""
	}
	return nil, false
}

func (f *filling) list(v any, p *schema, depth int) (any, bool) {
	var all []any
	switch v := v.(type) {
	case []item:
		for _, i := range v {
			all = append(all, i)
		}
	case []side:
		for _, s := range v {
			all = append(all, s)
		}
	default:
		return nil, false
	}
	out := []any{}
	items := p.Items.resolve(f.root)
	for _, one := range all {
		if fitted, ok := f.fit(one, items, depth+1); ok {
			out = append(out, fitted)
		}
	}
	return out, len(out) > 0
}

func plainText(v any) (string, bool) {
	switch v := v.(type) {
	case string:
		return v, true
	case isoDate:
		return string(v), true
	case cents:
		return v.String(), true
	case decimal:
		return v.String(), true
	case side:
		return v.Name, true
	case item:
		return v.Description, true
	}
	return "", false
}

// numeric is the literal of a number, exact.
func numeric(v any, d document) (any, bool) {
	switch v := v.(type) {
	case cents:
		return json.Number(v.String()), true
	case decimal:
		return json.Number(v.String()), true
	case string:
		if ns := numbers(v, markOfText(d.lines)); len(ns) > 0 {
			return json.Number(ns[len(ns)-1].value.String()), true
		}
	}
	return nil, false
}
