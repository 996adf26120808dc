// Package ai asks models from durable steps: a call is paid once, kept through crashes, and its cost is known.
package ai
