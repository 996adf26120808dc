package postgres

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// parse reads a URL. What pgx says about one that it cannot read may quote
// parts of the password, so it is passed on only if there is none.
func parse(address string) (*pgxpool.Config, error) {
	config, err := pgxpool.ParseConfig(address)
	if err == nil {
		return config, nil
	}
	const form = "write postgres://USER:PASSWORD@HOST:5432/DATABASE?sslmode=…, and in user and password %40 for @, %3A for :, %2F for /, %23 for #, %3F for ?, %25 for %"
	u, broken := url.Parse(address)
	switch secret := strings.Contains(address, "password"); {
	case broken != nil || u.Scheme == "":
		return nil, errors.New("the database URL cannot be read (it is not printed, as it may have a password in it); " + form)
	case u.User == nil && !secret:
		return nil, fmt.Errorf("the database URL cannot be read; %s: %w", form, err)
	default:
		// The settings are what is left to be wrong, and they hold no secrets.
		u.User = nil
		if secret {
			u.RawQuery = ""
		}
		if _, again := pgxpool.ParseConfig(u.String()); again != nil {
			return nil, fmt.Errorf("the database URL cannot be read; %s: %w", form, again)
		}
		return nil, errors.New("the database URL cannot be read; " + form)
	}
}

// advise says what to do about an error at open.
func (o *opener) advise(err error, config *pgx.ConnConfig) error {
	if err == nil || config == nil {
		return err
	}
	if text := o.advice(err, config); text != "" {
		return fmt.Errorf("%s: %w", text, err)
	}
	return err
}

func (o *opener) advice(err error, config *pgx.ConnConfig) string {
	var said *pgconn.PgError
	if !errors.As(err, &said) {
		return silence(err, config)
	}
	name := pgx.Identifier{string(o.schema)}.Sanitize()
	user, database := pgx.Identifier{config.User}.Sanitize(), pgx.Identifier{config.Database}.Sanitize()
	switch said.Code {
	case "28P01":
		return fmt.Sprintf("the server does not take the password of user %s; mend it in the URL or in PGPASSWORD, or set it with ALTER ROLE %s PASSWORD '…'", user, user)
	case "28000":
		return fmt.Sprintf("the server does not let user %s into database %s from here; make the user with CREATE ROLE %s LOGIN, or let it in by a line in pg_hba.conf", user, database, user)
	case "3D000":
		return fmt.Sprintf("there is no database %s; make it with CREATE DATABASE %s ENCODING 'UTF8' TEMPLATE template0, or name another one in the URL", database, database)
	case "42501":
		return fmt.Sprintf("user %s may not make or read the schema %s in database %s; if it is not there, have the owner of the database run GRANT CREATE ON DATABASE %s TO %s, or CREATE SCHEMA %s AUTHORIZATION %s; "+
			"if it is, GRANT USAGE ON SCHEMA %s TO %s", user, name, database, database, user, name, user, name, user)
	case "53300":
		return "the server has no connection left; close some, raise max_connections, or put a pooler in front (each engine holds up to 9 connections of its own)"
	case "57P03":
		return "the server is starting, stopping or recovering; try again in a moment"
	case "08P01":
		if strings.Contains(said.Message, "startup parameter") {
			return "a pooler such as PgBouncer is in between and does not take a setting of the URL; take it out of the URL, or add it to ignore_startup_parameters in pgbouncer.ini"
		}
	}
	return ""
}

// silence is about errors that no server said.
func silence(err error, config *pgx.ConnConfig) string {
	var failed *pgconn.ConnectError
	if !errors.As(err, &failed) {
		return ""
	}
	at := fmt.Sprintf("%s port %d", config.Host, config.Port)
	text := err.Error()
	switch {
	case strings.Contains(text, "hostname resolving error"):
		return fmt.Sprintf("the host %s has no address; mend its name in the URL, or the name service", config.Host)
	case strings.Contains(text, "server refused TLS"):
		return fmt.Sprintf("the server at %s does not encrypt and the URL wants it; turn ssl on at the server, or add sslmode=disable where the network is trusted", at)
	case strings.Contains(text, "x509"), strings.Contains(text, "tls:"):
		return fmt.Sprintf("the certificate of the server at %s is not trusted; give the URL its root with sslrootcert=…, or the host's name as the certificate has it", at)
	}
	return fmt.Sprintf("no PostgreSQL answers at %s; is it running there, do its listen_addresses and the firewalls let this machine in?", at)
}

// rights refuses a user who may read and not write: better now than in the
// middle of the work.
func (n schema) rights(ctx context.Context, c *pgx.Conn) error {
	var missing []string
	err := query(ctx, c, `
		SELECT DISTINCT p FROM pg_class t CROSS JOIN unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) AS p
		WHERE t.relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = $1) AND t.relkind IN ('r', 'p') AND NOT t.relispartition AND t.relname <> 'migration'
			AND NOT has_table_privilege(t.oid, p)
		ORDER BY p`, []any{string(n)}, func(r pgx.CollectableRow) error {
		var p string
		err := r.Scan(&p)
		missing = append(missing, p)
		return err
	})
	if err != nil || len(missing) == 0 {
		return err
	}
	name, user := pgx.Identifier{string(n)}.Sanitize(), pgx.Identifier{c.Config().User}.Sanitize()
	return fmt.Errorf("user %s lacks %s on tables of the schema %s; have their owner run GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA %s TO %s",
		user, strings.Join(missing, ", "), name, name, user)
}
