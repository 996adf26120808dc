package tree

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"
)

// Fingerprint is equal for equal shapes: names, kinds, order, cases. Policies
// (retry, timeout, queue) are not part of it, since changing them cannot make
// a run lose its place. It does not depend on the machine or the build.
func Fingerprint(w *Workflow) string {
	b := []byte(strconv.Quote(w.Name) + strconv.Quote(w.Version))
	b = shape(b, w.Root.Body)
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:8])
}

func shape(b []byte, nodes []*Node) []byte {
	b = append(b, '{')
	for _, n := range nodes {
		b = strconv.AppendQuote(append(b, byte('0'+n.Kind)), n.Name)
		n.each(func(way string, body []*Node) {
			b = shape(strconv.AppendQuote(b, way), body)
		})
	}
	return append(b, '}')
}
