#!/usr/bin/env bash
# Renew the committed `.sqlx` data after a query or a migration changed.
#
#   DATABASE_URL=postgres://owner@host/db deploy/prepare-queries.sh
#
# The database must be at the newest migration (`firstline migrate`).
set -euo pipefail
cd "$(dirname "$0")/.."
: "${DATABASE_URL:?set DATABASE_URL to a database at the newest migration}"
rm -rf .sqlx
mkdir -p .sqlx
# The macros write what they learn only when they run again.
find services crates -name '*.rs' -path '*/src/*' -exec grep -lE 'sqlx::query|query_(as|scalar)!' {} + | xargs -r touch
SQLX_OFFLINE=false SQLX_OFFLINE_DIR="$PWD/.sqlx" cargo check --workspace --all-targets
echo "$(find .sqlx -name '*.json' | wc -l) queries described in .sqlx"
