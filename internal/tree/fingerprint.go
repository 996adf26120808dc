package tree

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"
)

// Fingerprint is equal for equal shapes: names, kinds, order, cases, which steps can be undone, and what
// Each and Child nodes read beside the state. Policies
// (retry, timeout, queue) are not part of it, since changing them cannot make
// a run lose its place. It does not depend on the machine or the build.
func Fingerprint(w *Workflow) string {
	b := text(text(nil, w.Name), w.Version)
	b = shape(b, w.Root.Body)
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:8])
}

func shape(b []byte, nodes []*Node) []byte {
	b = append(b, '{')
	for _, n := range nodes {
		if n == nil {
			continue
		}
		b = text(append(b, byte('0'+n.Kind)), n.Name)
		if n.Undo != nil { // a rollback is blocked without it
			b = append(b, '~')
		}
		if n.Spread { // items are elsewhere
			b = append(b, '^')
		}
		if n.Reads != "" { // a run is blocked where it reads something else
			b = text(append(b, '='), n.Reads)
		}
		n.each(func(way string, body []*Node) {
			b = shape(text(b, way), body)
		})
	}
	return append(b, '}')
}

// text writes s with its length, so that no two lists of texts look the same.
func text(b []byte, s string) []byte {
	b = strconv.AppendInt(b, int64(len(s)), 10)
	return append(append(b, ':'), s...)
}
