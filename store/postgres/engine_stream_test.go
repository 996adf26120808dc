package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/store/postgres"
)

// teller streams a text that names its attempt; the first body goes on whatever becomes of it, until it is freed.
func teller() (flow *durable.Workflow[parcel], half, free chan struct{}) {
	half, free = make(chan struct{}, 10), make(chan struct{})
	flow = durable.Define("teller", durable.Step("tell", func(ctx context.Context, p *parcel) (err error) {
		info, _ := durable.Info(ctx)
		p.Signed, err = durable.Do(ctx, "tell", func(ctx context.Context) (string, error) {
			s, err := durable.Stream(ctx, "tale")
			if err != nil {
				return "", err
			}
			whole := strings.Repeat(fmt.Sprintf("told by %d; ", info.Attempt), 20)
			fmt.Fprint(s, whole[:50])
			half <- struct{}{}
			if info.Attempt == 1 {
				<-free
			}
			fmt.Fprint(s, whole[50:])
			return whole, s.End(whole)
		})
		return err
	}))
	return flow, half, free
}

// heard is what a reader has of a stream.
type heard struct {
	text  string
	kinds []durable.StreamKind
	late  bool // text of the first body came after a reset
	err   error
}

func hear(ctx context.Context, e *durable.Engine, id durable.ID) (h heard) {
	last := int64(0)
	for x, err := range e.Stream(ctx, id, "tale", 0) {
		if err != nil || x.Index <= last {
			h.err = errors.Join(err, fmt.Errorf("event %d after %d", x.Index, last))
			return h
		}
		last = x.Index
		h.late = h.late || len(h.kinds) > 0 && h.kinds[len(h.kinds)-1] == durable.StreamReset && strings.Contains(x.Text, "by 1")
		if h.kinds = append(h.kinds, x.Kind); x.Kind == durable.StreamText {
			h.text += x.Text
			continue
		}
		h.text = x.Text
	}
	return h
}

// A worker that is paused in the middle of a text loses its run. What it still sends adds nothing, and who reads with either
// engine sees the reset and then the whole text.
func TestLS3_FleetZombie(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	flow, half, free := teller()
	cfg := durable.Config{Workflows: []durable.Definition{flow}}
	one := f.join(cfg)
	r, err := flow.Start(t.Context(), one.Engine, parcel{})
	if err != nil {
		t.Fatal(err)
	}
	<-half
	reader, err := durable.Open(t.Context(), postgres.Open(f.url, postgres.Schema(f.schema)), durable.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = reader.Close() })
	eventually(t, "the half is there", func() bool {
		for x := range reader.Stream(t.Context(), r.ID, "tale", 0) {
			return x.Text != ""
		}
		return false
	})
	var all sync.WaitGroup
	views := make([]heard, 4)
	two := f.join(cfg)
	for i := range views {
		all.Go(func() { views[i] = hear(t.Context(), []*durable.Engine{reader, two.Engine}[i%2], r.ID) })
	}
	thaw := one.line.freeze()
	close(free) // what it writes now leaves when it thaws
	p, err := flow.Attach(two.Engine, r.ID).Wait(t.Context())
	if err != nil || !strings.HasPrefix(p.Signed, "told by 2") {
		t.Errorf("%+v, %v", p, err)
	}
	all.Wait()
	thaw()
	eventually(t, "the first worker has noticed", func() bool { return one.said.count("lost")+one.said.count("another owner") > 0 })
	for i, h := range append(views, hear(t.Context(), reader, r.ID), hear(t.Context(), one.Engine, r.ID)) {
		if h.err != nil || h.text != p.Signed || h.late {
			t.Errorf("reader %d ends with %q after %v, %v", i, h.text, h.kinds, h.err)
		}
		if i >= len(views) && len(h.kinds) != 1 {
			t.Errorf("who comes late sees %v", h.kinds)
		}
	}
	var rows int
	f.query(&rows, "SELECT count(*) FROM durable.chunk WHERE execution = $1", r.ID.String())
	if rows != 1 {
		t.Errorf("%d chunks are left", rows)
	}
}
