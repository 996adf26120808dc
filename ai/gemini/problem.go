package gemini

import (
	"bytes"
	"encoding/json"
	"strings"

	"github.com/durable-go/durable/ai/internal/wire"
	"github.com/durable-go/durable/ai/model"
)

// problem reads the body of an error, which may stand in a list.
func problem(_ int, body []byte) *wire.Problem {
	var list []wire.GeminiError
	if body = bytes.TrimSpace(body); len(body) > 0 && body[0] == '[' {
		if json.Unmarshal(body, &list) != nil || len(list) == 0 {
			return nil
		}
		return understand(list[0].Error)
	}
	var e wire.GeminiError
	if json.Unmarshal(body, &e) != nil {
		return nil
	}
	return understand(e.Error)
}

// understand says what an error is by the provider's words.
func understand(e wire.GeminiProblem) *wire.Problem {
	p := &wire.Problem{Code: e.Status, Message: e.Message}
	switch e.Status {
	case "UNAUTHENTICATED", "PERMISSION_DENIED":
		p.Kind = model.Auth
	case "RESOURCE_EXHAUSTED":
		p.Kind = model.RateLimited
	case "INTERNAL", "UNAVAILABLE", "DEADLINE_EXCEEDED", "ABORTED", "CANCELLED", "UNKNOWN":
		p.Kind = model.Transient
	case "INVALID_ARGUMENT", "FAILED_PRECONDITION", "NOT_FOUND", "OUT_OF_RANGE", "UNIMPLEMENTED":
		p.Kind = model.Invalid
		if wire.TooLong(e.Message) {
			p.Kind = model.TooLong
		}
	}
	for _, d := range e.Details {
		switch {
		case strings.HasSuffix(d.Type, ".RetryInfo"):
			p.After = wire.Delay(d.RetryDelay)
		case strings.HasSuffix(d.Type, ".QuotaFailure"):
			for _, v := range d.Violations {
				if strings.Contains(v.QuotaID, "PerDay") {
					p.Kind, p.Code = model.Quota, v.QuotaID
				}
			}
		case strings.HasSuffix(d.Type, ".ErrorInfo"):
			if d.Reason == "API_KEY_INVALID" {
				p.Kind, p.Code = model.Auth, d.Reason
			}
		}
	}
	return p
}
