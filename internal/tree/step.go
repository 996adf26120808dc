package tree

import "fmt"

func (c *checker) step(path string, n *Node) {
	c.queue(path, n.Queue)
	if r := n.Retry; r != nil {
		c.retry(path, "", r)
		if n.AtMostOnce && r.MaxAttempts > 1 {
			c.add(path, "AtMostOnce begins its body once, so Retry.MaxAttempts must be 1")
		}
	}
	if n.Undo != nil {
		c.retry(path, "Compensate: ", n.Undo)
	}
	if n.Reconciles && !n.AtMostOnce {
		c.add(path, "Reconcile answers what became of an AtMostOnce step; add .AtMostOnce()")
	}
}

func (c *checker) retry(path, of string, r *Retry) {
	if r.MaxAttempts < 1 {
		c.add(path, fmt.Sprintf("%sRetry.MaxAttempts is %d; it counts the first attempt too, so give at least 1", of, r.MaxAttempts))
	}
	if r.Base < 0 || r.Max < 0 {
		c.add(path, of+"Retry.Base and Retry.Max must not be negative")
	}
	if r.Jitter > 1 {
		c.add(path, of+"Retry.Jitter is a share of the delay; give at most 1")
	}
	if r.Backoff > Constant {
		c.add(path, of+"Retry.Backoff is none of Exponential, Linear, Constant")
	}
}
