//go:build !linux

package postgres

import (
	"errors"
	"net"
	"time"
)

// giveUpAfter is for systems that have no such setting.
func giveUpAfter(*net.TCPConn, time.Duration) error { return errors.ErrUnsupported }
