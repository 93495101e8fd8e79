#!/usr/bin/env bash
# Signs in, makes a key, sends one run and many, and asks about them. README.md says which variables
# are to be set.
set -euo pipefail

emx() { # PATH [OPTIONS OF CURL…]
    curl --silent --show-error --fail-with-body --cacert "$EMX_CA_FILE" "$EMX_URL$1" "${@:2}"
    echo
}
member() { # NAME, of a JSON object that is read
    sed -n "s/.*\"$1\":\"\([^\"]*\)\".*/\1/p"
}
json='Content-Type: application/json'

# Secrets go by standard input or a file, so that no list of processes shows them.
token=$(emx /api/v1/auth/login -H "$json" -d @- <<END | member access_token
{"tenant": "$EMX_TENANT", "email": "$EMX_EMAIL", "password": "$EMX_PASSWORD"}
END
)
key=$(emx /api/v1/api-keys -H "$json" -H @<(echo "Authorization: Bearer $token") \
    -d '{"name": "send.sh", "role": "member"}' | member key)
as_key() {
    emx "$@" -H @<(echo "Authorization: Bearer $key")
}

# One run.
as_key /api/v1/executions -H "$json" -d '{"command": "hello", "duration_ms": 12, "exit_code": 0}'

# Many, a line each.
printf '{"command": "make %s", "duration_ms": %d}\n' build 41000 test 193200 lint 2100 | gzip |
    as_key /api/v1/executions/batch -H 'Content-Type: application/x-ndjson' \
        -H 'Content-Encoding: gzip' --data-binary @-

# What there is now.
as_key '/api/v1/query?group_by=command&metrics=count&metrics=max(duration_ms)&order_by=count:desc'
