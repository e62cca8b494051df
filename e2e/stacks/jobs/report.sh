#!/bin/sh
echo "Content-Type: text/plain"
echo
busybox sort -u /work/parts
