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
export _HANDLER="$1"
exec /var/runtime/bootstrap
