package anthropic

import (
	"encoding/json"
	"strings"

	"github.com/durable-go/durable/ai/internal/wire"
	"github.com/durable-go/durable/ai/model"
)

// problem reads the body of an error.
func problem(_ int, body []byte) *wire.Problem {
	var e wire.AnthropicError
	if json.Unmarshal(body, &e) != nil {
		return nil
	}
	p := understand(e.Error)
	p.ID = e.RequestID
	return p
}

// understand says what an error is by the provider's words.
func understand(e wire.AnthropicProblem) *wire.Problem {
	p := &wire.Problem{Code: e.Type, Message: e.Message}
	if e.Details != nil && e.Details.ErrorCode != "" {
		p.Code = e.Details.ErrorCode
	}
	switch e.Type {
	case "authentication_error", "permission_error", "organization_disabled_error":
		p.Kind = model.Auth
	case "billing_error":
		p.Kind = model.Quota
	case "rate_limit_error":
		p.Kind = model.RateLimited
	case "overloaded_error", "api_error", "timeout_error", "conflict_error":
		p.Kind = model.Transient
	case "invalid_request_error":
		p.Kind = model.Invalid
		switch {
		case wire.TooLong(e.Message):
			p.Kind = model.TooLong
		case strings.Contains(e.Message, "credit balance is too low"):
			p.Kind = model.Quota
		}
	case "not_found_error", "request_too_large":
		p.Kind = model.Invalid
	}
	if strings.HasSuffix(p.Code, "_spend_limit_reached") {
		p.Kind = model.Quota
	}
	return p
}
