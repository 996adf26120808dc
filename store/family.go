package store

// Executions may have children. A child is begun by its parent's owner, in one
// write with a row of the parent (Advance.Children), so that there is no moment at
// which one of the two knows of the other and the other does not exist. A child is
// an execution like any other, but that it knows its parent, and nothing more
// than what follows passes between them. An ID that follows from something else than chance
// should still begin with a time, as a UUIDv7 does, say with that of the parent: stores may
// lay down rows by it.
//
// Children begin as pending, if the Advance is applied, with nobody as their owner.
// One whose ID exists already is left as it is, whosever it is. ErrRefused for
// children of an Advance without a Row, for one without a Row of its own, with another
// Parent, with an Owner, or with a Key, for one ID twice in a batch, and
// for a Parent in a Begin that is a write of its own.
//
// An Advance with a Row may Tell its children: each message is put into the inbox of its
// execution and wakes it as a Family does, unless that has ended, is no child of this one, or
// was told that Dedupe before. A rollback that is parked becomes due, as by a Deliver. It is never refused for want of
// room; Wait and Max are ignored.
//
// An Advance with a Row of what is compensating may Recall its children: orders to go back. Each is
// a message as in Tell, and it also reaches one that has ended as completed, or as
// compensation_failed: that becomes compensating with Due now, keeps its Epoch and Queue, and loses Ended and
// what its end left beside it. One that cannot go back, since it has ended otherwise, is
// no child of this one, or is not there (any more), has the order answered at once: a message in the inbox of the
// one that Recalls, which comes after its Release and makes a rollback due that this parks. Its
// Topic is RecallTopic, its Dedupe is RecallDedupe, and its Payload is the status in which the child is: none for
// no child. A child that was told that Dedupe before has the order already, and nothing happens. ErrRefused for a
// Recall by what is not compensating, without a Row, without a Dedupe or Topic, and for two of one child.
//
// An end tells the parent. A Release (of an Advance or a Control) with an ended status and
// a Report puts a message into the inbox of the parent, if there is one that
// has not ended: Dedupe and Topic are ChildTopic unless the Release has others; Payload is the
// Report. It wakes as by Deliver. One wait can thus be for many children. What a report with a
// topic of its own wakes is due since its creation, not now: it goes before those of its children
// that nobody has claimed yet.
//
// An end tells the children. A Release with an ended status and a Family puts that
// message, with FamilyDedupe, into the inbox of every execution whose Parent this is,
// that has not ended and is not Detached; those that begin with the same write are
// among them. Unlike Deliver it wakes whatever is pending or waiting, for
// whatever topic and until whenever: it becomes pending with Due now. What is owned,
// blocked or compensating only has the message. Children of children hear of it
// when the children end in their turn.
//
// Both are part of the write that ends the execution: they happen if it is
// applied, and once. They pass over whoever has used their Dedupe before. They are never
// refused for want of room in the inbox. Report and Family are refused in a Release whose
// status is not an ended one, and a Family without a Topic.

// Notice is a message to a family.
type Notice struct {
	Topic   string
	Payload []byte
}

// ChildTopic is the topic of the message by which a child's end is told to its parent.
func ChildTopic(child ID) string { return "child:" + child.String() }

// RecallTopic is the topic of the message by which a parent is told what became of the order to
// a child to go back.
func RecallTopic(child ID) string { return "family:back:" + child.String() }

// RecallDedupe is the dedupe name of that message: the same for whoever gives it. order is the Dedupe
// of the order.
func RecallDedupe(child ID, order string) string { return RecallTopic(child) + ":" + order }

// Recallable tells whether an order to go back reaches an execution that has ended so.
func Recallable(s Status) bool { return s == Completed || s == CompensationFailed }

// RecallAnswer is the message that answers at once an order which cannot be followed. s is the
// status of the child, empty for none.
func RecallAnswer(parent ID, order *Deliver, s Status) *Deliver {
	return &Deliver{ID: parent, Topic: RecallTopic(order.ID), Payload: []byte(s), Dedupe: RecallDedupe(order.ID, order.Dedupe)}
}

// ReportTopic is the topic of the message by which this end of a child is told to its parent.
func (r *Release) ReportTopic(child ID) string {
	if r.Topic != "" {
		return r.Topic
	}
	return ChildTopic(child)
}

// ReportDedupe is the dedupe name of that message.
func (r *Release) ReportDedupe(child ID) string {
	if r.Dedupe != "" {
		return r.Dedupe
	}
	return ChildTopic(child)
}

// FamilyDedupe is the dedupe name of the message by which an execution's end is
// told to its children.
func FamilyDedupe(parent ID) string { return "family:" + parent.String() }

// familyMistake says what is wrong with the children of a write.
func familyMistake(a *Advance) string {
	for i := range a.Children {
		switch c := &a.Children[i]; {
		case len(a.Row) == 0:
			return "children without a row of their parent"
		case len(c.Row) == 0:
			return "a child without a row"
		case c.Parent != a.ID:
			return "a child of another parent"
		case c.Owner != Incarnation{}:
			return "a child with an owner"
		case c.Key != "":
			return "a child with a key"
		case len(c.Blobs) > 0 || c.Snapshot != nil:
			return "a child with blobs or a snapshot"
		}
	}
	for i := range a.Tell {
		if len(a.Row) == 0 || a.Tell[i].Dedupe == "" || a.Tell[i].Topic == "" {
			return "a message to a child without a row, a Dedupe or a Topic"
		}
	}
	recalled := make(map[ID]bool, len(a.Recall))
	for i := range a.Recall {
		switch d := &a.Recall[i]; {
		case len(a.Row) == 0 || d.Dedupe == "" || d.Topic == "":
			return "an order to a child without a row, a Dedupe or a Topic"
		case recalled[d.ID]:
			return "two orders to one child"
		default:
			recalled[d.ID] = true
		}
	}
	return ""
}

// releaseMistake says what no release may have.
func releaseMistake(r *Release) string {
	switch {
	case (len(r.Report) > 0 || r.Family != nil) && !r.Status.Ended():
		return "a report, or a notice to a family, of what has not ended"
	case (r.Topic != "" || r.Dedupe != "") && len(r.Report) == 0:
		return "a topic or dedupe name without a report"
	case r.Family != nil && r.Family.Topic == "":
		return "a notice to a family without a topic"
	}
	return ""
}
