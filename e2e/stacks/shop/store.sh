#!/bin/sh
echo >> /data/visits
busybox wc -l < /data/visits
