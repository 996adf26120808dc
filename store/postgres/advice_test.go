//go:build linux

package postgres_test

import (
	"context"
	"errors"
	"net"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/durable-go/durable/internal/pgproxy"
	"github.com/durable-go/durable/internal/pgtest"
	"github.com/durable-go/durable/store"
	"github.com/durable-go/durable/store/postgres"
)

// private is a server with passwords that this test may restart.
func private(t *testing.T) *pgtest.Cluster {
	t.Helper()
	c, err := pgtest.New("max_connections=20", "superuser_reserved_connections=3")
	if errors.Is(err, pgtest.ErrNone) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

// as changes who asks, and for which database.
func as(t *testing.T, address, user, password, database string) string {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	u.User, u.Path = url.UserPassword(user, password), "/"+database
	return u.String()
}

// refused opens and wants an error that says all texts, and no secret.
func refused(t *testing.T, what, address string, sentinel error, says ...string) {
	t.Helper()
	t.Run(what, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		st, err := postgres.Open(address).OpenStore(ctx)
		if err == nil {
			_ = st.Close()
			t.Fatal("opened")
		}
		t.Log(err)
		if sentinel != nil && !errors.Is(err, sentinel) {
			t.Errorf("it is not %v", sentinel)
		}
		for _, text := range append(says, "postgres: open: ") {
			if !strings.Contains(err.Error(), text) {
				t.Errorf("it does not say %q", text)
			}
		}
		if strings.Contains(err.Error(), "geheim") {
			t.Error("it tells the password")
		}
	})
}

// Whatever is wrong with the way to the database: the error says what, and what
// to do. No password is ever printed.
func TestOpen_SaysWhatToDo(t *testing.T) {
	const form = "write postgres://USER:PASSWORD@HOST:5432/DATABASE"
	for what, address := range map[string]string{
		"a URL with % in the password":         "postgres://app:geheim%zz@127.0.0.1:5432/app",
		"a URL with / in the password":         "postgres://app:geheim/geheim@127.0.0.1:5432/app",
		"a URL with @ and : in it":             "postgres://app:a@geheim:geheim@127.0.0.1:x/app",
		"a URL with spaces":                    "postgres://app:geheim @127.0.0.1/app name",
		"a URL with a bad port":                "postgres://app:geheim@127.0.0.1:99999/app",
		"a URL with a bad setting":             "postgres://app:geheim@127.0.0.1/app?sslmode=perhaps",
		"a URL with the password as a setting": "postgres://127.0.0.1/app?password=geheim&sslmode=perhaps",
		"settings that cannot be read":         "host=127.0.0.1 password='geheim",
		"no URL at all":                        "geheim is not a url",
	} {
		refused(t, what, address, nil, form)
	}
	refused(t, "a setting that cannot be, without a secret", "postgres://127.0.0.1/app?sslmode=perhaps", nil, form, "sslmode is invalid")
	refused(t, "a host without a name", "postgres://app:geheim@no-such-host.invalid/app?sslmode=disable", nil, "no-such-host.invalid has no address", "mend its name")
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := closed.Addr().String()
	if err := closed.Close(); err != nil {
		t.Fatal(err)
	}
	refused(t, "nobody is there, and # in the password", "postgres://app:ge#geheim@"+nobody+"/app?sslmode=disable", nil)
	refused(t, "nobody is there", "postgres://app:geheim@"+nobody+"/app?sslmode=disable", nil, "no PostgreSQL answers at 127.0.0.1 port", "is it running there", "listen_addresses")
}

func TestOpen_SaysWhatToDoOnAServer(t *testing.T) {
	c := private(t)
	admin := c.URL("postgres")
	for _, s := range []string{
		"create role app login password 'geheim'", "create role reader login password 'geheim'", "create role full login password 'geheim' connection limit 0",
		"create database app", "create database latin encoding 'LATIN1' template template0",
		"create database made owner app", "create database mine owner app",
	} {
		execute(t, admin, s)
	}
	at := func(user, database string) string { return as(t, admin, user, "geheim", database) }
	refused(t, "a wrong password", as(t, admin, "app", "falsch", "app"), nil, `does not take the password of user "app"`, "ALTER ROLE")
	refused(t, "no such user", at("nobody", "app"), nil, `password of user "nobody"`)
	refused(t, "no such database", at("app", "nowhere"), nil, `there is no database "nowhere"`, "CREATE DATABASE")
	refused(t, "no right to make the schema", at("app", "app"), nil, `user "app" may not make or read the schema "durable"`, `GRANT CREATE ON DATABASE "app" TO "app"`)
	refused(t, "another encoding", c.URL("latin"), nil, "the encoding LATIN1", "ENCODING 'UTF8'")
	refused(t, "no connection left", at("full", "app"), nil, "no connection left", "max_connections")
	refused(t, "no encryption", strings.Replace(at("app", "made"), "sslmode=disable", "sslmode=require", 1), nil, "does not encrypt", "sslmode=disable")

	if st, err := postgres.Open(at("app", "made"), postgres.Existing()).OpenStore(t.Context()); !errors.Is(err, store.ErrNotDatabase) || !strings.Contains(err.Error(), "none were made") {
		t.Errorf("opened what is not there: %v, %v", st, err)
	}
	open(t, postgres.Open(at("app", "made")))
	open(t, postgres.Open(at("app", "made"), postgres.Existing()))
	execute(t, at("app", "made"), "grant usage on schema durable to reader; grant select on all tables in schema durable to reader")
	refused(t, "rights to read only", at("reader", "made"), nil, `user "reader" lacks DELETE, INSERT, UPDATE on tables of the schema "durable"`, "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES")
	execute(t, at("app", "made"), "revoke usage on schema durable from reader")
	refused(t, "no right to look into the schema", at("reader", "made"), nil, `user "reader" may not make or read the schema "durable"`, `GRANT USAGE ON SCHEMA "durable" TO "reader"`)
	execute(t, at("app", "made"), "insert into durable.migration values (99, now())")
	refused(t, "a newer schema", at("app", "made"), store.ErrNewer, "version 99", "use the newer program")
	execute(t, at("app", "mine"), "create schema durable; create table durable.t ()")
	refused(t, "a schema of somebody else", at("app", "mine"), store.ErrNotDatabase, "belongs to another program", "choose another one")
	refused(t, "commits that are not flushed", at("app", "made")+"&synchronous_commit=off", nil, "synchronous_commit is off", "ALTER ROLE")
	refused(t, "a user who may only read", at("app", "made")+"&default_transaction_read_only=on", store.ErrReadOnly, "default_transaction_read_only is on", "ALTER ROLE")

	restart := func(settings ...string) {
		t.Helper()
		if err := errors.Join(c.Stop(), c.Start(settings...)); err != nil {
			t.Fatal(err)
		}
	}
	restart("fsync=off")
	refused(t, "fsync off", at("app", "made"), nil, "fsync off", "turn it on")
	restart("full_page_writes=off")
	refused(t, "full_page_writes off", at("app", "made"), nil, "full_page_writes off", "turn it on")
	if err := errors.Join(c.Stop(), c.Standby(), c.Start()); err != nil {
		t.Fatal(err)
	}
	refused(t, "a standby", at("app", "made"), store.ErrReadOnly, "in recovery", "connect to the primary")
}

// What a server or a pooler says that cannot be had here, as the proxy says it.
func TestOpen_SaysWhatToDoWhenToldSo(t *testing.T) {
	address := server(t)
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	p, err := pgproxy.New(u.Host)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = p.Close() }()
	by, err := p.URL(address)
	if err != nil {
		t.Fatal(err)
	}
	for code, says := range map[string]string{
		"57P03": "starting, stopping or recovering; try again in a moment",
		"28000": "by a line in pg_hba.conf",
		"53300": "the server has no connection left",
	} {
		p.Set(func(m pgproxy.Message) pgproxy.Fault {
			if m.Type == 0 && !m.Server {
				return pgproxy.Fault{Do: pgproxy.Refuse, Code: code}
			}
			return pgproxy.Fault{}
		})
		var said *pgconn.PgError
		refused(t, code, by, nil, says)
		if _, err := postgres.Open(by).OpenStore(t.Context()); !errors.As(err, &said) || said.Code != code {
			t.Errorf("what the server said is not in the error: %v", err)
		}
	}
}
