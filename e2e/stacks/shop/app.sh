#!/bin/sh
echo "visit $(wget -qO- http://database:8080/count) by $TASK"
