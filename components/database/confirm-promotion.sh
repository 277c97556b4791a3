#!/bin/sh
# Ends well when the database accepts writes and has archived what was written on its new timeline.
# Environment: PGHOST, PGDATABASE, PGUSER, PGPASSWORD as libpq reads them; SECONDS_TO_TRY.
set -u
deadline=$(($(date +%s) + SECONDS_TO_TRY))
reason=/tmp/reason
: > "$reason"

ask() {
  psql --no-psqlrc --quiet --tuples-only --no-align --set=ON_ERROR_STOP=1 --command="$1" 2> "$reason"
}

# Repeat a question until its answer is t. $1: what is waited for, $2: the question.
await() {
  until [ "$(ask "$2")" = t ]; do
    if [ "$(date +%s)" -ge "$deadline" ]; then
      echo "timed out waiting for $1; PostgreSQL's last words: $(tail -n 1 "$reason"); the operator's: kubectl describe" \
        "cluster.postgresql.cnpg.io -A" >&2
      exit 1
    fi
    sleep 0.3
  done
}

# archive_mode goes from always to on, and for that CloudNativePG restarts a promoted instance once: writes before that are cut off.
await "the promotion and the restart after it" \
  "SELECT NOT pg_is_in_recovery() AND current_setting('archive_mode') = 'on'"
await "the first write" "SELECT pg_current_xact_id() IS NOT NULL"
# After a promotion archive_timeout may sleep for one checkpoint_timeout: what was written until then would be in no archive.
if ! segment=$(ask "SELECT pg_walfile_name(pg_switch_wal())"); then
  echo "the WAL could not be switched: $(tail -n 1 "$reason"); as a superuser run in this database: GRANT EXECUTE ON FUNCTION" \
    "pg_catalog.pg_switch_wal() TO \"$PGUSER\"" >&2
  exit 1
fi
await "WAL segment $segment to be archived (see: kubectl get cluster, condition ContinuousArchiving)" \
  "SELECT last_archived_wal COLLATE \"C\" >= '$segment' FROM pg_stat_archiver"
echo "accepts writes; $segment is archived"
