#!/bin/sh
# Asks the recovered database of a drill, and ends with 0 whatever it says: the drill's last step judges. Its last message has a
# line for each statement: its number, `=` or `!`, and the answer or the first line of PostgreSQL's error.
#
#   PGHOST, PGDATABASE, PGUSER, PGPASSWORD, PGOPTIONS   as libpq reads them
#   COUNT, SQL_0, SQL_1, …                              the statements
#   SECONDS_TO_TRY                                      for how long a connection is tried
set -u
last_message=${LAST_MESSAGE:-/dev/termination-log}
answers=${SCRATCH:-/tmp}/answers
error=${SCRATCH:-/tmp}/error
deadline=$(($(date +%s) + SECONDS_TO_TRY))

ask() {
  psql --no-psqlrc --quiet --tuples-only --no-align --set=ON_ERROR_STOP=1 --command="$1" 2>"$error"
}

until ask "SELECT 1" >/dev/null; do
  if [ "$(date +%s)" -ge "$deadline" ]; then
    head -n 1 "$error" | cut -c 1-1000 >"$last_message"
    exit 0
  fi
  sleep 1
done

place=0
while [ "$place" -lt "$COUNT" ]; do
  eval "sql=\$SQL_$place"
  if answer=$(ask "$sql"); then
    sort='='
  else
    sort='!'
    answer=$(head -n 1 "$error")
  fi
  printf '%s %s%s\n' "$place" "$sort" "$(printf '%s' "$answer" | tr '\n\t' '  ' | cut -c 1-200)" >>"$answers"
  place=$((place + 1))
done
head -c 4000 "$answers" >"$last_message"
