#!/bin/sh
# Starts PostgreSQL on a kept volume, and prints which rows of a database it has that a running database does not have.
# Nothing is written to the running database. On the kept volume PostgreSQL recovers what a crash left, as at every start.
# Environment: PGHOST, PGDATABASE, PGUSER, PGPASSWORD of the running database, as libpq reads them; KEPT, the kept data directory;
# SCRATCH, an empty directory; LIMIT, how many rows of each table are printed; SECONDS_TO_TRY, for the start.
#
# It prints fields with tabs between them, and texts as COPY writes them, a line each:
#   table  NAME  ROWS  ONLY_KEPT  CHANGED  KEY  NOTE   CHANGED of these rows are there with the same key and another content
#   row    missing|changed  ROW                        below its table
#   unread NAME  REASON
#   end    TABLES                                      the last line, if everything was looked at
set -u
export LC_ALL=C PGCLIENTENCODING=UTF8 PGCONNECT_TIMEOUT=10
# Both sides write a value in the same way, and a row that a policy hides is an error.
export PGOPTIONS="-c default_transaction_read_only=on -c row_security=off -c statement_timeout=0 -c datestyle=ISO -c timezone=UTC \
-c intervalstyle=postgres -c extra_float_digits=1 -c bytea_output=hex -c xmloption=content"
tab=$(printf '\t')
reason=$SCRATCH/reason
server=

fail() {
  echo "$1" >&2
  exit 1
}

ask() {
  psql --no-psqlrc --quiet --tuples-only --no-align --set=ON_ERROR_STOP=1 "$@" 2> "$reason"
}

live() {
  ask --command="$1"
}

kept() {
  ask --host="$SCRATCH" --port=5432 --username=postgres --command="$1"
}

why() {
  grep -v '^$' "$reason" | head -n 1 | tr '\t' ' '
}

stop() {
  [ -z "$server" ] || { kill -INT "$server" 2> /dev/null && wait "$server"; }
}

start() {
  [ -e "$KEPT/PG_VERSION" ] || fail "the kept volume has no database in $KEPT"
  [ -d "$KEPT/pg_wal/" ] || fail "the WAL of the kept volume is on a volume of its own, $(readlink "$KEPT/pg_wal"): name its claim too"
  version=$(postgres --version | sed 's/^[^0-9]*\([0-9]*\).*/\1/')
  [ "$(cat "$KEPT/PG_VERSION")" = "$version" ] \
    || fail "the kept volume is of PostgreSQL $(cat "$KEPT/PG_VERSION"), and the image is of $version: name an image of the former"
  echo "local all all trust" > "$SCRATCH/hba.conf"
  : > "$SCRATCH/ident.conf"
  # It names a process of the Pod that had the volume before. A process of this Pod may have the same number.
  rm -f "$KEPT/postmaster.pid"
  # Where the kubelet gives a volume's files to a group, it opens this directory to the group, which PostgreSQL refuses.
  chmod 0700 "$KEPT"
  # CloudNativePG's settings name sockets, logs, certificates and commands that are in its own Pods alone.
  postgres -D "$KEPT" -c listen_addresses= -c unix_socket_directories="$SCRATCH" -c port=5432 -c unix_socket_permissions=0700 \
    -c hba_file="$SCRATCH/hba.conf" -c ident_file="$SCRATCH/ident.conf" -c external_pid_file= -c ssl=off \
    -c logging_collector=off -c log_destination=stderr -c archive_mode=off -c restore_command= -c primary_conninfo= \
    -c primary_slot_name= -c synchronous_standby_names= -c shared_preload_libraries= -c hot_standby=on \
    -c default_transaction_read_only=on -c autovacuum=off -c max_parallel_workers_per_gather=0 -c shared_buffers=64MB \
    -c huge_pages=off > "$SCRATCH/server.log" 2>&1 &
  server=$!
  deadline=$(($(date +%s) + SECONDS_TO_TRY))
  # A volume of a standby goes on waiting for WAL. It has replayed all that it has once it waits to try again.
  until [ "$(kept "SELECT NOT pg_is_in_recovery() OR EXISTS (SELECT FROM pg_stat_activity WHERE backend_type = 'startup' AND
    wait_event IN ('RecoveryRetrieveRetryInterval', 'RecoveryWalStream'))")" = t ]; do
    if ! kill -0 "$server" 2> /dev/null; then
      server=
      last=$(grep -E 'FATAL|PANIC' "$SCRATCH/server.log" | tail -n 1)
      fail "PostgreSQL does not start on the kept volume: ${last:-$(tail -n 1 "$SCRATCH/server.log")}"
    fi
    [ "$(date +%s)" -lt "$deadline" ] \
      || fail "PostgreSQL does not answer on the kept volume: $(why); its last words: $(tail -n 1 "$SCRATCH/server.log")"
    sleep 0.3
  done
}

# $1: kept or live, $2: the table as a literal.
columns() {
  "$1" "COPY (SELECT quote_ident(attname) FROM pg_attribute
    WHERE attrelid = to_regclass($2) AND attnum > 0 AND NOT attisdropped ORDER BY attnum) TO STDOUT"
}

# $1: the table as a literal.
key() {
  kept "COPY (SELECT quote_ident(a.attname) FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey)
    WHERE i.indisprimary AND i.indrelid = to_regclass($1) ORDER BY a.attnum) TO STDOUT"
}

listed() {
  paste -s -d , "$1"
}

sorted() {
  sort -S 64M -T "$SCRATCH" "$@"
}

# $1: kept or live, $2: the table. Writes key and row of each row to a file of that name, sorted.
rows() {
  "$1" "COPY (SELECT row($(listed key))::text, row($(listed common))::text FROM ONLY $2) TO STDOUT" > "$1" \
    && sorted -o "$1" "$1"
}

unread() {
  printf 'unread\t%s\t%s\n' "$table" "$1: $(why)"
}

# $table: its name, quoted. $1: the same as a literal.
compare() {
  : > live; : > columns.live; : > keys; note=
  columns kept "$1" > columns.kept && key "$1" > key || { unread "the kept volume"; return; }
  there=$(live "SELECT to_regclass($1) IS NOT NULL") || { unread "the running database"; return; }
  if [ "$there" = t ]; then
    columns live "$1" > columns.live || { unread "the running database"; return; }
    grep -Fxf columns.live columns.kept > common
    grep -vFxf columns.live columns.kept > gone
    [ -s common ] || cp columns.kept common
    [ ! -s gone ] || note="the running database has no columns $(listed gone), which are not compared"
    # Rows whose keys cannot be compared have none.
    ! grep -qvFxf columns.live key || : > key
    rows live "$table" || { unread "the running database"; return; }
  else
    cp columns.kept common
    note="the running database has no such table"
  fi
  rows kept "$table" || { unread "the kept volume"; return; }
  comm -23 kept live > only
  if [ -s key ]; then
    cut -f 1 live | sorted -u > keys
    sorted -t "$tab" -k 1,1 only > by-key
    join -t "$tab" -v 1 by-key keys > missing
    join -t "$tab" by-key keys > changed
  else
    cp only missing
    : > changed
  fi
  printf 'table\t%s\t%d\t%d\t%d\t%s\t%s\n' "$table" "$(wc -l < kept)" "$(wc -l < only)" "$(wc -l < changed)" "$(listed key)" "$note"
  { sed "s/^[^$tab]*/row${tab}missing/" missing; sed "s/^[^$tab]*/row${tab}changed/" changed; } | head -n "$LIMIT"
}

trap stop EXIT
trap 'exit 143' TERM INT PIPE
cd "$SCRATCH" || exit 1
live "SELECT 1" > /dev/null || fail "the running database does not answer: $(why)"
start
kept "COPY (SELECT format('%I.%I', n.nspname, c.relname), quote_literal(format('%I.%I', n.nspname, c.relname))
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE c.relkind = 'r' AND c.relpersistence <> 't' AND n.nspname <> 'information_schema' AND n.nspname NOT LIKE 'pg\\_%'
  ORDER BY 1) TO STDOUT" > tables || fail "the kept volume's database $PGDATABASE cannot be read: $(why)"
while IFS=$tab read -r table literal; do
  compare "$literal"
done < tables
printf 'end\t%d\n' "$(wc -l < tables)"
