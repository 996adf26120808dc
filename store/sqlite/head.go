package sqlite

import (
	"github.com/durable-go/durable/store"
)

// head is what a write must know of its execution before it may touch it.
type head struct {
	n      int64 // the execution's short name
	status store.Status
	owner  store.Incarnation
	epoch  int64
	length int
	inbox  int64
	waits  int64 // open
	held   bool  // it may have holds
	parent store.ID
	// fingerprints of code that could not go on
	blocked []string
}

// heads keeps the heads of executions that were written lately, so that a
// step's fence is checked without reading. They are exact: whatever this
// connection writes it notes here too, and check drops them all as soon as any
// other connection has committed anything. The writer's token guards it.
type heads struct {
	kept    map[store.ID]*head
	version int64
}

// check is called when a transaction has begun, and nobody else can write.
func (h *heads) check(c *conn) error {
	var version int64
	if _, err := c.one("PRAGMA data_version", func(r row) { version = r.int(0) }); err != nil {
		return err
	}
	if version != h.version || len(h.kept) > headLimit {
		h.forget()
	}
	h.version = version
	return nil
}

// forget drops everything: after a rollback, and after changes in bulk.
func (h *heads) forget() { h.kept = nil }

func (h *heads) keep(id store.ID, x *head) {
	if h.kept == nil {
		h.kept = map[store.ID]*head{}
	}
	h.kept[id] = x
}

// head returns the head of an execution, or nil if there is none. Who changes
// the execution changes the head, too.
func (t *tx) head(id store.ID) (*head, error) {
	if x := t.heads.kept[id]; x != nil {
		return x, nil
	}
	x := new(head)
	found, err := t.one(`
		SELECT n, status, owner, epoch, inbox, waits,
			(SELECT max(seq) FROM journal WHERE execution = e.n),
			EXISTS (SELECT 1 FROM hold WHERE execution = e.n), blocked, parent
		FROM execution e WHERE id = ?`,
		func(r row) {
			*x = head{n: r.int(0), status: store.Status(r.text(1)), owner: r.id(2), epoch: r.int(3), inbox: r.int(4), waits: r.int(5), length: int(r.int(6)), held: r.int(7) != 0, blocked: store.SplitBlocked(r.text(8)), parent: r.id(9)}
		}, id)
	if err != nil || !found {
		return nil, err
	}
	t.heads.keep(id, x)
	return x, nil
}

// append adds a journal row under the execution's present epoch.
func (t *tx) append(x *head, body []byte) error {
	_, err := t.exec("INSERT INTO journal (execution, seq, epoch, at, body) VALUES (?, ?, ?, ?, ?)", x.n, x.length+1, x.epoch, t.now, body)
	if err == nil {
		x.length++
	}
	return err
}
