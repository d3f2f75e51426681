#!/bin/sh
# Entrypoint of the Grafana container: makes the password of "admin" at the first start, then starts Grafana, which
# reads it from the file that GF_SECURITY_ADMIN_PASSWORD__FILE names.
set -eu
file=${GF_SECURITY_ADMIN_PASSWORD__FILE:?}
if [ ! -s "$file" ]; then
  if [ -e "$(dirname "$file")/grafana.db" ]; then
    # Grafana takes a password only while its database is new: this one has its own already.
    unset GF_SECURITY_ADMIN_PASSWORD__FILE
  else
    umask 077
    head -c 24 /dev/urandom | base64 | tr -d '\n' >"$file.new"
    mv "$file.new" "$file"
  fi
fi
exec "${GRAFANA_RUN:-/run.sh}" "$@"
