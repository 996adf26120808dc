package aitest

import (
	"context"
	"errors"
	"net/http"

	"github.com/durable-go/durable/ai/model"
)

// planner is a model of this package: the server asks it for plans instead of answers, as
// not every fault can be told by an error.
type planner interface {
	plan(ctx context.Context, r *model.Request) plan
}

// planOf asks any model.
func planOf(ctx context.Context, m model.Model, r *model.Request) plan {
	if p, ok := m.(planner); ok {
		return p.plan(ctx, r)
	}
	resp, err := m.Generate(ctx, r, nil)
	if err == nil {
		return plan{answer: resp, request: r}
	}
	var e *model.Error
	if !errors.As(err, &e) {
		e = &model.Error{Kind: model.Transient, Err: err}
	}
	return plan{err: e, request: r, status: statusOf(e), code: e.Code, after: e.RetryAfter, quota: e.Kind == model.Quota, tooLong: e.Kind == model.TooLong, text: textOf(e)}
}

func textOf(e *model.Error) string {
	if e.Err != nil {
		return e.Err.Error()
	}
	return string(e.Kind)
}

// statusOf is the status with which a provider would say so.
func statusOf(e *model.Error) int {
	if e.Status >= 400 {
		return e.Status
	}
	switch e.Kind {
	case model.RateLimited, model.Quota:
		return http.StatusTooManyRequests
	case model.Auth:
		return http.StatusUnauthorized
	case model.Invalid, model.TooLong, model.Refused, model.Truncated, model.BadAnswer:
		return http.StatusBadRequest
	}
	return http.StatusInternalServerError
}
