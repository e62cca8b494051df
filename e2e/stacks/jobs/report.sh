#!/bin/sh
busybox sort -u /work/parts
