//go:build !linux

package sqlite

// networkFileSystem cannot tell on this system.
func networkFileSystem(string) string { return "" }

// readOnlyFileSystem cannot tell on this system.
func readOnlyFileSystem(error) bool { return false }
