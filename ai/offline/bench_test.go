package offline

import (
	"testing"

	"github.com/durable-go/durable/examples/documents/samples"
)

func BenchmarkLongContract(b *testing.B) {
	s, _ := samples.Get("contract-port-framework")
	r := newRules()
	d, _ := read(s.Text)
	for name, ask := range map[string]func(){
		"classify": func() { r.classify(s.Text) },
		"contract": func() { r.readContract(d) },
		"invoice":  func() { r.readInvoice(d) },
	} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(s.Text)))
			for b.Loop() {
				ask()
			}
		})
	}
}
