package postgres_test

import (
	"context"
	"errors"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/durable-go/durable/store"
	"github.com/durable-go/durable/store/postgres"
)

func beginning() store.Write {
	return store.Write{Begin: &store.Begin{ID: uuid.Must(uuid.NewV7()), Workflow: "w", Version: "1", Queue: "q", Row: []byte("began")}}
}

func commit(t *testing.T, st store.Store, writes ...store.Write) []store.Verdict {
	t.Helper()
	r, err := st.Commit(t.Context(), writes)
	if err != nil {
		t.Fatal(err)
	}
	return r.Verdicts
}

// with adds a setting to a URL, which its sessions then have.
func with(t *testing.T, address, name, value string) string {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	q.Set(name, value)
	u.RawQuery = q.Encode()
	return u.String()
}

func TestOpen_RefusesWhatLosesData(t *testing.T) {
	url, schema := fresh(t)
	_, err := postgres.Open(with(t, url, "synchronous_commit", "off"), postgres.Schema(schema)).OpenStore(t.Context())
	if err == nil || !strings.Contains(err.Error(), "synchronous_commit is off") {
		t.Errorf("with synchronous_commit off: %v", err)
	}
	_, err = postgres.Open(with(t, url, "default_transaction_read_only", "on"), postgres.Schema(schema)).OpenStore(t.Context())
	if !errors.Is(err, store.ErrReadOnly) {
		t.Errorf("where nothing can be written: %v", err)
	}
}

func TestOpen_RefusesOtherSchemas(t *testing.T) {
	url, schema := fresh(t)
	quoted := pgx.Identifier{schema}.Sanitize()
	execute(t, url, "create schema "+quoted)
	execute(t, url, "create table "+quoted+".execution (n int)")
	if _, err := postgres.Open(url, postgres.Schema(schema)).OpenStore(t.Context()); !errors.Is(err, store.ErrNotDatabase) {
		t.Errorf("in a schema of another program: %v", err)
	}
	execute(t, url, "drop table "+quoted+".execution")
	open(t, postgres.Open(url, postgres.Schema(schema)))
	execute(t, url, "insert into "+quoted+".migration values (99, now())")
	if _, err := postgres.Open(url, postgres.Schema(schema)).OpenStore(t.Context()); !errors.Is(err, store.ErrNewer) {
		t.Errorf("with a schema of a newer version: %v", err)
	}
	if _, err := postgres.Open(url, postgres.Schema(strings.Repeat("x", 64))).OpenStore(t.Context()); err == nil {
		t.Error("the name of a schema was cut")
	}
	if _, err := postgres.Open("postgres://127.0.0.1:1/none?sslmode=disable&connect_timeout=2", postgres.Schema(schema)).OpenStore(t.Context()); err == nil {
		t.Error("opened where no server is")
	}
}

// Many processes that start at once make one schema.
func TestOpen_AtOnce(t *testing.T) {
	o := opener(t)
	var all sync.WaitGroup
	for range 6 {
		all.Go(func() {
			st, err := o.OpenStore(t.Context())
			if err != nil {
				t.Errorf("open: %v", err)
				return
			}
			_ = st.Close()
		})
	}
	all.Wait()
}

func TestNew_LeavesThePoolToItsOwner(t *testing.T) {
	url, schema := fresh(t)
	pool, err := pgxpool.New(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	o := postgres.New(pool, postgres.Schema(schema))
	first, second := open(t, o), open(t, o)
	w := beginning()
	commit(t, first, w)
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := first.Load(t.Context(), w.Begin.ID, false); err == nil {
		t.Error("a closed store works")
	}
	if _, err := second.Load(t.Context(), w.Begin.ID, false); err != nil {
		t.Errorf("the other handle: %v", err)
	}
	if err := pool.Ping(t.Context()); err != nil {
		t.Errorf("the pool: %v", err)
	}
}

// What text columns do not take is refused, and leaves neighbours alone; what a
// program happens to log is kept as far as it can be.
func TestCommit_TextThatTheDatabaseDoesNotTake(t *testing.T) {
	st := open(t, opener(t))
	who := uuid.New()
	if _, err := st.Renew(t.Context(), store.Lease{Who: who, Duration: time.Hour, New: true}); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"a\x00b", "\xff\xfe"} {
		w := beginning()
		w.Begin.Key = text
		if _, err := st.Commit(t.Context(), []store.Write{w}); !errors.Is(err, store.ErrRefused) {
			t.Errorf("a key of %q: %v", text, err)
		}
		long := beginning()
		long.Begin.Tags = []string{text}
		if _, err := st.Commit(t.Context(), []store.Write{beginning(), long}); !errors.Is(err, store.ErrRefused) {
			t.Errorf("a tag of %q: %v", text, err)
		}
		good := beginning()
		good.Begin.Owner = who
		commit(t, st, good)
		a := store.Advance{ID: good.Begin.ID, Owner: who, Epoch: 1, Base: 1, Row: []byte(text), Seen: -1, Logs: []store.Log{{Path: "p", At: time.Now(), Text: text}}}
		if v := commit(t, st, store.Write{Advance: &a}); v[0].Code != store.Applied {
			t.Errorf("a run that logs %q: verdict %d", text, v[0].Code)
		}
	}
	var noise strings.Builder // which does not shrink
	for noise.Len() < 20_000 {
		noise.WriteString(uuid.NewString())
	}
	w := beginning()
	w.Begin.Key = noise.String()
	if _, err := st.Commit(t.Context(), []store.Write{w}); !errors.Is(err, store.ErrRefused) {
		t.Errorf("a key too large for an index: %v", err)
	}
}

// A plain step that cannot go in beside others that can: one statement for all,
// and the verdict of each.
func TestCommit_PlainStepsKeepTheirVerdicts(t *testing.T) {
	st := open(t, opener(t))
	who := uuid.New()
	if _, err := st.Renew(t.Context(), store.Lease{Who: who, Duration: time.Hour, New: true}); err != nil {
		t.Fatal(err)
	}
	batch := make([]store.Write, 6)
	for i := range batch {
		w := beginning()
		w.Begin.Owner = who
		commit(t, st, w)
		batch[i] = store.Write{Advance: &store.Advance{ID: w.Begin.ID, Owner: who, Epoch: 1, Base: 1, Row: []byte("two"), Seen: -1}}
	}
	commit(t, st, batch[1])                                                                   // will have landed
	commit(t, st, store.Write{Deliver: &store.Deliver{ID: batch[2].Advance.ID, Dedupe: "m"}}) // unseen
	batch[2].Advance.Seen, batch[3].Advance.Epoch, batch[4].Advance.Base, batch[5].Advance.Base = 0, 2, 7, 1<<40
	want := []store.Code{store.Applied, store.Landed, store.Unseen, store.Superseded, store.Superseded, store.Superseded}
	for i, v := range commit(t, st, batch...) {
		if v.Code != want[i] {
			t.Errorf("write %d: verdict %d, want %d", i, v.Code, want[i])
		}
	}
	// The same beside a write of another kind, which makes it another path.
	for i, v := range commit(t, st, append(batch, beginning())[1:]...) {
		if i < 5 && v.Code != want[i+1] {
			t.Errorf("with a begin, write %d: verdict %d, want %d", i+1, v.Code, want[i+1])
		}
	}
}

func TestWatch_OthersOnly(t *testing.T) {
	o := opener(t)
	mine, other := open(t, o), open(t, o)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	hints := mine.Watch(ctx)
	next := func(what string) {
		t.Helper()
		if _, open := <-hints; !open || ctx.Err() != nil {
			t.Fatalf("no hint: %s", what)
		}
	}
	next("it has begun to listen")
	for range 3 {
		commit(t, mine, beginning())
	}
	select {
	case <-hints:
		t.Error("a hint at what this handle did itself")
	default:
	}
	commit(t, other, beginning())
	next("another handle began an execution")
	if err := mine.Close(); err != nil {
		t.Fatal(err)
	}
	if _, open := <-hints; open {
		<-hints
	}
}
