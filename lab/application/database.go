package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// What a request may wait for the database, connecting included. Its answer must come while the client still listens.
const databaseTimeout = 2 * time.Second

const (
	createLedger = `create table if not exists ledger (
		sequence bigint primary key, client_time timestamptz, recorded_at timestamptz default now(), region text, pod text)`
	insertOrder = `insert into ledger (sequence, client_time, region, pod) values ($1, $2, $3, $4) returning recorded_at`
	readOrder   = `select sequence, client_time, recorded_at, region, pod from ledger where sequence = $1`
	readLatest  = `select sequence, client_time, recorded_at, region, pod from ledger order by sequence desc limit 1`
)

// Conditions by the codes that PostgreSQL gives them.
const (
	uniqueViolation = "23505"
	readOnly        = "25006"
	undefinedTable  = "42P01"
	duplicateTable  = "42P07"
)

var (
	errNoOrder   = errors.New("no such order")
	errDuplicate = errors.New("an order with this sequence number is there already")
)

// ledger is the table of orders. The database behind it may go away, come back, and be promoted at any time.
type ledger struct {
	pool *pgxpool.Pool
}

// openLedger connects to nothing yet: the application starts while its database is away. It returns nil where none is configured.
func openLedger() (*ledger, error) {
	host := os.Getenv("DATABASE_HOST")
	if host == "" {
		return nil, nil
	}
	options := url.Values{
		"application_name": {"shop"},
		"connect_timeout":  {"1"},
		// Longer than databaseTimeout: a COMMIT that the server cancelled while it waited for a standby would count as successful.
		"statement_timeout":       {"5s"},
		"pool_max_conns":          {"8"},
		"pool_ping_timeout":       {"1s"},
		"pool_max_conn_idle_time": {"1m"},
	}
	address := url.URL{
		Scheme:   "postgres",
		Host:     net.JoinHostPort(host, os.Getenv("DATABASE_PORT")),
		Path:     os.Getenv("DATABASE_NAME"),
		RawQuery: options.Encode(),
	}
	config, err := pgxpool.ParseConfig(address.String())
	if err != nil {
		return nil, fmt.Errorf("DATABASE_HOST, DATABASE_PORT and DATABASE_NAME must name a database: %w", err)
	}
	config.BeforeConnect = setCredentials
	pool, err := pgxpool.NewWithConfig(context.Background(), config)
	return &ledger{pool: pool}, err
}

// setCredentials reads the mounted Secret before every connection, so that a password that changes needs no restart.
func setCredentials(_ context.Context, config *pgx.ConnConfig) error {
	directory := os.Getenv("DATABASE_CREDENTIALS")
	username, err := os.ReadFile(filepath.Join(directory, "username"))
	if err != nil {
		return fmt.Errorf("DATABASE_CREDENTIALS must name a directory with username and password: %w", err)
	}
	password, err := os.ReadFile(filepath.Join(directory, "password"))
	if err != nil {
		return fmt.Errorf("DATABASE_CREDENTIALS must name a directory with username and password: %w", err)
	}
	config.User, config.Password = strings.TrimSpace(string(username)), strings.TrimSpace(string(password))
	return nil
}

// record returns only after COMMIT; after an error the order may be there or not.
func (l *ledger) record(ctx context.Context, o *order) error {
	err := l.insert(ctx, o)
	if hasCode(err, undefinedTable) {
		if err = l.create(ctx); err == nil {
			err = l.insert(ctx, o)
		}
	}
	if hasCode(err, uniqueViolation) {
		return errDuplicate
	}
	return err
}

func (l *ledger) insert(ctx context.Context, o *order) error {
	return l.use(ctx, func(conn *pgxpool.Conn) error {
		return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
			return tx.QueryRow(ctx, insertOrder, o.Sequence, o.ClientTime, o.WrittenIn, o.WrittenBy).Scan(&o.RecordedAt)
		})
	})
}

func (l *ledger) create(ctx context.Context) error {
	err := l.use(ctx, func(conn *pgxpool.Conn) error {
		_, err := conn.Exec(ctx, createLedger)
		return err
	})
	// "if not exists" does not help two pods that create it in the same moment.
	if hasCode(err, uniqueViolation) || hasCode(err, duplicateTable) {
		return nil
	}
	return err
}

// read returns the order that the query finds, or errNoOrder. A standby may answer, too.
func (l *ledger) read(ctx context.Context, query string, arguments ...any) (order, error) {
	var o order
	err := l.use(ctx, func(conn *pgxpool.Conn) error {
		row := conn.QueryRow(ctx, query, arguments...)
		return row.Scan(&o.Sequence, &o.ClientTime, &o.RecordedAt, &o.WrittenIn, &o.WrittenBy)
	})
	if errors.Is(err, pgx.ErrNoRows) || hasCode(err, undefinedTable) {
		return o, errNoOrder
	}
	return o, err
}

// writable says why the database does not take writes, or nil.
func (l *ledger) writable(ctx context.Context) error {
	var primary bool
	err := l.use(ctx, func(conn *pgxpool.Conn) error {
		return conn.QueryRow(ctx, "select not pg_is_in_recovery()").Scan(&primary)
	})
	if err == nil && !primary {
		return errors.New("the database is a standby")
	}
	return err
}

// use lends a connection, and drops what a database that went away has left in the pool.
func (l *ledger) use(ctx context.Context, query func(*pgxpool.Conn) error) error {
	err := l.pool.AcquireFunc(ctx, query)
	var answered *pgconn.PgError
	silent := err != nil && !errors.Is(err, pgx.ErrNoRows) && !errors.As(err, &answered)
	// Silence: what else is connected to that server is dead as well. A standby: the Service may lead to the primary by now.
	if silent || hasCode(err, readOnly) {
		l.pool.Reset()
	}
	return err
}

func hasCode(err error, code string) bool {
	var answered *pgconn.PgError
	return errors.As(err, &answered) && answered.Code == code
}
