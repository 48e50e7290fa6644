#!/bin/bash
# Real programs, timed once each from inside, as run.py starts them natively and in every sandbox: what a
# sandbox does with cold caches is part of it. Prints "name ns ns".    programs.sh TREE [FILTER]
set -u
tree=$1 filter=${2:-}
work=$(mktemp -d /var/tmp/runsc-programs.XXXXXX)
trap 'rm -rf "$work"' EXIT
row() {
  local name=$1 begin end
  shift
  [[ $name == *"$filter"* ]] || return 0
  begin=${EPOCHREALTIME/./}
  "$@" >"$work/out" 2>&1 || { echo "# $name: exit $?: $(tail -n 1 "$work/out")" >&2; return 0; }
  end=${EPOCHREALTIME/./}
  printf '%s %d000 %d000\n' "$name" $((end - begin)) $((end - begin))
}
untar() { tar -C "$work" -xf "$work/tree.tar"; }
sqlite() {
  printf '%s\n' 'create table t(a integer primary key, b text);' 'begin;' \
    'with recursive n(x) as (select 1 union all select x+1 from n where x<100000) insert into t select x, hex(x) from n;' \
    'commit;' 'create index i on t(b);' 'select count(*), sum(a) from t where b > 5;' | sqlite3 "$work/db"
}
build() {
  mkdir "$work/make" && cd "$work/make" || return 1
  local i
  for i in {1..16}; do printf '#include <stdio.h>\n#include <stdlib.h>\nint f%d(int x) { printf("%%d", x); return x * %d; }\n' "$i" "$i" >"f$i.c"; done
  printf 'int main(void) { return 0; }\n' >main.c
  printf 'prog: $(patsubst %%.c,%%.o,$(wildcard *.c))\n\tgcc -o $@ $^\n' >Makefile
  make -j2 CFLAGS=-O2
}
shells() { for _ in {1..200}; do /bin/true; done; }
python() { for _ in {1..10}; do /usr/bin/python3 -c 'import json, re, subprocess'; done; }

row git-status git -C "$tree" -c safe.directory='*' status --short
row git-status-again git -C "$tree" -c safe.directory='*' status --short
row tar-20000 tar -C "$tree" -cf "$work/tree.tar" .
row untar-20000 untar
row find-usr find /usr -newer /etc/passwd -name '*.none'
row make-j2 build
row bash-true-200 shells
row python3-start-10 python
row sqlite3-100k sqlite
