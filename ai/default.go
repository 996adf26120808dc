package ai

import (
	"fmt"
	"sync"
)

// environment is the client of those who have none. There is one, since everybody who uses the same key
// has to slow down together.
var environment = sync.OnceValues(func() (*Client, error) { return New(Config{}) }) // lint:var one per process, with the cool-downs of its keys

func fromEnvironment() (*Client, error) { return environment() }

// provider is who has the models of a spec.
func (c *Client) provider(s spec) (Provider, error) {
	if p := c.cfg.Providers[s.provider]; p != nil && s.url == "" {
		return p, nil
	}
	return nil, fmt.Errorf("%q: no such provider; give Config.Providers[%q]", s.String(), s.provider)
}
