#!/bin/sh
echo "$GREETING: $(wget -qO- http://app:8080/visit)"
