package durable

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"reflect"
	"strings"
)

// signature is equal for types that JSON reads alike: fields, their names and
// kinds, at any depth. It is part of a definition's fingerprint, so that a run
// whose state did not fit is tried again by code with another state type; and of those of its Each and Child nodes.
func signature(t reflect.Type) string {
	var b strings.Builder
	describe(&b, t, make(map[reflect.Type]bool))
	sum := sha256.Sum256([]byte(b.String()))
	return hex.EncodeToString(sum[:4])
}

func describe(b *strings.Builder, t reflect.Type, seen map[reflect.Type]bool) {
	if seen[t] || ownJSON(t) {
		b.WriteString(t.String())
		return
	}
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Array:
		b.WriteString(t.Kind().String() + " ")
		describe(b, t.Elem(), seen)
	case reflect.Map:
		b.WriteString("map " + t.Key().Kind().String() + " ")
		describe(b, t.Elem(), seen)
	case reflect.Struct:
		seen[t] = true
		b.WriteByte('{')
		for i := range t.NumField() {
			if f := t.Field(i); f.IsExported() || f.Anonymous {
				fmt.Fprintf(b, "%s %q ", f.Name, f.Tag.Get("json"))
				describe(b, f.Type, seen)
			}
		}
		b.WriteByte('}')
		delete(seen, t)
	default:
		b.WriteString(t.Kind().String())
	}
}
