#!/bin/sh
[ "$TOKEN" = "$(cat /run/secrets/token)" ] || { echo refused; exit; }
echo "$QUERY" >> /work/parts
echo taken
