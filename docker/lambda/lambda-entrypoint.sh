#!/bin/sh
# Start the runtime with the handler that is given as the one argument: `docker run IMAGE app.handler`.
if [ $# -ne 1 ]; then
    echo "lambda-entrypoint.sh: give the handler as the one argument, for example app.handler" >&2
    exit 2
fi
if [ -z "$AWS_LAMBDA_RUNTIME_API" ]; then
    echo "lambda-entrypoint.sh: AWS_LAMBDA_RUNTIME_API is not set. This image is a stand-in without AWS's Runtime" >&2
    echo "Interface Emulator: it serves nothing by itself. Let lambda-freezer start it, or use AWS's own image." >&2
    exit 1
fi

# A container engine sets these two by itself; Lambda's environment has neither. What a function sets, it keeps.
case "$HOME" in /home/sbx_user1051 | /root | /) unset HOME ;; esac
read -r _hostname < /etc/hostname
[ "$HOSTNAME" != "$_hostname" ] || unset HOSTNAME

export _HANDLER="$1"

# A runtime of this image comes first; without one the function brings its own, in its package or in a layer.
# One that may not be executed is not passed over: it ends with status 126, as on AWS.
for _bootstrap in /var/runtime/bootstrap /var/task/bootstrap /opt/bootstrap; do
    [ ! -f "$_bootstrap" ] || exec "$_bootstrap"
done
echo "lambda-entrypoint.sh: there is no /var/task/bootstrap and no /opt/bootstrap to start" >&2
exit 127
