package ai

import "github.com/durable-go/durable/ai/model"

// The types that package ai shares with providers.
type (
	// Message is one turn of a conversation.
	Message = model.Message
	// Role says who speaks.
	Role = model.Role
	// File is a document or an image in a message.
	File = model.File
	// ToolCall is what a model asks for.
	ToolCall = model.ToolCall
	// ToolDef declares a tool to a model.
	ToolDef = model.ToolDef
	// Request is what a provider gets.
	Request = model.Request
	// Response is a whole answer.
	Response = model.Response
	// Usage counts tokens in disjoint parts.
	Usage = model.Usage
	// Cost is what calls cost, as far as it is known.
	Cost = model.Cost
	// Money is an amount in millionths of a US dollar.
	Money = model.Money
	// Stop says why an answer ended.
	Stop = model.Stop
	// Delta is a piece of an answer as it comes.
	Delta = model.Delta
	// Error is how a call failed.
	Error = model.Error
	// Kind says what went wrong, and so what to do.
	Kind = model.Kind
	// Model answers requests, one try at a time.
	Model = model.Model
	// Provider has models.
	Provider = model.Provider
)

// USD is one US dollar.
const USD = model.USD

// Roles of messages, reasons for which answers end, and kinds of errors: see package model.
const (
	User      = model.User
	Assistant = model.Assistant

	StopEnd     = model.StopEnd
	StopLength  = model.StopLength
	StopTools   = model.StopTools
	StopRefused = model.StopRefused
	StopPause   = model.StopPause
	StopTooLong = model.StopTooLong

	Transient   = model.Transient
	RateLimited = model.RateLimited
	Quota       = model.Quota
	Auth        = model.Auth
	TooLong     = model.TooLong
	Invalid     = model.Invalid
	Refused     = model.Refused
	Truncated   = model.Truncated
	BadAnswer   = model.BadAnswer
	OverBudget  = model.OverBudget
	OutOfTurns  = model.OutOfTurns
)

// IsKind says whether err is, or wraps, an *Error of that kind.
func IsKind(err error, k Kind) bool { return model.IsKind(err, k) }
