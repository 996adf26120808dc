// Package aitest helps to test what asks models, without a key and without a network: Script
// answers what the test says, NewServer speaks the wires of the providers over real HTTP with
// their faults, and Cassette replays what a real model once said.
//
// It does not judge answers, and it knows no workflow: the code under test is asked in a test of its own.
package aitest
