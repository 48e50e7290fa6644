#!/usr/bin/env python3
"""Runs real programs on the host and in the sandbox and compares exit code and output.

    test/apps/run.py [--runsc build/bin/runsc] [--platform ptrace] [--rootfs DIR] [NAME...]

Each case is a shell script that works in a fresh directory below /tmp. What differs by nature
(process numbers, times) a case keeps out of its output. A case whose program is not installed is
SKIPPED. Ends with a table; exit code 1 if any case differs.
"""
import argparse
import os
import shutil
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))

# name: (programs needed, script)
CASES = {
    "bash": (["bash"], r"""
        for i in $(seq 20); do echo $((i * i)); done | tail -3
        f() { local x=$1; [ $x -le 1 ] && echo 1 || echo $((x * $(f $((x - 1))))); }; f 10
        a=(x y z); echo ${#a[@]} ${a[-1]}; echo {1..5} | tr ' ' '\n' | sort -rn | paste -sd,
        cat <<< here; diff <(echo a) <(echo b); trap 'echo trapped' USR1; kill -USR1 $$
        (exit 3); echo $?; sleep 0.1 & wait $!; echo waited $?; set -m; sleep 5 & kill %1; wait %1; echo $?
    """),
    "coreutils": (["ls"], r"""
        mkdir -p a/b/c; echo hello > a/f; cp -r a d; ln -s f a/l; ln a/f a/h; ls -R a d; readlink a/l
        stat -c '%s %h %F %a' a/f a/l; stat -c '%h %F %a' a; chmod 640 a/f; stat -c %A a/f; touch -d '2020-01-02 03:04:05 UTC' a/f; date -u -r a/f
        seq 100000 | sort -R | sort -n | md5sum; head -c 1000000 /dev/zero | sha256sum; du -a --apparent-size a | wc -l
        mv a/f a/g; rm -r d; ls a; wc -c a/g; dd if=/dev/zero of=z bs=64k count=10 2>/dev/null; stat -c %s z; truncate -s 5 z; od -c z
        mkfifo p; (echo through > p &) ; cat p; tee t < a/g; comm -12 a/g t; id -u; test -r a/g && echo readable; env -i A=1 env; nproc >/dev/null; expr 6 \* 7
        timeout 0.2 sleep 5; echo $?; yes | head -3; df . > /dev/null && echo df; basename /x/y.c .c; realpath a/../a; mktemp -d -p . X.XXXXXX > /dev/null && echo made
    """),
    "findutils": (["find", "xargs"], r"""
        mkdir -p a/b; touch a/1 a/b/2 'a/b/3 4'; find a -type f | sort; find a -name '*2' -exec echo found {} \;
        find a -type f -print0 | xargs -0 -n1 echo | sort; find a -newer a/1 | wc -l >/dev/null; find /usr/share/doc -maxdepth 1 | wc -l; find a -empty -delete; ls a 2>&1
    """),
    "grep-sed-awk": (["grep", "sed", "awk"], r"""
        seq 1 1000 > n; grep -c 7 n; sed -n '/99/p' n; sed -i 's/^1$/one/' n; head -1 n; awk '{s+=$1} END {print s}' n; grep -rl one . ; grep -E '^(12|34)$' n
    """),
    "tar-compress": (["tar", "gzip", "xz"], r"""
        mkdir d; for i in 1 2 3; do seq $((i * 1000)) > d/$i; done; ln -s 1 d/l
        tar cf t.tar d; tar tf t.tar | sort; gzip -k t.tar; xz -k t.tar; gzip -t t.tar.gz && xz -t t.tar.xz && echo ok
        mkdir e; tar xzf t.tar.gz -C e; diff -r d e/d && echo same; rm -r e/d; tar xJf t.tar.xz -C e; diff -r d e/d && echo same
    """),
    "zstd": (["zstd"], "seq 100000 > n; zstd -q n -o n.zst; zstd -q -d n.zst -o m; cmp n m && echo same"),
    "strace": (["strace"], r"""
        strace -o log -e trace=execve,exit_group true; sed 's/ 0x.*vars/ vars/; s/[0-9]* vars/vars/' log
        { strace -f -o log sh -c 'ls / > /dev/null; (exit 3); echo $?; kill -USR1 $$'; echo $?; } 2> /dev/null
        sed 's/^[0-9]* *//' log | grep -E '^execve|exited with|killed by' | sed 's/, 0x.*//; s/ <unf.*//' | sort
        strace -c -o log ls / > /dev/null; grep -cE 'execve|write|openat' log
        strace -f --seccomp-bpf -o log -e trace=getppid sh -c 'sh -c true'; grep -c exited log; cut -d' ' -f2- log | grep -c getppid
        strace -o log -e trace=chdir -e inject=chdir:error=EDOM sh -c 'cd / 2>&1'; grep -o 'EDOM.*' log | head -1
        sh -c 'while ! [ -e stop ]; do sleep 0.05; done; exit 5' & pid=$!
        strace -f -o log -p $pid 2>/dev/null & tracer=$!
        until grep -q 'exited with 0' log 2>/dev/null; do sleep 0.05; done; grep TracerPid /proc/$pid/status | grep -c $tracer
        touch stop; wait $pid; echo $?; wait $tracer; grep -c 'exited with 5' log
    """),
    "gdb": (["gdb", "gcc"], r"""
        cat > t.c <<'E'
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>
int calls; double half = 0.5;
int f(int n) { calls++; return n < 2 ? 1 : n * f(n - 1); }
void *thread(void *a) { f(3); return a; }
volatile int go;
int main(int argc, char **argv) {
  while (argc > 1 && !go) usleep(1000);
  int r = f(5);
  pthread_t t; pthread_create(&t, 0, thread, 0); pthread_join(t, 0);
  printf("%d %d\n", r, calls);
  return 7;
}
E
        gcc -g -O0 -o t t.c -lpthread
        g() { gdb -q -nx -batch -iex 'set debuginfod enabled off' -ex 'set width 0' "$@" 2>&1 | grep -vE 'LWP|New process|libthread_db|Missing sep|^$|Download'; }
        g -ex 'break f if n == 3' -ex 'run > out' -ex bt -ex 'print n' -ex 'print half * 3' -ex finish -ex next -ex 'print $rip != 0' -ex 'set var calls = 100' -ex delete -ex 'break thread' -ex continue -ex stepi -ex 'print calls' -ex 'call f(4)' -ex disable -ex continue ./t | sed 's/0x[0-9a-f]*/ADDR/g; s/process [0-9]*/process N/'; cat out
        ./t wait > out & pid=$!
        g -p $pid -ex 'break f' -ex 'set var go = 1' -ex continue -ex 'print n' -ex 'x/i $pc' -ex detach | grep -E '^(Breakpoint|.[12] =|=>)' | sed "s/$pid/PID/; s/0x[0-9a-f]*/ADDR/g"
        wait $pid; echo $?
    """),
    "git": (["git"], r"""
        export HOME=$PWD GIT_AUTHOR_DATE='2020-01-01T00:00:00Z' GIT_COMMITTER_DATE='2020-01-01T00:00:00Z'
        git config --global user.email a@b; git config --global user.name n; git config --global init.defaultBranch main
        git init -q r; cd r; seq 100 > f; mkdir s; echo x > s/y; git add .; git commit -qm one; echo more >> f; git commit -qam two
        git log --format='%h %s'; git status --short; git diff HEAD~1 --stat; cd ..; git clone -q r c; cd c; git log --oneline | wc -l; git checkout -qb b; git merge -q main; git gc -q; git fsck
    """),
    "python3": (["python3"], r"""
        cat > t.py <<'E'
import threading, subprocess, multiprocessing, asyncio, sqlite3, os, tempfile, socket, select, signal, json
def work(n, out): out.append(sum(range(n)))
out = []; ts = [threading.Thread(target=work, args=(1000 * i, out)) for i in range(8)]
[t.start() for t in ts]; [t.join() for t in ts]; print(sorted(out))
print(subprocess.run(['sh', '-c', 'echo child; exit 4'], capture_output=True, text=True))
def square(x): return x * x
if __name__ == '__main__':
    with multiprocessing.Pool(3) as p: print(p.map(square, range(10)))
    async def main():
        r = await asyncio.gather(*(asyncio.sleep(0.01, i) for i in range(5)))
        proc = await asyncio.create_subprocess_exec('echo', 'async', stdout=asyncio.subprocess.PIPE)
        print(r, (await proc.communicate())[0])
    asyncio.run(main())
    db = sqlite3.connect('x.db'); db.execute('create table t(a, b)'); db.executemany('insert into t values(?, ?)', [(i, str(i)) for i in range(1000)]); db.commit()
    print(db.execute('select sum(a), count(*) from t').fetchone()); db.close(); print(os.path.getsize('x.db'))
    a, b = socket.socketpair(); a.send(b'hi'); print(select.select([b], [], [], 1)[0] == [b], b.recv(9))
    signal.signal(signal.SIGALRM, lambda *x: print('alarm')); signal.setitimer(signal.ITIMER_REAL, 0.01); signal.pause()
    pid = os.fork()
    if pid == 0: os._exit(7)
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
    with tempfile.TemporaryDirectory() as d: open(d + '/f', 'w').write('x'); print(os.listdir(d))
E
        python3 t.py
    """),
    "perl": (["perl"], r"""
        perl -e 'my %h; $h{$_ % 7}++ for 1..1000; print join(",", map {"$_=$h{$_}"} sort keys %h), "\n"; open(my $p, "-|", "echo pipe"); print <$p>; print `echo backtick`; if (my $k = fork) { waitpid $k, 0; print $? >> 8, "\n" } else { exit 5 }'
    """),
    "gcc": (["gcc", "g++"], r"""
        cat > h.c <<'E'
#include <stdio.h>
int main(void) { puts("hello from C"); return 0; }
E
        cat > h.cc <<'E'
#include <iostream>
#include <thread>
#include <vector>
#include <numeric>
int main() { std::vector<int> v(1000); std::iota(v.begin(), v.end(), 0); int s = 0; std::thread t([&] { s = std::accumulate(v.begin(), v.end(), 0); }); t.join(); std::cout << s << std::endl; }
E
        gcc -O2 -Wall h.c -o h && ./h; g++ -O1 h.cc -o hh -pthread && ./hh; gcc nothere.c 2>&1 | head -1; echo 'int x = ;' > bad.c; gcc -c bad.c > /dev/null 2>&1; echo $?
    """),
    "make": (["make", "gcc"], r"""
        for i in 1 2 3 4 5 6; do echo "int f$i(void) { return $i; }" > f$i.c; done; echo 'int f1(void), f6(void); int main(void) { return f1() + f6(); }' > main.c
        printf 'O = f1.o f2.o f3.o f4.o f5.o f6.o main.o\nprog: $(O)\n\t@cc -o $@ $(O)\n%%.o: %%.c\n\t@cc -c $< -o $@\n' > Makefile
        make -s -j2 && ./prog; echo $?; touch f3.c; make -s -j2; make
    """),
    "sqlite3": (["sqlite3"], r"""
        printf 'create table t(a integer primary key, b text);\nwith recursive c(x) as (select 1 union all select x + 1 from c where x < 5000) insert into t select x, hex(x) from c;\nselect count(*), sum(a), max(b) from t;\npragma journal_mode=wal;\nupdate t set b = 1 where a %% 2;\nselect count(*) from t where b = 1;\n' | sqlite3 x.db
    """),
    "vim": (["vim", "script"], r"""
        printf 'one\ntwo\n' > f; TERM=xterm timeout 20 script -qec "vim -u NONE -N -c '%s/two/three/' -c 'normal ofour' -c 'wq' f" /dev/null < /dev/null > /dev/null; cat f
    """),
    "tmux": (["tmux"], r"""
        export TERM=xterm; tmux -L t -f /dev/null new-session -d -x 80 -y 24 sh; tmux -L t send-keys 'echo in-$((40+2))-tmux > o; tmux -L t wait-for -S done' Enter
        timeout 10 tmux -L t wait-for done; cat o; tmux -L t kill-server; echo $?
    """),
    "node": (["node"], r"""
        node -e 'const {execFileSync} = require("child_process"); const fs = require("fs"); fs.writeFileSync("f", "x".repeat(1000)); console.log(fs.statSync("f").size, execFileSync("echo", ["sub"]).toString()); const {Worker} = require("worker_threads"); new Worker("require(\"worker_threads\").parentPort.postMessage(6*7)", {eval: true}).on("message", m => console.log("worker", m)); setTimeout(() => console.log("timer"), 20)' | sort
    """),
    "java": (["java"], r"""
        java -version 2>&1 | head -1
        cat > T.java <<'E'
import java.util.concurrent.*;
public class T { public static void main(String[] a) throws Exception { var e = Executors.newFixedThreadPool(4); var l = new java.util.ArrayList<Future<Integer>>(); for (int i = 0; i < 20; i++) { final int n = i; l.add(e.submit(() -> n * n)); } int s = 0; for (var f : l) s += f.get(); System.out.println(s); e.shutdown(); } }
E
        java -Xmx128m T.java
    """),
    "go": (["go"], r"""
        export HOME=$PWD GOCACHE=$PWD/c GO111MODULE=off; printf 'package main\nimport ("fmt"; "sync")\nfunc main() { var w sync.WaitGroup; c := make(chan int, 100); for i := 0; i < 100; i++ { w.Add(1); go func(n int) { defer w.Done(); c <- n * n }(i) }; w.Wait(); close(c); s := 0; for v := range c { s += v }; fmt.Println(s) }\n' > m.go; go run m.go
    """),
    "redis": (["redis-server", "redis-benchmark"], r"""
        redis-server --port 0 --unixsocket $PWD/s --save '' --daemonize no --dir . > log 2>&1 & for i in $(seq 100); do [ -S s ] && break; sleep 0.05; done
        redis-cli -s s set k v; redis-cli -s s get k; redis-benchmark -s s -q -n 2000 -t set,get 2>/dev/null | tr '\r' '\n' | grep -c 'requests per second'; redis-cli -s s shutdown nosave; wait; echo $?
    """),
    "nginx": (["nginx", "curl"], r"""
        umask 022; chmod 755 .; mkdir w; echo hello > w/index.html; head -c 5000000 /dev/zero | tr '\0' x > w/big; p=48917
        cat > c <<E
worker_processes 2; pid $PWD/pid; error_log $PWD/e.log notice; events { worker_connections 64; }
http { access_log off; sendfile on; tcp_nopush on; client_body_temp_path $PWD/cb; proxy_temp_path $PWD/pt; fastcgi_temp_path $PWD/ft; uwsgi_temp_path $PWD/ut; scgi_temp_path $PWD/st;
  server { listen 127.0.0.1:$p; listen unix:$PWD/s; root $PWD/w; location /p/ { proxy_pass http://127.0.0.1:$p/; } } }
E
        nginx -c $PWD/c; get() { curl -sS -m 20 "$@"; }; get http://127.0.0.1:$p/; for i in 1 2 3; do get http://127.0.0.1:$p/p/big | md5sum; done; get --unix-socket s http://x/p/big | md5sum; get -r 9-13 http://127.0.0.1:$p/big; echo
        for i in $(seq 20); do echo "url=http://127.0.0.1:$p/p/"; done > urls; get -K urls | sort | uniq -c
        nginx -c $PWD/c -s reload 2> /dev/null; sleep 0.3; get http://127.0.0.1:$p/; nginx -c $PWD/c -s quit 2> /dev/null; for i in $(seq 50); do [ -e pid ] || break; sleep 0.1; done; ls pid 2>&1; grep -cE 'alert|crit|emerg' e.log
    """),
    "sshd": (["sshd", "ssh", "scp", "sftp", "unshare"], r"""
        [ $(id -u) = 0 ] || exit 0
        cat > t.sh <<'E'
mount -t tmpfs none /run; mkdir /run/sshd; p=48918
for k in hk id; do ssh-keygen -q -t ed25519 -N '' -f $k; done; cp id.pub ak
$(command -v sshd) -p $p -h $PWD/hk -o ListenAddress=127.0.0.1 -o PidFile=$PWD/pid -o AuthorizedKeysFile=$PWD/ak -o StrictModes=no -o UsePAM=yes -o PermitRootLogin=yes -o Subsystem='sftp internal-sftp' -f /dev/null
o="-F /dev/null -i id -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR"
ssh -p $p $o 127.0.0.1 'id -un; exit 7'; echo $?; seq 100000 | ssh -p $p $o 127.0.0.1 md5sum; ssh -tt -p $p $o 127.0.0.1 'tty -s && echo tty' < /dev/null
head -c 2000000 /dev/urandom > f; scp -q -P $p $o f 127.0.0.1:$PWD/g; cmp f g && echo scp; echo "get $PWD/f h" | sftp -q -b - -P $p $o 127.0.0.1 > /dev/null; cmp f h && echo sftp
kill $(cat pid)
E
        unshare -m --propagation private bash t.sh
    """),
    "postgres": (["psql", "pgbench", "setpriv"], r"""
        [ $(id -u) = 0 ] || exit 0
        B=$(ls -d /usr/lib/postgresql/*/bin | tail -1); chmod 777 .; cat > t.sh <<E
export PGHOST=$PWD PGDATABASE=postgres; $B/initdb -D d --no-sync > log 2>&1; echo \$?
$B/pg_ctl -D d -o "-k $PWD -c listen_addresses=" -l log -w start > /dev/null; echo \$?
pgbench -i -q -s 1 2> /dev/null; echo \$?; pgbench -c 4 -j 2 -t 100 2>&1 | grep -E 'processed|failed'; psql -At -c 'select count(*) from pgbench_history' -c 'show shared_memory_type'
$B/pg_ctl -D d -m immediate stop > /dev/null; $B/pg_ctl -D d -o "-k $PWD -c listen_addresses=" -l log2 -w start > /dev/null; psql -At -c 'select count(*) from pgbench_history'; $B/pg_ctl -D d stop > /dev/null; echo \$?; grep -cE 'PANIC|FATAL' log
E
        setpriv --reuid=postgres --regid=postgres --clear-groups bash t.sh
    """),
    "php": (["php"], r"""
        php -r 'for ($i=0;$i<3;$i++){ if (!($p=pcntl_fork())) exit($i); pcntl_waitpid($p,$s); echo pcntl_wexitstatus($s);} echo "\n", strlen(shell_exec("seq 1000")), "\n"; $p=proc_open("cat",[["pipe","r"],["pipe","w"]],$q); fwrite($q[0],"hey"); fclose($q[0]); echo stream_get_contents($q[1]), proc_close($p), "\n";'
    """),
    "ruby": (["ruby"], r"""
        ruby -e 'q=Queue.new; 4.times.map{|i| Thread.new{100.times{q<<i}}}.each(&:join); puts q.size, `echo sub`; p=fork{exit 3}; Process.wait p; puts $?.exitstatus; require "socket"; s=TCPServer.new("127.0.0.1",0); Thread.new{c=s.accept; c.puts "hi"; c.close}; puts TCPSocket.new("127.0.0.1",s.addr[1]).gets; Signal.trap("USR1"){puts "usr1"}; Process.kill("USR1",$$); sleep 0.1'
    """),
    "erlang": (["erl"], r"""
        erl -noshell -eval 'P = [spawn_monitor(fun() -> lists:sum(lists:seq(1,1000)) end) || _ <- lists:seq(1,1000)], [receive {_,R,_,_,_} -> ok end || {_,R} <- P], {ok,L}=gen_tcp:listen(0,[{active,false},binary,{ip,{127,0,0,1}}]), {ok,N}=inet:port(L), spawn(fun() -> {ok,S}=gen_tcp:accept(L), gen_tcp:send(S,<<"erl">>), gen_tcp:close(S) end), {ok,C}=gen_tcp:connect({127,0,0,1},N,[{active,false},binary]), io:format("~p ~p ~s",[length(P), gen_tcp:recv(C,0), os:cmd("echo os")]), halt(3).' < /dev/null; echo $?
    """),
    "sbcl": (["sbcl"], r"""
        sbcl --noinform --non-interactive --eval '(progn (defun fib (n) (if (< n 2) n (+ (fib (- n 1)) (fib (- n 2))))) (print (fib 25)) (print (length (loop for i below 300000 collect (cons i i)))) (gc :full t) (print (sb-ext:process-exit-code (sb-ext:run-program "/bin/sh" (list "-c" "exit 4")))) (print (handler-case (error "x") (error () :caught))) (print (sb-thread:join-thread (sb-thread:make-thread (lambda () 42)))) (terpri))'
    """),
    "valgrind": (["valgrind", "gcc"], r"""
        printf '#include <stdlib.h>\n#include <pthread.h>\nint g; void *f(void *a) { g++; return 0; }\nint main() { char *p = malloc(10); p[10] = 1; pthread_t t[2]; for (int i = 0; i < 2; i++) pthread_create(t + i, 0, f, 0); for (int i = 0; i < 2; i++) pthread_join(t[i], 0); return 0; }\n' > t.c; gcc -g t.c -o t -lpthread
        valgrind -q --leak-check=full ./t 2>&1 | sed 's/==[0-9]*==/==/; s/0x[0-9A-Fa-f]*/ADDR/g'; valgrind -q --tool=helgrind ./t 2>&1 | grep -c 'data race'; gcc -g -fsanitize=address t.c -o a -lpthread; ./a 2>&1 | grep -cE 'ERROR|SUMMARY'
    """),
    "cmake": (["cmake", "ninja", "gcc"], r"""
        printf 'cmake_minimum_required(VERSION 3.10)\nproject(x C)\nenable_testing()\nadd_library(l l.c)\nadd_executable(x x.c)\ntarget_link_libraries(x l)\nadd_test(NAME t COMMAND x)\n' > CMakeLists.txt; echo 'int f(void) { return 3; }' > l.c; echo 'int f(void); int main(void) { return f() - 3; }' > x.c
        cmake -S . -B b -G Ninja > /dev/null && ninja -C b | tail -1; (cd b && ctest 2>&1 | grep 'tests passed'); cmake -S . -B c > /dev/null && make -s -C c -j4; ninja -C b | tail -1
    """),
    "wal": (["python3"], r"""
        cat > t.py <<'E'
import multiprocessing, sqlite3
from multiprocessing import shared_memory
def write(n):
    db = sqlite3.connect('w.db', timeout=60)
    for i in range(50):
        with db: db.execute('insert into t values(?, ?)', (n, i))
if __name__ == '__main__':
    db = sqlite3.connect('w.db'); print(db.execute('pragma journal_mode=wal').fetchone()); db.execute('create table t(a, b)'); db.commit()
    ps = [multiprocessing.Process(target=write, args=(n,)) for n in range(4)]; [p.start() for p in ps]; [p.join() for p in ps]
    print(db.execute('select count(*), sum(b) from t').fetchone(), db.execute('pragma integrity_check').fetchone(), db.execute('pragma wal_checkpoint(truncate)').fetchone())
    s = shared_memory.SharedMemory(create=True, size=1000); s.buf[0] = 7; t = shared_memory.SharedMemory(name=s.name); print(t.buf[0]); t.close(); s.close(); s.unlink()
E
        python3 t.py
    """),
    "chromium": (["chromium"], r"""
        export HOME=$PWD; timeout 60 chromium --headless --no-sandbox --disable-gpu --dump-dom 'data:text/html,<p id=x>a</p><script>document.getElementById("x").textContent="js"+(6*7)</script>' 2> /dev/null
    """),
    "dpkg": (["dpkg-deb", "dpkg"], r"""
        [ $(id -u) = 0 ] || exit 0
        mkdir -p p/DEBIAN p/usr/share/runsc-test; printf 'Package: runsc-test-package\nVersion: 1\nArchitecture: all\nMaintainer: n <a@b>\nDescription: test\n' > p/DEBIAN/control; echo content > p/usr/share/runsc-test/f
        dpkg-deb --root-owner-group -b p x.deb > /dev/null; mkdir -p root/var/lib/dpkg/{updates,info,triggers}; touch root/var/lib/dpkg/{status,available}
        dpkg --root=$PWD/root --force-script-chrootless -i x.deb > /dev/null 2>&1; echo $?; cat root/usr/share/runsc-test/f; dpkg --root=$PWD/root -s runsc-test-package | head -2; dpkg --root=$PWD/root -r runsc-test-package > /dev/null 2>&1; ls root/usr/share 2>&1
    """),
    "procps": (["ps"], r"""
        ps -o comm= -p $$; ps -e -o comm= | grep -c bash > /dev/null && echo ps; cat /proc/self/comm; grep -c . /proc/self/maps > /dev/null && echo maps; ls -l /proc/self/exe | sed 's/.*-> //'; tr '\0' ' ' < /proc/self/cmdline; free > /dev/null && echo free; uptime > /dev/null && echo uptime
    """),
    "pipes": (["dd"], "dd if=/dev/zero bs=1M count=64 2>/dev/null | cat | sha1sum"),
}


def run(command, script, timeout):
    try:
        result = subprocess.run(command + ["bash", "-c", script], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT, timeout=timeout)
        return result.returncode, result.stdout.decode(errors="replace")
    except subprocess.TimeoutExpired as error:
        return "timeout", (error.stdout or b"").decode(errors="replace")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runsc", default=os.path.join(TOP, "build/bin/runsc"))
    parser.add_argument("--platform", default="systrap")
    parser.add_argument("--rootfs", help="a root filesystem to run in, on both sides (host: chroot)")
    parser.add_argument("--timeout", type=float, default=120)
    parser.add_argument("names", nargs="*")
    options = parser.parse_args()
    inside = [options.runsc, "do", f"--platform={options.platform}"]
    outside = []
    if options.rootfs:
        inside += [f"--rootfs={options.rootfs}"]
        outside = ["chroot", options.rootfs]
    inside.append("--")
    failed = []
    print(f"{'program':<14}{'result':<10}{'host s':>8}{'inside s':>10}{'ratio':>7}")
    for name, (programs, script) in CASES.items():
        if options.names and name not in options.names:
            continue
        path = ":".join(f"{options.rootfs}{p}" for p in ("/usr/local/bin", "/usr/bin", "/bin", "/usr/sbin", "/sbin")) \
            if options.rootfs else None
        missing = [p for p in programs if shutil.which(p, path=path) is None]
        if missing:
            print(f"{name:<14}SKIPPED: {', '.join(missing)} not installed", flush=True)
            continue
        script = 'export LC_ALL=C; d=$(mktemp -d /tmp/apps.XXXXXX); cd $d || exit 99\n' + script + \
                 '\nstatus=$?; cd /; rm -rf $d; exit $status'
        begin = time.monotonic()
        want = run(outside, script, options.timeout)
        host_seconds = time.monotonic() - begin
        begin = time.monotonic()
        got = run(inside, script, options.timeout)
        seconds = time.monotonic() - begin
        # The work directory's name is the only thing that differs by nature.
        import re
        clean = lambda text: re.sub(r"/tmp/apps\.\w+", "/tmp/apps", text)
        same = want[0] == got[0] and clean(want[1]) == clean(got[1])
        print(f"{name:<14}{'same' if same else 'DIFFERS':<10}{host_seconds:>8.2f}{seconds:>10.2f}{seconds / host_seconds:>7.1f}",
              flush=True)
        if not same:
            failed.append(name)
            import difflib
            print(f"  exit code: host {want[0]}, inside {got[0]}")
            for line in list(difflib.unified_diff(clean(want[1]).splitlines(), clean(got[1]).splitlines(), "host", "inside",
                                                  lineterm="", n=1))[:30]:
                print("  " + line[:200])
    print(f"{len(failed)} differ" + (": " + " ".join(failed) if failed else ""))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
