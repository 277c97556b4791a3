package main

import (
	"cmp"
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

// How long a request may wait for the database, including the connection. The answer must come before the client gives up.
const databaseTimeout = 2 * time.Second

// How long a read waits for the database that accepts writes, before it reads from its own region's standby.
const writerTimeout = time.Second

const (
	createLedger = `create table if not exists ledger (
		sequence bigint primary key, client_time timestamptz, recorded_at timestamptz default now(), region text, pod text)`
	insertOrder = `insert into ledger (sequence, client_time, region, pod) values ($1, $2, $3, $4) returning recorded_at`
	readOrder   = `select sequence, client_time, recorded_at, region, pod from ledger where sequence = $1`
	readLatest  = `select sequence, client_time, recorded_at, region, pod from ledger order by sequence desc limit 1`
)

// PostgreSQL's codes of error conditions.
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
	// The database that accepts writes: this region's or, with two regions, the one whose database accepts them.
	writer *pgxpool.Pool
	// This region's database, primary or standby; nil if there is no other region.
	local *pgxpool.Pool
}

// openLedger does not connect yet, so the application can start without its database. It returns nil if none is configured.
//
// With DATABASE_PEER_HOST, the other region's database, it writes to the one that accepts writes, and tries its own region's first. While
// this region's database is a standby, that is the other region's. After a promotion it is its own, without a restart.
func openLedger() (*ledger, error) {
	host, port := os.Getenv("DATABASE_HOST"), os.Getenv("DATABASE_PORT")
	if host == "" {
		return nil, nil
	}
	here, peer := net.JoinHostPort(host, port), os.Getenv("DATABASE_PEER_HOST")
	if peer == "" {
		writer, err := openPool("any", here)
		return &ledger{writer: writer}, err
	}
	writer, err := openPool("read-write", here, net.JoinHostPort(peer, cmp.Or(os.Getenv("DATABASE_PEER_PORT"), port)))
	if err != nil {
		return nil, err
	}
	local, err := openPool("any", here)
	return &ledger{writer: writer, local: local}, err
}

// openPool takes the addresses to try in turn, and what a session must be able to do: "any" or "read-write".
func openPool(sessions string, addresses ...string) (*pgxpool.Pool, error) {
	options := url.Values{
		"application_name":     {"shop"},
		"connect_timeout":      {"1"}, // seconds, for each address
		"target_session_attrs": {sessions},
		// Longer than databaseTimeout: a COMMIT that the server cancelled while it waited for a standby would count as successful.
		"statement_timeout":       {"5s"},
		"pool_max_conns":          {"8"},
		"pool_ping_timeout":       {"1s"},
		"pool_max_conn_idle_time": {"1m"},
		// Each new connection checks again which host accepts writes, even if there was no error before.
		"pool_max_conn_lifetime":   {"5m"},
		"pool_health_check_period": {"15s"},
	}
	if authority := os.Getenv("DATABASE_CA"); authority != "" {
		options["sslmode"], options["sslrootcert"] = []string{"verify-full"}, []string{authority}
	}
	address := url.URL{
		Scheme:   "postgres",
		Host:     strings.Join(addresses, ","),
		Path:     os.Getenv("DATABASE_NAME"),
		RawQuery: options.Encode(),
	}
	config, err := pgxpool.ParseConfig(address.String())
	if err != nil {
		return nil, fmt.Errorf("DATABASE_HOST, DATABASE_PORT, DATABASE_NAME and DATABASE_CA must name a database: %w", err)
	}
	config.BeforeConnect = setCredentials
	return pgxpool.NewWithConfig(context.Background(), config)
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

// record returns nil only after COMMIT. After an error, the database may have the order or not.
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
	return use(ctx, l.writer, func(conn *pgxpool.Conn) error {
		return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
			return tx.QueryRow(ctx, insertOrder, o.Sequence, o.ClientTime, o.WrittenIn, o.WrittenBy).Scan(&o.RecordedAt)
		})
	})
}

func (l *ledger) create(ctx context.Context) error {
	err := use(ctx, l.writer, func(conn *pgxpool.Conn) error {
		_, err := conn.Exec(ctx, createLedger)
		return err
	})
	// "if not exists" still fails if two pods create the table at the same moment.
	if hasCode(err, uniqueViolation) || hasCode(err, duplicateTable) {
		return nil
	}
	return err
}

// read returns the order that the query finds, or errNoOrder. It asks the database that accepts writes, which has all written orders.
// If that does not answer, it asks the standby of its own region, which may lag behind.
func (l *ledger) read(ctx context.Context, query string, arguments ...any) (order, error) {
	if l.local == nil {
		return readFrom(ctx, l.writer, query, arguments...)
	}
	patience, cancel := context.WithTimeout(ctx, writerTimeout)
	defer cancel()
	o, err := readFrom(patience, l.writer, query, arguments...)
	if isSilence(err) {
		return readFrom(ctx, l.local, query, arguments...)
	}
	return o, err
}

func readFrom(ctx context.Context, pool *pgxpool.Pool, query string, arguments ...any) (order, error) {
	var o order
	err := use(ctx, pool, func(conn *pgxpool.Conn) error {
		row := conn.QueryRow(ctx, query, arguments...)
		return row.Scan(&o.Sequence, &o.ClientTime, &o.RecordedAt, &o.WrittenIn, &o.WrittenBy)
	})
	if errors.Is(err, pgx.ErrNoRows) || hasCode(err, undefinedTable) {
		return o, errNoOrder
	}
	return o, err
}

// writable returns the reason why the database does not accept writes, or nil if it does.
func (l *ledger) writable(ctx context.Context) error {
	var primary bool
	err := use(ctx, l.writer, func(conn *pgxpool.Conn) error {
		return conn.QueryRow(ctx, "select not pg_is_in_recovery()").Scan(&primary)
	})
	if err == nil && !primary {
		return errors.New("the database is a standby")
	}
	return err
}

// use lends a connection. If the database went away, it drops the old connections in the pool.
func use(ctx context.Context, pool *pgxpool.Pool, query func(*pgxpool.Conn) error) error {
	err := pool.AcquireFunc(ctx, query)
	// No answer: all other connections to that server are dead too. A standby: its address may lead to the primary by now.
	if isSilence(err) || hasCode(err, readOnly) {
		pool.Reset()
	}
	return err
}

// isSilence says whether no server has answered, not even with an error.
func isSilence(err error) bool {
	var answered *pgconn.PgError
	return err != nil && !errors.Is(err, pgx.ErrNoRows) && !errors.Is(err, errNoOrder) && !errors.As(err, &answered)
}

func hasCode(err error, code string) bool {
	var answered *pgconn.PgError
	return errors.As(err, &answered) && answered.Code == code
}
