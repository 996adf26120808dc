package aitest_test

import (
	"testing"
	"time"

	"github.com/durable-go/durable/ai/aitest"
)

// What wires have no place for goes beside the body: how sure an answer is, and what the client asks it for.
func TestBesideTheBody(t *testing.T) {
	each(t, func(t *testing.T, s speaker) {
		m := aitest.Script(t, aitest.Text("a").Confident(0.25), aitest.Text("b"))
		srv := aitest.NewServer(t, m)
		sure := s.say(t, srv.URL, "hi", true, "Idempotency-Key", "run/step")
		plain := s.say(t, srv.URL, "hi", false)
		if got := sure.header.Get(aitest.ConfidenceHeader); got != "0.25" {
			t.Errorf("the confidence is %q", got)
		}
		if got := plain.header.Values(aitest.ConfidenceHeader); len(got) != 0 {
			t.Errorf("an answer without a confidence has %q", got)
		}
		if calls := srv.Calls(); len(calls) != 2 || calls[0].For != "run/step" || calls[1].For != "" || calls[0].Hash == "" {
			t.Errorf("%+v", calls)
		}
	})
}

// Rate limits by chance say when to come back in the forms that are chosen.
func TestChaosForms(t *testing.T) {
	s := speakers()[0]
	c := aitest.Chaos{RateLimited: 1, Most: 1, After: 300 * time.Millisecond, Forms: []aitest.Form{aitest.InMillis, aitest.NotSaid}, Polite: true}
	srv := aitest.NewServer(t, nil, aitest.Options{Chaos: &c})
	for _, text := range []string{"a", "b", "c", "d"} {
		if got := s.say(t, srv.URL, text, true); got.status != 429 || got.header.Get("Retry-After-Ms") != "300" {
			t.Errorf("%s: %d %v", text, got.status, got.header)
		}
	}
	c.Forms = []aitest.Form{aitest.NotSaid}
	if got := watch(func(r *recorder) { aitest.NewServer(r, nil, aitest.Options{Chaos: &c}) }); got == "" {
		t.Error("forms that contradict each other are accepted")
	}
}
