package model_test

import (
	"context"
	"errors"
	"reflect"
	"testing"
	"testing/synctest"
	"time"

	"github.com/durable-go/durable/examples/documents/model"
	"github.com/durable-go/durable/examples/documents/samples"
)

func TestFlakyRefusesFirst(t *testing.T) {
	ctx := context.Background()
	inner := model.NewRules()
	m := model.NewFlaky(inner, model.Trouble{Seed: 7, Percent: 100, Times: 2, After: time.Minute})
	want, _ := inner.Classify(ctx, "hello")
	for range 2 {
		_, err := m.Classify(ctx, "hello")
		var limit *model.RateLimitError
		if !errors.Is(err, model.ErrRateLimited) || !errors.As(err, &limit) || limit.RetryAfter() != time.Minute {
			t.Fatalf("got %v, want a rate limit of a minute", err)
		}
	}
	if got, err := m.Classify(ctx, "hello"); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("then %+v, %v, want the answer of the model within", got, err)
	}
	if _, err := m.ExtractInvoice(ctx, "hello"); !errors.Is(err, model.ErrRateLimited) {
		t.Errorf("another question: %v, want it refused on its own", err)
	}
	if _, err := m.ExtractContract(ctx, "hello"); !errors.Is(err, model.ErrRateLimited) {
		t.Errorf("another question: %v, want it refused on its own", err)
	}
}

// Same seed, same troubles; another seed, others; and about as many as asked for.
func TestFlakySeed(t *testing.T) {
	troubles := func(seed uint64) (all []bool, refused int) {
		m := model.NewFlaky(model.NewRules(), model.Trouble{Seed: seed, Percent: 30})
		for _, s := range samples.All() {
			_, err := m.Classify(context.Background(), s.Name)
			all = append(all, err != nil)
			if err != nil {
				refused++
			}
		}
		return all, refused
	}
	a, n := troubles(1)
	b, _ := troubles(1)
	c, _ := troubles(2)
	if !reflect.DeepEqual(a, b) {
		t.Error("the same seed gave other troubles")
	}
	if reflect.DeepEqual(a, c) {
		t.Error("another seed gave the same troubles")
	}
	if n < 3 || n > 18 {
		t.Errorf("%d of %d refused, want about 30%%", n, len(a))
	}
}

func TestFlakyTakesTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := model.NewFlaky(model.NewRules(), model.Trouble{Min: time.Second, Max: 3 * time.Second})
		took := func(text string) time.Duration {
			begin := time.Now()
			if _, err := m.Classify(t.Context(), text); err != nil {
				t.Fatal(err)
			}
			return time.Since(begin)
		}
		a, b := took("a"), took("b")
		if a < time.Second || a > 3*time.Second || b < time.Second || b > 3*time.Second || a == b {
			t.Errorf("took %v and %v, want two times from 1s to 3s", a, b)
		}
		if again := took("a"); again != a {
			t.Errorf("took %v, then %v for the same text", a, again)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		begin := time.Now()
		if _, err := m.Classify(ctx, "a"); !errors.Is(err, context.DeadlineExceeded) || time.Since(begin) != time.Millisecond {
			t.Errorf("a deadline gave %v after %v", err, time.Since(begin))
		}
	})
}
