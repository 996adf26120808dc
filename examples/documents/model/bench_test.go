package model_test

import (
	"context"
	"testing"

	"github.com/durable-go/durable/examples/documents/model"
	"github.com/durable-go/durable/examples/documents/samples"
)

func BenchmarkLongContract(b *testing.B) {
	s, _ := samples.Get("contract-port-framework")
	r, ctx := model.NewRules(), context.Background()
	for name, ask := range map[string]func() error{
		"classify": func() error { _, err := r.Classify(ctx, s.Text); return err },
		"contract": func() error { _, err := r.ExtractContract(ctx, s.Text); return err },
		"invoice":  func() error { _, err := r.ExtractInvoice(ctx, s.Text); return err },
	} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(s.Text)))
			for b.Loop() {
				if err := ask(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
