package ai

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/durable-go/durable/durabletest"
	"github.com/durable-go/durable/store/sqlite"
)

// AI-15: what an agent of 100 turns of 4 KiB adds to a file is not much more than what was said: bodies, a row
// of the journal for each try and its outcome. A snapshot would only repeat these rows.
func TestAI15_FileSize(t *testing.T) {
	const turns, size = 100, 4 << 10
	text := func(n, size int) string {
		return fmt.Sprintf("%d %s", n, strings.Repeat(string(rune('a'+n%26)), size))
	}
	var lines []func(*Request) Response
	for n := range turns - 1 {
		lines = append(lines, func(r *Request) Response {
			resp := calls("look", fmt.Sprintf(`{"order":"%d"}`, n))(r)
			resp.Message.Text = text(n, size/2)
			return resp
		})
	}
	_, ctx := play(t, append(lines, speak("done"))...)
	look := NewTool("look", "looks", func(_ context.Context, o order) (string, error) { return o.Order + text(len(o.Order), size/2), nil }, ReadOnly())
	said := 0
	w := define(func(ctx context.Context, d *doc) error {
		r, err := Agent{Name: "a", Model: "smart", Tools: []Tool{look}, MaxTurns: turns}.Run(ctx, "do it")
		if err != nil {
			return err
		}
		distinct := map[string]int{}
		for i := range r.Messages {
			own, _ := messageBodies(&r.Messages[i])
			distinct[own.hash()] = len(own)
		}
		for _, n := range distinct {
			said += n
		}
		return nil
	})
	path := filepath.Join(t.TempDir(), "durable.db")
	bytes := func() int64 {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		return info.Size()
	}
	var empty int64
	opener := sqlite.Open(path, sqlite.WatchEvery(-1))
	st, err := opener.OpenStore(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_ = st.Close() // the last handle folds the log into the file
	empty = bytes()
	durabletest.Run(t, config(w), func(t *testing.T, e *durabletest.Engine) {
		durabletest.Start(e, w, doc{}).Done()
	}, durabletest.Context(ctx), durabletest.Store(opener))
	stored := bytes() - empty
	t.Logf("%d turns of %d bytes: the file grew by %d bytes, %.2f times the %d of messages", turns, size, stored, float64(stored)/float64(said), said)
	if float64(stored) > 1.5*float64(said) {
		t.Errorf("the file grew by %d bytes for %d of messages", stored, said)
	}
}
