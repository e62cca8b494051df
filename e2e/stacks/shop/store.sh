#!/bin/sh
echo "Content-Type: text/plain"
echo
echo >> /data/visits
busybox wc -l < /data/visits
