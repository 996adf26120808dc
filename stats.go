package durable

// Stats are sums since an engine was opened. They explain what happened: a body
// that ran twice, for example, by a lease that was lost or a worker that died.
// A sum that grows while nothing is wrong with the database is worth a look.
type Stats struct {
	// Batches were sent to the database, with Writes in them, those that were
	// sent again included.
	Batches, Writes int64
	// FailedBatches had an unknown outcome (a broken connection, a timeout, a
	// database that is away or full) and were sent again.
	FailedBatches int64
	// LandedBefore are writes that turned out to be there already: the reply was lost.
	LandedBefore int64
	// Superseded are writes that were refused because the run had another owner
	// or was cancelled: the fence.
	Superseded int64
	// Refused are writes that the database will never take; their runs are blocked.
	Refused int64

	// Claims asked for work, FailedClaims in vain because of the database;
	// Claimed runs came from them.
	Claims, FailedClaims, Claimed int64
	// Renewals of the lease were sent, FailedRenewals had no answer in time.
	Renewals, FailedRenewals int64
	// LostLeases: this worker could not renew in time, stopped its bodies and
	// began anew. Others may have run those bodies again.
	LostLeases int64
	// TakenOver are runs that this worker freed because theirs had died.
	TakenOver int64

	// Bodies of steps that began and ended in this process, and of those the ones
	// that ended when the run was no longer this worker's: their results were
	// dropped.
	BodiesBegun, BodiesEnded, BodiesCut int64
	// BodiesHung went on for 10 s after their context had ended (or for
	// Config.HungAfter, if that is shorter). Engine.Hung lists them.
	BodiesHung int64

	// Connections to a server that were made; zero for stores without any. A
	// calm engine makes at most about ten.
	Connections int64
}

// Stats returns the sums at this moment. It costs nothing.
func (e *Engine) Stats() Stats {
	c := e.runner.Counts()
	s := Stats{
		Batches: c.Batches, Writes: c.Writes, FailedBatches: c.Failed, LandedBefore: c.Landed, Superseded: c.Superseded, Refused: c.Refused,
		Claims: c.Claims, FailedClaims: c.ClaimsFailed, Claimed: c.Claimed,
		Renewals: c.Renewals, FailedRenewals: c.RenewalsFailed, LostLeases: c.LeasesLost, TakenOver: c.TakenOver,
		BodiesBegun: c.Begun, BodiesEnded: c.Ended, BodiesCut: c.Cut, BodiesHung: c.Hung,
	}
	if dials, ok := e.store.(interface{ Connections() int64 }); ok {
		s.Connections = dials.Connections()
	}
	return s
}
