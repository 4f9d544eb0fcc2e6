"""A server whose name leads to another address while it is connected."""

import re
import time

from basics import until
from scenarios_cuts import answers, cut, recovered, steady
from world import CLIENT, SERVER, check, sh

UPLINK = "10.77.1.53"  # the machine's own resolver, as world.RESOLV_CONF says


def serve_names(world, log, address):
    """The resolver before the tunnel; it writes down what it is asked."""
    process = world.spawn(SERVER, log, ["dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts",
                                        "--user=root", "--pid-file=", "--bind-interfaces", f"--listen-address={UPLINK}",
                                        "--except-interface=lo", "--log-queries", "--log-facility=-",
                                        f"--host-record=ssh.test,{address}", "--local=/test/"])
    until(lambda: "started" in world.text(log + ".err"), "dnsmasq serves")
    return process


@cut
def test_server_moves(world):
    sh(f"""ip -n {SERVER} addr add {UPLINK}/24 dev s0
    cd {world.directory}; echo "ssh.test $(cut -d' ' -f1,2 host_key.pub)" > named_hosts""")
    before = serve_names(world, "before", "10.77.1.1")
    program = world.machine_tunnel("--log-level", "debug",
                                   way=world.ssh_arguments(host="ssh.test", known_hosts="named_hosts"))
    steady(world)
    before.terminate()
    before.wait()
    sh(f"""ip netns exec {CLIENT} nft -f - <<'END'
    table inet cut {{
      chain out {{ type filter hook output priority 0; ip daddr 10.77.1.1 tcp dport 22 drop; }}
      chain in {{ type filter hook input priority 0; ip saddr 10.77.1.1 tcp sport 22 drop; }}
    }}
END""")
    moved = time.monotonic()
    serve_names(world, "after", "fd77:1::1")
    recovered(world, moved, "a move of the server, with the time until the old place counted as dead")
    check(len(answers(world)) > 1 and program.process.poll() is None, "it goes on")
    asked = set(re.findall(r"query\[\w+\] (\S+)", world.text("after.err")))
    check(asked == {"ssh.test"}, f"only the server's name is asked outside: {asked}")


test_server_moves.world = {"ours": f"host {UPLINK} and port 53"}
