package ai

import "encoding/json"

// maxPauses is how often an answer may pause: the provider wants its beginning back, and goes on.
const maxPauses = 3

// goOn sends the beginning of a paused answer back with the next try.
func (a *asking) goOn(begun *Response) {
	a.begun = append(a.begun, begun)
	msgs := a.k.req.Messages
	a.k.req.Messages = append(msgs[:len(msgs):len(msgs)], begun.Message)
	if a.k.thread != nil { // what it knows is not what will be said in the end
		*a.k.thread = thread{}
		a.k.thread = nil
	}
	a.p = write(&a.k.req, nil)
}

// whole is an answer with its beginnings before it.
func (a *asking) whole(last *Response) *Response {
	if len(a.begun) == 0 {
		return last
	}
	r := *last
	var m Message
	r.Usage, r.Cost = Usage{}, Cost{}
	for _, part := range append(a.begun, last) {
		r.Usage, r.Cost = r.Usage.Add(part.Usage), r.Cost.Add(part.Cost)
		m.Role, m.Text = Assistant, m.Text+part.Message.Text
		m.Calls = append(m.Calls, part.Message.Calls...)
		m.Raw, m.From = joined(m.Raw, part.Message.Raw), part.Message.From
	}
	r.Message = m
	return &r
}

// joined are the blocks of two parts of an answer: both are lists, or the second stands for both.
func joined(a, b json.RawMessage) json.RawMessage {
	var first, second []json.RawMessage
	if json.Unmarshal(a, &first) != nil || json.Unmarshal(b, &second) != nil || len(first) == 0 {
		return b
	}
	out := []byte{'['}
	for i, block := range append(first, second...) {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(out, block...) // byte for byte
	}
	return append(out, ']')
}
