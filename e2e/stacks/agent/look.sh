#!/bin/sh
echo "node=$NODE"
echo "host=$(hostname)"
grep MemTotal /host/proc/meminfo
touch /scratch/here && echo "scratch=writable"
touch /host/etc/here 2>/dev/null || echo "etc=read-only"
touch /here 2>/dev/null || echo "root=read-only"
