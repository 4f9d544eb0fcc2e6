"""The world of one scenario: three network namespaces, real servers, and the program under test.

 ┌─ client ────────────────┐   ┌─ server ────────────────────┐   ┌─ target ─────────────────────┐
 │ tunproxy, applications  │   │ sshd :22                    │   │ traffic.py serve             │
 │                         │   │ danted :1080 (on demand)    │   │ 203.0.113.1, 2001:db8:77::1  │
 │  c0 10.77.1.2/24  ──────┼───┼── s0 10.77.1.1/24           │   │                              │
 │     fd77:1::2/64        │   │      fd77:1::1/64           │   │                              │
 │  default via s0         │   │ dnsmasq :53                 │   │                              │
 │                         │   │      10.77.2.1/24 s1 ───────┼───┼─ t0 10.77.2.2/24             │
 │  tcpdump on c0: what is │   │      fd77:2::1/64           │   │     fd77:2::2/64             │
 │  not the tunnel's       │   │ no forwarding               │   │                              │
 └─────────────────────────┘   └─────────────────────────────┘   └──────────────────────────────┘

The server forwards no packets, so a target is reached through the tunnel or not at all.
203.0.113.1      answers                 203.0.113.66     drops everything
203.0.113.200    unreachable (host)      192.0.2.1        unreachable (network); both by ICMP of the target
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

from basics import LIMIT, Failure, Program, check, children_of, other_processes, sh, until

HERE = os.path.dirname(os.path.abspath(__file__))
TRAFFIC = os.path.join(HERE, "traffic.py")
UDP_TRAFFIC = os.path.join(HERE, "udp_traffic.py")
CLIENT, SERVER, TARGET = "client", "server", "target"
ACCOUNT_UID = 4321
GOOD, GOOD6 = "203.0.113.1", "2001:db8:77::1"
SILENT, NO_HOST, NO_NET = "203.0.113.66", "203.0.113.200", "192.0.2.1"
RESOLV_CONF = "# the machine's own\nnameserver 10.77.1.53\n"
FORMER = {}  # of the machine: sanitized, keep, directory


def prepare_machine(sanitized, keep):
    """Private /run, /etc, /dev/net and home, once. REQUIRES: a mount namespace of our own."""
    FORMER.update(sanitized=sanitized, keep=keep)
    program = os.path.abspath(os.environ.get("TUNPROXY", "build/release/tunproxy"))
    if not os.access(program, os.X_OK):
        sys.exit(f"run.sh: no program at {program}: build it, or name it in TUNPROXY")
    FORMER["program"] = program
    sh("""
    mount -t tmpfs -o mode=755 none /mnt
    cp -a /etc /mnt/etc; cp -a /etc /mnt/server-etc
    mount --bind /mnt/etc /etc
    mount -t tmpfs -o mode=755 none /run; mkdir /run/sshd /run/lock
    mount -t tmpfs -o mode=755 none /dev/net; mknod -m 0666 /dev/net/tun c 10 200
    rm -f /etc/resolv.conf /mnt/server-etc/resolv.conf
    echo nameserver 10.77.2.1 > /mnt/server-etc/resolv.conf
    mkdir -m 700 /mnt/home
    mount -t tmpfs none /var/lib/snmp
    """)
    os.environ["HOME"] = "/mnt/home"  # browsers and others write there


def last_directory():
    return FORMER.get("directory", "")


def scale(full, small):
    """A volume: `full` in the usual run, `small` under sanitizers."""
    return small if FORMER["sanitized"] else full


def inside(namespace, command):
    return ["nsenter", f"--net=/run/netns/{namespace}", *command]


class World:
    def __init__(self, name, sshd=(), ours=None, authorized=True):
        """`sshd`: more lines of its configuration. `ours`: a tcpdump filter of what may pass beside the usual.
        `authorized`: the user's key is in authorized_keys."""
        self.name = name
        self.sshd_lines = list(sshd)
        self.ours = ours
        self.authorized = authorized
        self.processes = []
        self.programs = []
        self.environment = {}  # of the program, beside the usual
        self.sshd = None
        self.leak_allowed = False

    # -- building and tearing down

    def __enter__(self):
        self.directory = tempfile.mkdtemp(prefix=f"tunproxy-{self.name}-", dir=None if FORMER["keep"] else "/mnt")
        os.chmod(self.directory, 0o755)
        FORMER["directory"] = self.directory
        if os.path.lexists("/etc/resolv.conf"):
            os.unlink("/etc/resolv.conf")
        with open("/etc/resolv.conf", "w", encoding="ascii") as file:
            file.write(RESOLV_CONF)
        try:
            self._wire()
            self._keys()
            self._serve()
        except BaseException:
            self._tear_down()
            raise
        self.before = self.machine_state()
        return self

    def __exit__(self, kind, value, trace):
        problems = []
        try:
            for program in self.programs:
                if program.process.poll() is None:
                    problems += [] if program.stop(signal.SIGTERM) is not None else ["?"]
                problems += self._sanitizer_report(program)
            if kind is None:
                problems += self._leaks()
                if self.machine_state() != self.before:
                    problems.append(f"the machine is not as before:\n{self.before}\nnow\n{self.machine_state()}")
        except Failure as failure:
            problems.append(str(failure))
        finally:
            logs = self._logs() if kind is not None or problems else ""
            self._tear_down()
        problems += self._leftovers()
        if kind is None and problems:
            raise Failure("\n".join(problems) + logs)
        if isinstance(value, Failure):
            raise Failure("\n".join([str(value), *problems]) + logs) from None
        return False

    def path(self, name):
        return os.path.join(self.directory, name)

    def _wire(self):
        sh(f"""
        for ns in {CLIENT} {SERVER} {TARGET}; do ip netns add $ns; ip -n $ns link set lo up; done
        ip link add c0 netns {CLIENT} type veth peer name s0 netns {SERVER}
        ip link add s1 netns {SERVER} type veth peer name t0 netns {TARGET}
        up() {{ ip -n $1 addr add $3 dev $2; ip -n $1 -6 addr add $4 dev $2 nodad; ip -n $1 link set $2 up; }}
        for end in "{CLIENT} c0" "{SERVER} s0" "{SERVER} s1" "{TARGET} t0"; do
          set -- $end; ip -n $1 link set $2 addrgenmode none; done
        up {CLIENT} c0 10.77.1.2/24 fd77:1::2/64
        up {SERVER} s0 10.77.1.1/24 fd77:1::1/64
        up {SERVER} s1 10.77.2.1/24 fd77:2::1/64
        up {TARGET} t0 10.77.2.2/24 fd77:2::2/64
        ip -n {CLIENT} route add default via 10.77.1.1
        ip -n {CLIENT} -6 route add default via fd77:1::1
        ip -n {SERVER} route add 203.0.113.0/24 via 10.77.2.2
        ip -n {SERVER} route add 192.0.2.0/24 via 10.77.2.2
        ip -n {SERVER} -6 route add 2001:db8:77::/64 via fd77:2::2
        ip -n {TARGET} addr add {GOOD}/32 dev lo; ip -n {TARGET} -6 addr add {GOOD6}/128 dev lo nodad
        ip -n {TARGET} route add unreachable {NO_HOST}; ip -n {TARGET} route add blackhole {SILENT}
        ip netns exec {SERVER} sysctl -qw net.ipv4.ip_forward=0 net.ipv6.conf.all.forwarding=0
        ip netns exec {TARGET} sysctl -qw net.ipv4.ip_forward=1 net.ipv4.icmp_ratelimit=0
        """)

    def _keys(self):
        sh(f"""
        cd {self.directory}
        for key in host_key other_host_key user_key stranger_key; do
          ssh-keygen -q -t ed25519 -N '' -C '' -f $key; done
        cp user_key.pub authorized_keys; chmod 644 user_key stranger_key
        for host in 10.77.1.1 fd77:1::1; do
          echo "$host $(cut -d' ' -f1,2 host_key.pub)" >> known_hosts
          echo "$host $(cut -d' ' -f1,2 other_host_key.pub)" >> other_known_hosts; done
        : > empty_known_hosts; chmod 600 user_key stranger_key
        """)

    def _serve(self):
        self.spawn(TARGET, "served", [sys.executable, TRAFFIC, "serve", self.path("served.log")])
        names = [f"--address=/web.test/{GOOD}", f"--address=/web6.test/{GOOD6}", "--local=/test/"]
        names += [f"--txt-record={name}.test" + f",{'t' * 250}" * texts for name, texts in (("middle", 4), ("big", 12))]
        names += ["--host-record=printer.lan,10.77.9.1"]
        names += [f"--host-record=many.test,10.9.{n // 250}.{n % 250 + 1}" for n in range(120)]
        self.spawn(SERVER, "dnsmasq", ["dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts",
                                       "--user=root", "--pid-file=", "--bind-interfaces",
                                       "--listen-address=10.77.2.1,127.0.0.1",
                                       "--log-facility=-", *names])
        self.start_sshd()
        only_ours = "tcp port 22 or tcp port 1080 or ip6 proto 0 or (icmp6 and ip6[40] >= 130 and ip6[40] <= 143)"
        only_ours += f" or ({self.ours})" if self.ours else ""
        self.watcher = self.spawn(CLIENT, "leaks", ["tcpdump", "-Z", "root", "-n", "-l", "--immediate-mode", "-i", "c0",
                                     f"(ip or ip6) and not ({only_ours})"])
        until(lambda: "ready" in self.text("served.log"), "the targets serve")
        until(lambda: "listening on" in self.text("leaks.err"), "tcpdump listens")
        until(lambda: "started" in self.text("dnsmasq.err"), "dnsmasq serves")

    def start_sshd(self):
        config = ["Port 22", "ListenAddress 10.77.1.1", "ListenAddress fd77:1::1", "PidFile none", "UsePAM no",
                  f"HostKey {self.path('host_key')}", f"AuthorizedKeysFile {self.path('authorized_keys') if self.authorized else 'none'}",
                  "StrictModes no", "PermitRootLogin yes", "PasswordAuthentication no", "LogLevel VERBOSE",
                  "KbdInteractiveAuthentication no", "MaxStartups 100", "UseDNS no"]
        config += self.sshd_lines
        with open(self.path("sshd_config"), "w", encoding="ascii") as file:
            file.write("\n".join(config) + "\n")
        open(self.path("sshd.err"), "w", encoding="ascii").close()
        # An empty home, so that no start-up file of this machine's account runs in the sessions.
        mounted = ("mount --bind /mnt/server-etc /etc && mount -t tmpfs none ~root && exec /usr/sbin/sshd -D -e -f "
                   + self.path("sshd_config"))
        self.sshd = self.spawn(SERVER, "sshd", ["unshare", "--mount", "--propagation", "private", "sh", "-c", mounted])
        until(lambda: self.text("sshd.err").count("Server listening") == 2, "sshd listens")

    def account(self, shell, files=None):
        """The account `guest` at the server has this shell, and nothing in its home but `files` (name: text)."""
        home = self.path("home")
        shutil.rmtree(home, ignore_errors=True)
        os.mkdir(home)
        for name, text in (files or {}).items():
            with open(os.path.join(home, name), "w", encoding="ascii") as file:
                file.write(text)
        sh(f"""
        chown -R {ACCOUNT_UID}:{ACCOUNT_UID} {home}
        sed -i /^guest:/d /mnt/server-etc/passwd /mnt/server-etc/shadow
        echo guest:x:{ACCOUNT_UID}:{ACCOUNT_UID}::{home}:{shell} >> /mnt/server-etc/passwd
        echo guest:*:19000:0:99999:7::: >> /mnt/server-etc/shadow
        """)
        return self.ssh_arguments(user="guest")

    def start_socks_server(self, commands=None, method="none"):
        """It resolves names as the server does. `commands`: those that it allows; all by default. `method` "username": for
        the accounts at the server."""
        only = f" command: {commands}" if commands else ""
        config = ("logoutput: stderr\ninternal: 10.77.1.1 port = 1080\nexternal: s1\nclientmethod: none\n"
                  f"socksmethod: {method}\nuser.privileged: root\nuser.unprivileged: root\n"
                  "client pass { from: 0.0.0.0/0 to: 0.0.0.0/0 }\nsocks pass { from: 0.0.0.0/0 to: 0.0.0.0/0" + only + " }\n")
        with open(self.path("danted.conf"), "w", encoding="ascii") as file:
            file.write(config)
        mounted = f"mount --bind /mnt/server-etc /etc && exec danted -f {self.path('danted.conf')}"
        self.spawn(SERVER, "danted", ["unshare", "--mount", "--propagation", "private", "sh", "-c", mounted])
        until(lambda: sh(f"ip netns exec {SERVER} ss -Hltn 'sport = 1080'"), "danted listens")

    def kill_sshd(self):
        """The listener and every process of a session, at once, without a goodbye."""
        victims = [self.sshd.pid]
        for pid in victims:
            victims += children_of(pid)
        for pid in victims:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.sshd.wait()

    def _tear_down(self):
        for program in self.programs:
            if program.process.poll() is None:
                program.process.kill()
                program.process.wait()
        if self.sshd is not None and self.sshd.poll() is None:
            self.kill_sshd()
        for process in self.processes:
            process.kill()
            process.wait()
        for namespace in (CLIENT, SERVER, TARGET):
            for pid in subprocess.run(["ip", "netns", "pids", namespace], capture_output=True, text=True).stdout.split():
                os.kill(int(pid), signal.SIGKILL)
            subprocess.run(["ip", "netns", "del", namespace], capture_output=True)
        shutil.rmtree("/run/tunproxy", ignore_errors=True)  # of killed ones, in namespaces that are gone
        if not FORMER["keep"]:
            shutil.rmtree(self.directory, ignore_errors=True)

    # -- what is checked at the end

    def machine_state(self):
        script = """
        ip rule; ip -6 rule; ip route show table all; ip -6 route show table all; ip addr
        grep . /proc/sys/net/ipv4/conf/*/rp_filter; ls -l /etc/resolv.conf | cut -d' ' -f1,3,4; cat /etc/resolv.conf
        ls -d /run/tunproxy 2>/dev/null || true"""
        return subprocess.run(inside(CLIENT, ["sh", "-c", script]), capture_output=True, text=True).stdout

    def _leaks(self):
        if self.watcher.poll() is not None:
            return ["tcpdump has ended, so that nobody saw what leaked:\n" + self.text("leaks.err")[-500:]]
        self_made = self.text("leaks.out").strip()
        return [] if self.leak_allowed or not self_made else ["outside the tunnel:\n" + self_made[:2000]]

    def _sanitizer_report(self, program):
        err = program.err()
        bad = [mark for mark in ("AddressSanitizer", "LeakSanitizer", "runtime error:") if mark in err]
        return [f"{bad[0]} in {program.log}:\n{err[-4000:]}"] if bad else []

    def _leftovers(self):
        """Everything that the world made is gone again."""
        left = [f"still there: {line}" for line in sh("ip netns list; ip -br link | grep -E '^(c0|s0|s1|t0)@' || true").splitlines()]
        deadline = time.monotonic() + 10
        while (running := other_processes()) and time.monotonic() < deadline:
            time.sleep(0.02)
        return left + [f"still runs: {line}" for line in running]

    def _logs(self):
        parts = []
        for program in self.programs:
            parts.append(f"\n-- {' '.join(program.command)}\n{program.err()[-3000:]}")
        return "".join(parts) + f"\n-- sshd\n{self.text('sshd.err')[-1500:]}"

    # -- verbs

    def text(self, name):
        try:
            with open(self.path(name), encoding="utf-8", errors="replace") as file:
                return file.read()
        except FileNotFoundError:
            return ""

    def spawn(self, namespace, name, command):
        """A helper in the background; killed at the end."""
        with open(self.path(name + ".out"), "wb") as out, open(self.path(name + ".err"), "ab") as err:
            process = subprocess.Popen(inside(namespace, command), stdin=subprocess.DEVNULL, stdout=out, stderr=err,
                                       start_new_session=True)
        self.processes.append(process)
        return process

    def run(self, command, namespace=CLIENT, limit=LIMIT):
        """A command in the foreground: (exit code, stdout + stderr)."""
        try:
            done = subprocess.run(inside(namespace, command), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT, text=True, timeout=limit)
        except subprocess.TimeoutExpired as late:
            raise Failure(f"hangs ({limit} s): {' '.join(command)}\n{late.stdout or ''}") from None
        return done.returncode, done.stdout

    def traffic(self, *arguments, limit=LIMIT):
        """Runs a verb of traffic.py in the client's namespace; returns what it printed. It must succeed."""
        code, output = self.run([sys.executable, TRAFFIC, *map(str, arguments)], limit=limit)
        check(code == 0, f"traffic {' '.join(map(str, arguments))}: {output}")
        return output.strip()

    def traffic_in_background(self, name, *arguments):
        return self.spawn(CLIENT, name, [sys.executable, TRAFFIC, *map(str, arguments)])

    def tunproxy(self, *arguments, user=None, files=None, program=None):
        """Starts the program, or another one that was built with it, in the client's namespace, with at most `files`
        descriptors (or "SOFT:HARD"); see Program."""
        environment = {"PATH": os.environ["PATH"], "HOME": self.directory, "TERM": "dumb",
                       "ASAN_OPTIONS": "detect_leaks=1:exitcode=99", "UBSAN_OPTIONS": "print_stacktrace=1",
                       **self.environment}
        path = FORMER["program"] if program is None else os.path.join(os.path.dirname(FORMER["program"]), program)
        command = [path, *map(str, arguments)]
        if user is not None:
            command = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", *command]
        if files is not None:
            command = ["prlimit", f"--nofile={files}", *command]
        program = Program(self.directory, f"tunproxy{len(self.programs)}", inside(CLIENT, command), environment)
        self.programs.append(program)
        return program

    def ssh_arguments(self, host="10.77.1.1", known_hosts="known_hosts", identity="user_key", user="root"):
        return ["--ssh", f"{user}@{host}", "--identity", self.path(identity), "--known-hosts", self.path(known_hosts),
                "--host-key-policy", "strict"]

    def machine_tunnel(self, *arguments, way=None):
        """A tunnel for the whole client namespace; returns when it is up."""
        program = self.tunproxy(*(way or self.ssh_arguments()), *arguments)
        self.wait_up(program)
        return program

    def wait_up(self, program):
        def up():
            check(program.process.poll() is None, f"ended early with {program.process.poll()}:\n{program.err()}")
            with open("/etc/resolv.conf", encoding="utf-8") as file:
                return "198.18." in file.read()
        until(up, f"the tunnel is up\n{program.err()}")

    def wait_up_by_route(self, program, name):
        """The same where resolv.conf says nothing: the unmarked default way leads through the TUN `name`."""
        def up():
            check(program.process.poll() is None, f"ended early with {program.process.poll()}:\n{program.err()}")
            return f"dev {name} " in self.run(["ip", "route", "get", GOOD])[1]
        until(up, f"the tunnel is up\n{program.err()}")

    def socks_tunnel(self, port, *arguments, files=None):
        """--no-tun --socks; returns when it listens."""
        program = self.tunproxy(*self.ssh_arguments(), "--no-tun", "--socks", f"127.0.0.1:{port}", *arguments, files=files)

        def listens():
            check(program.process.poll() is None, f"ended early with {program.process.poll()}:\n{program.err()}")
            return sh(f"ip netns exec {CLIENT} ss -Hltn 'sport = {port}'")
        until(listens, "the SOCKS listener")
        return program
