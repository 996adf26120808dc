package ai

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/durable-go/durable/ai/model"
	"github.com/durable-go/durable/durabletest"
)

// slowly is a provider whose answers take their time.
type slowly struct {
	takes time.Duration
	began *int
}

func (p slowly) Open(string) (Model, error) { return p, nil }

func (p slowly) Generate(ctx context.Context, _ *model.Request, _ func(Delta)) (*Response, error) {
	*p.began++
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-time.After(p.takes):
		return answer("at last"), nil
	}
}

// AI-2: a stop in order, as of each deploy, is no crash: however many of them cut a long call off, it is sent again until it
// is answered. Each may have been paid.
func TestAI2_StopsAreNoCrashes(t *testing.T) {
	for name, ask := range map[string]func(context.Context) (string, error){
		"call": func(ctx context.Context) (string, error) { return GenerateText(ctx, "smart", "x") },
		"agent": func(ctx context.Context) (string, error) {
			r, err := Agent{Name: "a", Model: "smart"}.Run(ctx, "x")
			if err != nil {
				return "", err
			}
			return r.Text, nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			const stops = crashLimit + 2
			began := 0
			w := define(func(ctx context.Context, d *doc) error {
				text, err := ask(ctx)
				d.Texts = append(d.Texts, text)
				return err
			})
			synctestStores(t, config(w), slowly{5 * time.Minute, &began}, func(t *testing.T, e *durabletest.Engine) {
				began = 0
				r := durabletest.Start(e, w, doc{})
				for range stops {
					e.Sleep(time.Minute)
					e.Restart()
				}
				if got := r.Done(); len(got.Texts) != 1 || got.Texts[0] != "at last" || began != stops+1 {
					t.Errorf("%+v after %d requests", got, began)
				}
				if s := sumOf(t, e, r.ID); s.PossiblyPaid != stops || s.Answers != 1 {
					t.Errorf("%+v", s)
				}
			})
		})
	}
}

// AI-2: crashes count also if there are stops between them.
func TestAI2_CrashesBetweenStops(t *testing.T) {
	began := 0
	w := define(func(ctx context.Context, _ *doc) error {
		_, err := GenerateText(ctx, "smart", "x")
		return err
	})
	cfg := config(w)
	cfg.Lease = time.Minute
	synctestStores(t, cfg, endlessly{&began}, func(t *testing.T, e *durabletest.Engine) {
		began = 0
		r := durabletest.Start(e, w, doc{})
		for range crashLimit {
			e.Sleep(time.Second)
			e.Restart()
			e.Sleep(time.Second)
			e.Crash()
			e.Sleep(5 * time.Minute) // the lease of the dead is over
		}
		end := r.Fails()
		if began != 2*crashLimit || end.Cause.Code != "crash_limit" || !strings.Contains(end.Cause.Message, "5 tries in a row were cut off by a crash") {
			t.Errorf("%d requests: %+v", began, end.Cause)
		}
	})
}

// What an older version has recorded of tries that were cut off counts as it did.
func TestAI2_CrashesOfOldRecords(t *testing.T) {
	s, ctx := scriptedClient(t, says("a"))
	j := step()
	body := func(ctx context.Context) error {
		_, err := GenerateText(ctx, "smart", "x", Key("k"))
		return err
	}
	j.Records, j.Blobs = map[string]json.RawMessage{}, map[string][]byte{}
	for n := range crashLimit {
		j.Records[fmt.Sprintf("ai:k~0/try#%d", n+1)] = json.RawMessage(fmt.Sprintf(`{"try":%d,"asked":"smart","model":"fake:one","at":1}`, n+1))
		j.Records[fmt.Sprintf("ai:k~0#%d", n+1)] = json.RawMessage(`{"interrupted":true}`)
	}
	if err := j.Run(ctx, body); err == nil || !strings.Contains(err.Error(), "5 tries") || len(s.requests) != 0 {
		t.Errorf("%v after %d requests", err, len(s.requests))
	}
}
