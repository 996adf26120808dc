package openai

import (
	"encoding/json"
	"strings"

	"github.com/durable-go/durable/ai/internal/wire"
	"github.com/durable-go/durable/ai/model"
)

// problem reads the body of an error.
func problem(_ int, body []byte) *wire.Problem {
	var e wire.OpenAIError
	if json.Unmarshal(body, &e) != nil {
		return nil
	}
	return understand(e.Error)
}

// understand says what an error is by the provider's words.
func understand(e wire.OpenAIProblem) *wire.Problem {
	code := string(e.Code)
	p := &wire.Problem{Code: code, Message: e.Message}
	if p.Kind = kindOf(code); p.Kind == "" {
		p.Kind = kindOf(e.Type)
	}
	if code == "" {
		p.Code = e.Type
	}
	if p.Kind == model.Invalid || p.Kind == "" {
		if wire.TooLong(e.Message) {
			p.Kind = model.TooLong
		}
	}
	return p
}

func kindOf(word string) model.Kind {
	switch word {
	case "insufficient_quota", "billing_not_active", "credit_balance_exhausted", "billing_hard_limit_reached", "usage_limit_exceeded":
		return model.Quota
	case "context_length_exceeded":
		return model.TooLong
	case "invalid_api_key", "authentication_error", "permission_error":
		return model.Auth
	case "rate_limit_exceeded", "rate_limit_error", "requests", "tokens":
		return model.RateLimited
	case "server_error", "server_overloaded", "overloaded_error", "api_error", "internal_error", "request_timeout", "timeout", "flex_unavailable",
		"vector_store_timeout", "slow_down", "failed_to_download_image":
		return model.Transient
	case "content_filter", "content_policy_violation":
		return model.Refused
	case "invalid_request_error", "invalid_request", "not_found_error", "model_not_found", "invalid_prompt", "resource_not_found":
		return model.Invalid
	}
	switch {
	case strings.HasSuffix(word, "_spend_limit_exceeded"), strings.HasSuffix(word, "_usage_limit_exceeded"):
		return model.Quota
	case strings.HasSuffix(word, "_policy"), strings.HasSuffix(word, "_policy_violation"):
		return model.Refused
	case strings.Contains(word, "image"):
		return model.Invalid
	}
	return ""
}
