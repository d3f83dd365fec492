#!/bin/sh
# The parent of one server: starts it, waits until nobody uses it any more, stops it.
#
#   sh guard.sh DIR keep|remove SIGNAL COMMAND...
#
# Every user holds a shared lock on DIR/users.lock. The kernel drops that lock however a user ends, by SIGKILL too, so
# the exclusive lock below is granted exactly when the last one is gone; it is held until the server has stopped, so
# that a newcomer waits rather than meeting a server on its way out.
set -u
dir=$1 fate=$2 signal=$3
shift 3
cd "$dir" || exit 1
exec 9>>users.lock
rm -f unused

"$@" 9>&- </dev/null >>server.log 2>&1 &
server=$!
trap 'kill -s "$signal" "$server" 2>/dev/null' TERM INT HUP

(
    if command -v flock >/dev/null 2>&1; then
        flock -x 9
    else
        perl -MFcntl=:flock -e 'open(my $lock, ">&=", 9) or die; flock($lock, LOCK_EX) or die'
    fi
    : >unused
    kill -s "$signal" "$server" 2>/dev/null
) </dev/null >/dev/null 2>&1 &
watcher=$!

# A signal to ourselves ends `wait` early; the server's end ends it for good.
wait "$server"
code=$?
while kill -0 "$server" 2>/dev/null; do
    wait "$server"
    code=$?
done
kill "$watcher" 2>/dev/null

# A server that died under its users may be started again on the same files.
if [ "$fate" = remove ] && [ -e unused ]; then
    cd / && rm -rf -- "$dir"
    rmdir -- "$(dirname -- "$dir")" 2>/dev/null
fi
exit "$code"
