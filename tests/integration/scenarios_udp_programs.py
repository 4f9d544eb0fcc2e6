"""Real UDP programs through the tunnel: DNS tools, NTP, SNMP, iperf3, SIP, Kerberos; SOCKS5 both ways."""

import json
import os

from scenarios_udp import CARRIED, OTHER, SIZES, serve_udp, udp, udp_tunnel
from world import GOOD, GOOD6, TARGET, check, sh, until

MANY_QUERIES = 300


def listens(world, name, port):
    """The program `name` has its UDP port at the target."""
    until(lambda: sh(f"ip netns exec {TARGET} ss -Hlun 'sport = {port}'") or world.processes[-1].poll() is not None,
          f"{name} listens")
    check(world.processes[-1].poll() is None, f"{name} ended: {world.text(name + '.out')}{world.text(name + '.err')}")


# -- DNS

def test_udp_dns(world):
    """By the server's own resolver, through the helper: truncation, EDNS, ids, errors."""
    program = udp_tunnel(world)
    check("names: by the server's resolver" in program.err(), program.err())
    for way in ([], ["+tcp"]):
        for question, answer in ((["web.test"], GOOD), (["AAAA", "web6.test"], GOOD6)):
            code, output = world.run(["dig", "+short", "+tries=3", *way, *question])
            check(code == 0 and output.strip() == answer, f"dig {way} {question}: {output}")
    text = '"' + "t" * 250 + '"'
    code, output = world.run(["dig", "+tries=3", "+bufsize=1232", "+ignore", "TXT", "middle.test"])
    check(code == 0 and output.count(text) == 4 and " tc " not in output, f"1 KB in one datagram: {output}")
    for edns in ("+noedns", "+bufsize=512", "+bufsize=1232", "+bufsize=4096"):
        code, output = world.run(["dig", "+tries=3", edns, "+ignore", "TXT", "big.test"])
        check(code == 0 and " tc " in output and output.count(text) < 12, f"cut off for {edns}: {output}")
        code, output = world.run(["dig", "+tries=3", edns, "TXT", "big.test"])
        check(output.count(text) == 12 and "retrying in TCP" in output, f"whole over TCP for {edns}: {output}")
    check("NXDOMAIN" in world.run(["dig", "+tries=3", "nothing.test"])[1], "a name that does not exist")
    check(world.run(["dig", "+short", "+tries=3", "@192.0.2.53", "web.test"])[1].strip() == GOOD, "any resolver")


def test_udp_dns_many_queries(world):
    """Hundreds at once, of many clients, with the ids that they please: each gets its own answer."""
    udp_tunnel(world)
    batches = []
    for n in range(6):
        with open(world.path(f"names{n}"), "w", encoding="ascii") as file:
            file.write("web.test A\nweb6.test AAAA\n" * (MANY_QUERIES // 12))
        batches.append(world.spawn("client", f"dig{n}", ["dig", "+tries=5", "+short", "-f", world.path(f"names{n}")]))
    for n, process in enumerate(batches):
        check(process.wait(60) == 0, world.text(f"dig{n}.out"))
        check(world.text(f"dig{n}.out") == f"{GOOD}\n{GOOD6}\n" * (MANY_QUERIES // 12), world.text(f"dig{n}.out"))
    output = udp(world, "queries", "198.18.0.2", MANY_QUERIES)
    check(output == f"{MANY_QUERIES} answers", output)


# -- programs

def test_udp_ntp(world):
    with open(world.path("chrony.conf"), "w", encoding="ascii") as file:
        file.write(f"local stratum 1\nallow\ncmdport 0\nbindcmdaddress /\npidfile {world.path('chronyd.pid')}\n")
    world.spawn(TARGET, "chronyd", ["chronyd", "-d", "-x", "-u", "root", "-f", world.path("chrony.conf")])
    listens(world, "chronyd", 123)
    udp_tunnel(world)
    for host in (GOOD, GOOD6):
        code, output = world.run(["chronyd", "-Q", "-t", "60", "-u", "root", "cmdport 0", "bindcmdaddress /",
                                  f"pidfile {world.path('asks.pid')}", f"server {host} iburst maxsamples 1"])
        check(code == 0 and "System clock wrong by" in output, f"NTP from {host}: {output}")


def test_udp_snmp(world):
    with open(world.path("snmpd.conf"), "w", encoding="ascii") as file:
        file.write(f"agentAddress udp:{GOOD}:161\nrocommunity public\nsysName through-the-tunnel\n")
    world.spawn(TARGET, "snmpd", ["snmpd", "-f", "-Lo", "-C", "-c", world.path("snmpd.conf"), "-p", world.path("snmpd.pid"),
                                  "-I", "system_mib,sysORTable,snmp_mib"])
    listens(world, "snmpd", 161)
    udp_tunnel(world)
    usual = ["-v2c", "-c", "public", "-t", "2", "-r", "10"]
    code, output = world.run(["snmpget", *usual, GOOD, "1.3.6.1.2.1.1.5.0"])
    check(code == 0 and "through-the-tunnel" in output, f"snmpget: {output}")
    code, output = world.run(["snmpbulkwalk", *usual, GOOD, "1.3.6.1.2.1.1"])
    check(code == 0 and "through-the-tunnel" in output and output.count("\n") >= 8, f"snmpbulkwalk: {output}")


def test_udp_iperf3(world):
    """A stream of 20 Mb/s each way: nothing comes twice or in another order. A busy machine may lose what is late."""
    ports = {"5201": [], "5202": ["--reverse"]}  # a server begins anew after each test, and until then refuses another
    for port in ports:
        world.spawn(TARGET, f"iperf3 {port}", ["iperf3", "--server", "--bind", GOOD, "--port", port])
        until(lambda port=port: sh(f"ip netns exec {TARGET} ss -Hltn 'sport = {port}'"), "iperf3 listens")
    udp_tunnel(world)
    for port, way in ports.items():
        code, output = world.run(["iperf3", "--client", GOOD, "--port", port, "--udp", "--bitrate", "20M", "--length", "1200",
                                  "--time", "3", "--json", *way])
        check(code == 0, f"iperf3 {way}: {output}")
        total = json.loads(output)["end"]["sum"]
        check(total["packets"] > 0 and total["lost_percent"] < 100, f"iperf3 {way}: {total}")
        print(f"     iperf3 {way}: {total['lost_percent']:.1f} % lost", flush=True)
        out_of_order = json.loads(output)["end"]["streams"][0]["udp"]["out_of_order"]
        check(out_of_order == 0, f"iperf3 {way}: {out_of_order} out of order")


def test_udp_sip(world):
    """Calls by SIP over UDP, and the voice of a call, which the other side echoes."""
    world.spawn(TARGET, "sipp", ["sipp", "-sn", "uas", "-i", GOOD, "-p", "5060", "-mp", "6000", "-rtp_echo", "-nostdin"])
    listens(world, "sipp", 5060)
    udp_tunnel(world)
    code, output = world.run(["sipp", "-sn", "uac", f"{GOOD}:5060", "-r", "20", "-m", "40", "-d", "200", "-timeout", "60",
                              "-nostdin", "-trace_err", "-error_file", world.path("sipp_errors")])
    check(code == 0, f"calls: {output[-3000:]}{world.text('sipp_errors')}")
    check(udp(world, "voice", GOOD, 6000, 100) == "100 packets", "RTP")


def kerberos_files(world):
    realm = {"krb5.conf": f"[libdefaults]\ndefault_realm = TUNNEL.TEST\ndns_lookup_kdc = false\n"
                          "udp_preference_limit = 65000\nrdns = false\n"
                          f"[realms]\nTUNNEL.TEST = {{\n kdc = {GOOD}\n}}\n",
             "kdc.conf": "[kdcdefaults]\nkdc_listen = 88\nkdc_tcp_listen = \"\"\n[realms]\nTUNNEL.TEST = {\n"
                         f" database_name = {world.path('principal')}\n key_stash_file = {world.path('stash')}\n"
                         f" acl_file = {world.path('acl')}\n}}\n[logging]\nkdc = STDERR\n"}
    for name, text in realm.items():
        with open(world.path(name), "w", encoding="ascii") as file:
            file.write(text)
    return ["env", f"KRB5_CONFIG={world.path('krb5.conf')}", f"KRB5_KDC_PROFILE={world.path('kdc.conf')}",
            f"KRB5CCNAME=FILE:{world.path('tickets')}"]


def test_udp_kerberos(world):
    """A KDC that has no TCP."""
    environment = kerberos_files(world)
    for command in (["kdb5_util", "create", "-s", "-r", "TUNNEL.TEST", "-P", "master"],
                    ["kadmin.local", "addprinc", "-pw", "secret", "alice"]):
        code, output = world.run([*environment, *command], namespace=TARGET)
        check(code == 0, f"{command}: {output}")
    world.spawn(TARGET, "kdc", [*environment, "krb5kdc", "-n", "-P", world.path("kdc.pid")])
    listens(world, "kdc", 88)
    udp_tunnel(world)
    code, output = world.run(["sh", "-c", "echo secret | " + " ".join([*environment, "kinit", "alice"])])
    check(code == 0, f"kinit: {output}{world.text('kdc.err')}")
    check("krbtgt/TUNNEL.TEST" in world.run([*environment, "klist"])[1], "a ticket")
    os.unlink(world.path("tickets"))


# -- SOCKS5

def test_udp_by_socks5(world):
    """Through danted's own UDP relay."""
    world.start_socks_server()
    udp_tunnel(world, "--udp", "auto", way=["--socks5", "10.77.1.1:1080"])
    # The longest is what has room behind SOCKS5's header, on the way to the proxy.
    udp(world, "echo", GOOD, *SIZES[:-1], 65497)
    check(udp(world, "nat", GOOD, OTHER) == "one mapping, filtered", "as danted does it")
    check(udp(world, "peers", GOOD, 50) == "50 peers", "one local port to many peers")


test_udp_by_socks5.world = {"ours": "udp and host 10.77.1.1"}


def test_udp_socks_listener(world):
    """UDP ASSOCIATE of our own listener, by a client that is not ours."""
    serve_udp(world)
    program = world.socks_tunnel(1090)
    until(lambda: CARRIED in program.err(), f"a carrier: {program.err()}")
    for target in (GOOD, GOOD6, "web.test", "web6.test"):
        sizes = [str(size) for size in (0, 1, 1200, 9000, 65000)]
        check(udp(world, "associate", 1090, target, *sizes) == "echoed, and closed", target)
