// Package model is what package ai and the providers of models have in common: messages,
// requests, responses, usage, errors, and the two interfaces that a provider implements.
//
// It knows no provider, no HTTP and no workflow. Who uses models imports package ai, which
// has all of this under the same names.
package model
