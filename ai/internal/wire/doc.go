// Package wire knows how models are asked over HTTP, without knowing who asks: the bodies of
// four wires in both directions (Anthropic Messages, OpenAI Responses, OpenAI Chat, Gemini), server-sent
// events, the dialects of JSON Schema, what providers say of their limits, and the one way in which requests are sent.
//
// Adapters encode requests and decode answers with it, a server that imitates providers does the
// opposite. It keeps no state, and decides nothing about retries.
//
// No fact in here was tried against a live API; they come from the sources of official clients.
package wire

// The names of wires, as they stand in Message.From.
const (
	Anthropic = "anthropic"
	Responses = "openai"
	Chat      = "openai-chat"
	Gemini    = "gemini"
)
