#!/bin/sh
echo "Content-Type: text/plain"
echo
[ "$HTTP_X_TOKEN" = "$(cat /run/secrets/token)" ] || { echo refused; exit; }
echo "$QUERY_STRING" >> /work/parts
echo taken
