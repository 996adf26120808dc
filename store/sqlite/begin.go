package sqlite

import (
	"bytes"
	"encoding/json"

	"github.com/google/uuid"

	"github.com/durable-go/durable/store"
)

func (t *tx) begin(b *store.Begin) (store.Verdict, error) {
	owned := b.Owner != uuid.Nil
	if owned {
		live, err := t.alive(b.Owner)
		if err != nil {
			return store.Verdict{}, err
		}
		if !live {
			v, err := t.begun(b)
			if v.Code == 0 {
				v.Code = store.Superseded
			}
			return v, err
		}
	}
	tags, err := encodeTags(b.Tags)
	if err != nil {
		return store.Verdict{}, err
	}
	x := &head{status: store.Pending}
	var due any = t.now
	switch {
	case owned:
		x.status, x.owner, x.epoch, due = store.Running, b.Owner, 1, nil
	case !b.Due.IsZero():
		due = micros(b.Due)
	}
	r, err := t.exec(`
		INSERT INTO execution (id, workflow, version, queue, key, priority, tags, status, due, owner, epoch, created, changed, input_hash)
		VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?12, ?13)
		ON CONFLICT DO NOTHING`,
		b.ID, b.Workflow, b.Version, b.Queue, textOrNull(b.Key), b.Priority, tags, x.status, due, idOrNull(x.owner), x.epoch, t.now, b.InputHash)
	if err != nil {
		return store.Verdict{}, err
	}
	if made, err := r.RowsAffected(); err != nil || made == 0 {
		if err != nil {
			return store.Verdict{}, err
		}
		return t.begun(b)
	}
	if x.n, err = r.LastInsertId(); err != nil {
		return store.Verdict{}, err
	}
	t.heads.keep(b.ID, x)
	err = t.append(x, b.Row)
	if err == nil && b.Snapshot != nil {
		err = t.snapshot(x, b.Snapshot)
	}
	for i := 0; i < len(b.Blobs) && err == nil; i++ {
		err = t.keep(x, b.Blobs[i])
	}
	return store.Verdict{Code: store.Applied}, err
}

// begun judges a Begin whose ID or key is there; the zero verdict if neither is.
func (t *tx) begun(b *store.Begin) (v store.Verdict, err error) {
	x, err := t.head(b.ID)
	if err != nil || x != nil {
		return store.Verdict{Code: store.Landed}, err
	}
	_, err = t.one("SELECT id, input_hash FROM execution WHERE workflow = ? AND key = ?",
		func(r row) {
			v = store.Verdict{Code: store.Exists, ID: r.id(0), Same: bytes.Equal(r.bytes(1), b.InputHash)}
		}, b.Workflow, textOrNull(b.Key))
	return v, err
}

func encodeTags(tags []string) (string, error) {
	if len(tags) == 0 {
		return "[]", nil
	}
	text, err := json.Marshal(tags)
	return string(text), err
}

func decodeTags(text string) (tags []string, err error) {
	if text == "[]" {
		return nil, nil
	}
	err = json.Unmarshal([]byte(text), &tags)
	return tags, err
}
