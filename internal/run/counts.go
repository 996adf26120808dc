package run

import "github.com/durable-go/durable/store"

// Counts are plain sums since a machine was made.
type Counts struct {
	Batches, Failed, Writes, Landed, Superseded, Refused int64
	Claims, ClaimsFailed, Claimed                        int64
	Renewals, RenewalsFailed, LeasesLost, TakenOver      int64
	Begun, Ended, Cut, Hung                              int64
}

// add adds o.
func (c *Counts) add(o *Counts) {
	c.Batches += o.Batches
	c.Failed += o.Failed
	c.Writes += o.Writes
	c.Landed += o.Landed
	c.Superseded += o.Superseded
	c.Refused += o.Refused
	c.Claims += o.Claims
	c.ClaimsFailed += o.ClaimsFailed
	c.Claimed += o.Claimed
	c.Renewals += o.Renewals
	c.RenewalsFailed += o.RenewalsFailed
	c.LeasesLost += o.LeasesLost
	c.TakenOver += o.TakenOver
	c.Begun += o.Begun
	c.Ended += o.Ended
	c.Cut += o.Cut
	c.Hung += o.Hung
}

// verdict counts what became of a write.
func (c *Counts) verdict(code store.Code) {
	switch code {
	case store.Landed:
		c.Landed++
	case store.Superseded:
		c.Superseded++
	}
}

// Counts are the sums of all workers that ran here, and of the committer.
func (r *Runner) Counts() Counts {
	r.mu.Lock()
	sum := r.past
	if r.w != nil {
		sum.add(&r.w.counts)
	}
	r.mu.Unlock()
	r.cmu.Lock()
	defer r.cmu.Unlock()
	sum.add(&r.committer.counts)
	return sum
}
