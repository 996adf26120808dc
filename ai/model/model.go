package model

import (
	"context"
	"encoding/json"
	"time"
)

// Model answers requests. It tries once: the caller decides about retries.
type Model interface {
	// Generate asks and returns the whole answer, or an *Error. It streams on the wire where it can;
	// on, which may be nil, sees the pieces on the caller's goroutine. Half an answer is an error. It returns
	// soon after ctx has ended.
	Generate(ctx context.Context, r *Request, on func(Delta)) (*Response, error)
}

// Provider has models.
type Provider interface {
	// Open returns the model of that name. It sends nothing, so the model may not exist. A key that
	// is not set is an *Error of kind Invalid that names the variable.
	Open(name string) (Model, error)
}

// Bucketed is implemented by models whose provider limits what is asked with one key.
type Bucketed interface {
	// Bucket names what shares limits: the provider, its address, and a fingerprint of the key,
	// from which the key cannot be found.
	Bucket() string
}

// Request is what a provider gets.
type Request struct {
	Model      string // the provider's name for it
	System     string
	Messages   []Message
	Tools      []ToolDef
	ToolChoice string          // auto (as ""), any, none, or a tool's name
	Schema     json.RawMessage // the answer is JSON that fits it; nil: free text
	Name       string          // of the schema; some wires ask for one
	Effort     string          // low, medium, high; "": not sent
	MaxTokens  int             // 0: what the provider takes, or 4096 where it insists
	Stop       []string
	Cache      time.Duration  // caching of the stable prefix: 0 (none), or up to 5 minutes, or an hour
	Extra      map[string]any // merged into the body last
	Idle       time.Duration  // without a byte for so long the try has failed; 0: 60 s

	Temperature *float64 // nil: not sent
}

// Delta is a piece of an answer as it comes. Exactly one of the texts is set, or Usage.
type Delta struct {
	Text     string // of the answer
	Thinking string
	Tool     string // a tool call begins: its name
	Args     string // of the tool call that began last
	Usage    *Usage // so far
}

// Stop says why an answer ended.
type Stop string

// The reasons for which answers end.
const (
	StopEnd     Stop = "end"
	StopLength  Stop = "length"   // MaxTokens reached
	StopTools   Stop = "tools"    // waits for the results of its calls
	StopRefused Stop = "refused"  // the model or a filter will not answer
	StopPause   Stop = "pause"    // to be sent back as it is, to go on
	StopTooLong Stop = "too_long" // the window is full
)

// Response is a whole answer.
type Response struct {
	Message Message `json:"message"`
	Stop    Stop    `json:"stop"`

	Asked     string `json:"asked,omitempty"`  // the model as the code says it
	Served    string `json:"served,omitempty"` // the one that answered
	RequestID string `json:"request_id,omitempty"`

	// Confidence is how sure the answer is, from 0 to 1, where that was measured; else nil.
	Confidence *float64 `json:"confidence,omitempty"`

	Usage Usage `json:"usage"`
	Cost  Cost  `json:"cost"`

	Headroom *Headroom `json:"-"` // what the provider says of its limits
}

// Usage counts tokens. The four parts are disjoint; Reasoning is part of Output.
type Usage struct {
	Input      int64 `json:"input,omitempty"` // without what came from or went into a cache
	CacheRead  int64 `json:"cache_read,omitempty"`
	CacheWrite int64 `json:"cache_write,omitempty"`
	Output     int64 `json:"output,omitempty"`
	Reasoning  int64 `json:"reasoning,omitempty"`
	Estimated  bool  `json:"estimated,omitempty"` // part of it was not said by the provider
}

// Add returns the sum.
func (u Usage) Add(v Usage) Usage {
	return Usage{
		u.Input + v.Input, u.CacheRead + v.CacheRead, u.CacheWrite + v.CacheWrite,
		u.Output + v.Output, u.Reasoning + v.Reasoning, u.Estimated || v.Estimated,
	}
}

// Total is the number of tokens in and out.
func (u Usage) Total() int64 { return u.Input + u.CacheRead + u.CacheWrite + u.Output }

// Headroom is what a provider says of its limits, as far as it says so.
type Headroom struct {
	Requests, Input, Output Window
}

// Window is one limit. A Limit of zero is one that was not said.
type Window struct {
	Limit     int64
	Remaining int64
	Reset     time.Duration // until it is full again
}
