#!/bin/sh
# One HTTP request on standard input: the script of its path says the answer.
cr=$(printf '\r')
read -r _ path _
while read -r name value; do
  [ "$name" = "$cr" ] && break
  [ "$name" = X-Token: ] && TOKEN=${value%"$cr"}
done
export TOKEN QUERY="${path#*\?}"
script=/www${path%%\?*}
[ -f "$script" ] || { printf 'HTTP/1.0 404 Not Found\r\n\r\n'; exit; }
printf 'HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\n'
sh "$script"
