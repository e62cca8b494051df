#!/bin/sh
echo "Content-Type: text/plain"
echo
echo "$GREETING: $(wget -qO- http://app:8080/cgi-bin/visit)"
