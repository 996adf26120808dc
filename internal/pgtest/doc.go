// Package pgtest makes throw-away PostgreSQL clusters for tests that stop,
// restart or fill a server, which no shared one may suffer.
//
// It knows initdb, pg_ctl and PgBouncer. It does not know what is in the
// databases.
package pgtest
