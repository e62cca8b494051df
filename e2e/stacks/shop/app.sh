#!/bin/sh
echo "Content-Type: text/plain"
echo
echo "visit $(wget -qO- http://database:8080/cgi-bin/count) by $TASK"
