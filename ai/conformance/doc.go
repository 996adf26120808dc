// Package conformance lets the official clients of the providers judge what package ai does on the wire: the
// bodies of our requests beside theirs, and the answers of the fake server read by them. It has nothing but tests, in a
// module of its own, so that the clients are in nobody's graph. "make conformance" runs it.
//
// That both agree does not prove that a provider does.
package conformance
