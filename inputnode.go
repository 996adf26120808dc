package durable

import (
	"context"
	"fmt"
	"reflect"

	"github.com/durable-go/durable/internal/journal"
	"github.com/durable-go/durable/internal/run"
	"github.com/durable-go/durable/internal/schema"
	"github.com/durable-go/durable/internal/tree"
)

// Ask is what an Input node asks people.
type Ask struct {
	Prompt  string
	Details any          // shown to those who answer; it travels as JSON
	Options []WaitOption // Timeout, OnTimeout, Assignee, Reminder, Escalate; Length and Multiline of a text, Schema of an input
}

// InputNode asks people.
type InputNode[S, T any] struct {
	waitNode[S]
	kind    string
	choices func(*S) []ChoiceOf[T]
}

// Input asks people for a T and takes their answer into the state. ask says what to ask,
// into what the answer changes. With T Approval it asks for a yes or no, with a string for a text,
// else for a value that fits T; Form and Choices say otherwise. No body runs meanwhile and no
// slot is held. It is the same as a step with WaitForInput and its like in it, but graphs show it.
//
// A timeout without OnTimeout fails the run with code wait_timeout, a wait that an operator
// cancels with code permanent.
func Input[S, T any](name string, ask func(s *S) Ask, into func(s *S, answer T)) *InputNode[S, T] {
	n := &InputNode[S, T]{waitNode: newWaitNode[S](tree.Input, name), kind: inputKind[T]()}
	if ask == nil || into == nil {
		n.mistake("a function is nil")
	}
	carried[T](n.n, "the type of the answer")
	n.opens = func(_ context.Context, s *S, limit int) (*run.CallRequest, error) {
		a := ask(s)
		o := waiting(append([]WaitOption{Prompt(a.Prompt), Details(a.Details)}, a.Options...))
		err := o.only(n.takes())
		var q question
		if err == nil {
			q, err = n.question(s, &o)
		}
		if err != nil {
			return nil, fmt.Errorf("%s %q: %w", n.kind, name, err)
		}
		w, err := inquire[T](n.kind, name, q, &o, limit)
		if err != nil {
			return nil, fmt.Errorf("%s %q: %w", n.kind, name, err)
		}
		req, err := request[T](w, o, limit)
		if err != nil {
			return nil, err
		}
		req.Key = n.kind + ":" + name + "#1"
		return req, nil
	}
	n.ends = func(s *S, c *journal.Call) error {
		var v T
		read := answered[T]
		if fn, ok := any(approved).(func([]byte, *T) error); ok {
			read = fn
		}
		if c.State == journal.TimedOut {
			read = func(raw []byte, v *T) error { return decode(raw, v, false) }
		}
		if err := read(c.Data, &v); err != nil {
			return &payloadError{fmt.Errorf("%s %q: %w %s: %w", n.kind, name, ErrPayload, typeName[T](), err)}
		}
		into(s, v)
		return nil
	}
	return n
}

// inputKind is the kind of question that a type stands for.
func inputKind[T any]() string {
	switch reflect.TypeFor[T]() {
	case reflect.TypeFor[Approval]():
		return "approval"
	case reflect.TypeFor[string]():
		return "text"
	}
	return "input"
}

// takes is the call whose options it takes.
func (n *InputNode[S, T]) takes() takers {
	switch n.kind {
	case "approval":
		return forApproval
	case "text":
		return forText
	case "form":
		return forForm
	case "choice":
		return forChoice
	}
	return forInput
}

// question is what is asked, for those who show it and to check answers by.
func (n *InputNode[S, T]) question(s *S, o *waitOptions) (question, error) {
	switch n.kind {
	case "approval":
		return typed(reflect.TypeFor[approvalForm]())
	case "text":
		return texting(o)
	case "form":
		return formOf(reflect.TypeFor[T]())
	case "choice":
		q, enum, err := choosing(n.choices(s))
		q.Schema = enum
		return q, err
	}
	return inputOf(reflect.TypeFor[T](), o)
}

// Form asks for the fields of the struct T one by one: see WaitForForm.
func (n *InputNode[S, T]) Form() *InputNode[S, T] {
	n.kind = "form"
	if _, _, err := schema.Form(reflect.TypeFor[T]()); err != nil {
		n.mistake(fmt.Sprintf("Form: %s cannot be a form: %v", typeName[T](), err))
	}
	return n
}

// Choices asks to choose one of some values: see WaitForChoice.
func (n *InputNode[S, T]) Choices(fn func(s *S) []ChoiceOf[T]) *InputNode[S, T] {
	n.kind, n.choices = "choice", fn
	if fn == nil {
		n.mistake("Choices: the function is nil")
	}
	return n
}

// When is asked once, before the question is; false passes the node by.
func (n *InputNode[S, T]) When(fn func(s *S) bool) *InputNode[S, T] {
	n.only(fn)
	return n
}
